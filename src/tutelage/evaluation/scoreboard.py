"""The numbers of an exam, always with n, an interval and the unread share."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from tutelage.evaluation import intervals, metrics
from tutelage.types import ALONE, Attempt


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
    remarked: int  # attempts that are unread since the reader failed, or the comparison was not decided
    tokens: float  # mean tokens written an attempt

    def line(self) -> str:
        """The score in one line."""
        text = f"{self.accuracy:6.1%} [{self.low:.1%}, {self.high:.1%}] n={self.questions}"
        text += f" x{self.samples}" if self.samples > 1 else ""
        text += f", unread {self.unread:.1%}"
        text += f", cut off {self.truncated:.1%}" if self.truncated else ""
        text += f", {self.remarked} could not be graded" if self.remarked else ""
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
    low, high = intervals.of_shares([metrics.accuracy(row) for row in right])
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
        remarked=sum(bool(attempt.remark) for attempt in flat),
        tokens=sum(attempt.tokens_out for attempt in flat) / len(flat),
    )


def speakers(attempts: Iterable[Attempt]) -> str:
    """Whose words a solver's answers are, in one line; empty where no solver of several models answered."""
    own = list(attempts)
    alone = sum(attempt.note.startswith(ALONE) for attempt in own)
    told = f"{alone} stand although another model should have been asked" if alone else ""
    if len({part.model for attempt in own for part in attempt.parts}) < 2:
        return told
    counts = Counter(part.model for attempt in own for part in attempt.parts if part.chosen)
    by = "answered by " + ", ".join(f"{name} {count / len(own):.0%}" for name, count in counts.most_common())
    return f"{by}, {told}" if told else by


class Several(Struct, frozen=True, kw_only=True):
    """What several samples a question are worth together. Shares are between 0 and 1; the interval is at 95 %."""

    name: str  # pass@4: one of four samples is right; maj@4: the answer that most of four samples give is right
    value: float
    low: float
    high: float

    def line(self) -> str:
        """The number in one line."""
        return f"{self.name} {self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


def several(attempts: Iterable[Attempt]) -> list[Several]:
    """avg@n, pass@k for k = 1, 2, 4, … n, and maj@n of an exam with n samples a question; empty with one sample.

    Among answers that equally many samples give, the one that came first is the majority's.
    """
    by_question: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_question.setdefault(attempt.question, []).append(attempt)
    rows = [sorted(row, key=lambda attempt: attempt.sample) for row in by_question.values()]
    n = min(map(len, rows), default=0)
    if n < 2:
        return []
    right = [[attempt.verdict == "right" for attempt in row] for row in rows]
    found = [_clustered(f"avg@{n}", [metrics.accuracy(row) for row in right])]
    for k in sorted({2**power for power in range(1, n.bit_length()) if 2**power <= n} | {n}):
        passed = [metrics.pass_at_k(row, k) for row in right]
        found.append(_clustered(f"pass@{k}", [share for share in passed if share is not None]))
    return [*found, _clustered(f"maj@{n}", [float(_majority_is_right(row)) for row in rows])]


def _clustered(name: str, shares: Sequence[float]) -> Several:
    low, high = intervals.of_shares(shares)
    return Several(name=name, value=sum(shares) / len(shares), low=low, high=high)


def _majority_is_right(row: Sequence[Attempt]) -> bool:
    answer = metrics.majority([attempt.answer for attempt in row])
    return any(attempt.answer == answer and attempt.verdict == "right" for attempt in row if answer is not None)
