"""Two exams on the same questions: the paired difference, how sure it is, and which questions flipped."""

from collections.abc import Sequence

from msgspec import Struct

from tutelage.errors import DataError
from tutelage.evaluation import intervals
from tutelage.types import Attempt


class Pair(Struct, frozen=True, kw_only=True):
    """What changed from one exam to another. Shares are between 0 and 1; the interval is at 95 %."""

    questions: int
    before: float
    after: float
    low: float  # of the difference
    high: float
    p: float | None  # McNemar's exact test; None with several samples a question
    fixed: tuple[str, ...]  # questions that were wrong and are right; with samples, mostly
    broken: tuple[str, ...]

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    def line(self) -> str:
        """The pair in one line."""
        chance = "" if self.p is None else f", p = {self.p:.3g} (McNemar, exact)"
        return (
            f"{self.before:.1%} -> {self.after:.1%}, {100 * self.difference:+.1f} points "
            f"[{100 * self.low:+.1f}, {100 * self.high:+.1f}], n={self.questions}{chance}, "
            f"{len(self.fixed)} fixed, {len(self.broken)} broken"
        )


def compare_exams(before: Sequence[Attempt], after: Sequence[Attempt]) -> Pair:
    """Compare two exams; they must be on the same questions. The interval is a bootstrap over questions."""
    a, b = shares(before), shares(after)
    if a.keys() != b.keys():
        missing = sorted(a.keys() ^ b.keys())
        raise DataError(
            f"the exams are not on the same questions: {len(missing)} are in one only, such as {', '.join(missing[:3])}"
        )
    rises = [b[question] - a[question] for question in a]
    low, high = intervals.of_rises(rises)
    fixed = tuple(question for question in a if a[question] <= 0.5 < b[question])
    broken = tuple(question for question in a if b[question] <= 0.5 < a[question])
    single = len(before) == len(after) == len(a)
    return Pair(
        questions=len(a),
        before=sum(a.values()) / len(a),
        after=sum(b.values()) / len(b),
        low=low,
        high=high,
        p=intervals.mcnemar(len(fixed), len(broken)) if single else None,
        fixed=fixed,
        broken=broken,
    )


def shares(attempts: Sequence[Attempt]) -> dict[str, float]:
    """Question -> the share of its samples that are right, in the order of the attempts."""
    rows: dict[str, list[bool]] = {}
    for attempt in attempts:
        rows.setdefault(attempt.question, []).append(attempt.verdict == "right")
    return {question: sum(row) / len(row) for question, row in rows.items()}
