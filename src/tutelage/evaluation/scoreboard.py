"""The numbers of an exam, always with n, an interval and the unread share."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from tutelage.evaluation import intervals, metrics
from tutelage.types import Attempt


class Score(Struct, frozen=True, kw_only=True):
    """What an exam showed. Shares are between 0 and 1; the interval is at 95 %."""

    questions: int
    samples: int  # a question
    right: int  # attempts
    accuracy: float  # avg@samples where samples > 1
    low: float
    high: float
    strict: float  # accuracy where only what is clearly committed to counts
    unread: float  # share of the attempts
    truncated: float
    failed: int  # attempts whose call failed (counted as unread)
    tokens: float  # mean tokens written an attempt

    def line(self) -> str:
        """The score in one line."""
        text = f"{self.accuracy:6.1%} [{self.low:.1%}, {self.high:.1%}] n={self.questions}"
        text += f" x{self.samples}" if self.samples > 1 else ""
        text += f", unread {self.unread:.1%}"
        text += f", cut off {self.truncated:.1%}" if self.truncated else ""
        return (text + (f", {self.failed} failed calls" if self.failed else "")).strip()


def score(attempts: Iterable[Attempt]) -> Score:
    """Score an exam: Wilson's interval for one sample a question, else a bootstrap clustered by question."""
    by_question: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_question.setdefault(attempt.question, []).append(attempt)
    rows: Sequence[list[Attempt]] = list(by_question.values())
    if not rows:
        raise ValueError("an exam without attempts has no score")
    flat = [attempt for row in rows for attempt in row]
    right = [[attempt.verdict == "right" for attempt in row] for row in rows]
    count = sum(map(sum, right))
    samples = max(map(len, rows))
    if samples == 1:
        low, high = intervals.wilson(count, len(rows))
    else:
        low, high = intervals.clustered_bootstrap([metrics.accuracy(row) for row in right])
    return Score(
        questions=len(rows),
        samples=samples,
        right=count,
        accuracy=metrics.avg_at_k(right),
        low=low,
        high=high,
        strict=sum(attempt.strict == "right" for attempt in flat) / len(flat),
        unread=sum(attempt.verdict == "unread" for attempt in flat) / len(flat),
        truncated=sum(attempt.truncated for attempt in flat) / len(flat),
        failed=sum(bool(attempt.error) for attempt in flat),
        tokens=sum(attempt.tokens_out for attempt in flat) / len(flat),
    )
