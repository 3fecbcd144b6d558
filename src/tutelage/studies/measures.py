"""What is measured of finished runs: shares by question for each kind of exam, and what they took on average."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from msgspec import Struct

from tutelage.evaluation import seeds
from tutelage.evaluation.seeds import Estimate
from tutelage.studies.bill import Cost
from tutelage.studies.outcomes import KeptExam, Outcome, OutcomeStore

Measure = Callable[
    [OutcomeStore, Outcome], dict[str, float]
]  # question -> the share that is right; empty where it is not known


class ArmBill(Struct, frozen=True, kw_only=True):
    """What runs take on average: of their teacher for lessons, and of the machine."""

    calls: float
    tokens_in: float
    tokens_out: float
    tokens_cached: float  # of tokens_in, those that a server read from its own cache of prompts
    words: bool  # some or all tokens are words: the teacher has none
    dollars: float | None  # None where a price is not known
    failed: float
    cut: float
    training_seconds: float
    exam_seconds: float
    paid_calls: int  # that were really sent, by all of the runs together
    paid_tokens: int

    @property
    def tokens(self) -> float:
        """Read and written."""
        return self.tokens_in + self.tokens_out


def question_shares(kept: OutcomeStore, exam: KeptExam, letters: str) -> dict[str, float]:
    """Question -> the share of its samples that are right, by a name that is the same under every seed."""
    names, each = kept.names(exam.asked), exam.samples
    if each == 1:
        return dict(zip(names, [float(letter == "r") for letter in letters], strict=True))
    rows = (letters[start : start + each] for start in range(0, len(letters), each))
    return dict(zip(names, [row.count("r") / each for row in rows], strict=True))


def in_the_end(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """Of the exam that the run's student sat in the end."""
    exam = outcome.final
    return question_shares(kept, exam, exam.verdicts)


def strict(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """The same, read strictly."""
    exam = outcome.final
    return question_shares(kept, exam, exam.strict)


def with_sums_right(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """The same with the sums of each answer worked out rightly."""
    exam = outcome.final
    return question_shares(kept, exam, exam.worked_out) if exam.worked_out else {}


def on_dev(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """Of the exam on dev questions of the run's student."""
    exam = outcome.exam(outcome.dev) if outcome.dev else None
    return question_shares(kept, exam, exam.verdicts) if exam else {}


def pooled(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """Dev and test questions together."""
    dev = on_dev(kept, outcome)
    return {**in_the_end(kept, outcome), **{f"dev {name}": share for name, share in dev.items()}} if dev else {}


def by_runs(kept: OutcomeStore, outcomes: Sequence[Outcome], measure: Measure) -> Estimate | None:
    """A measure over several runs; None where one of them lacks it. Shares stay between 0 and 1."""
    rows = [measure(kept, outcome) for outcome in outcomes]
    if not rows or not all(rows):
        return None
    return seeds.within_shares(seeds.over_seeds(rows))


def of_taught_kinds(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """Of questions of the kinds that its lessons are about; empty where these are all."""
    return _by_taught(kept, outcome, True)


def of_new_kinds(kept: OutcomeStore, outcome: Outcome) -> dict[str, float]:
    """Of questions of kinds that no lesson is about."""
    return _by_taught(kept, outcome, False)


def _by_taught(kept: OutcomeStore, outcome: Outcome, taught: bool) -> dict[str, float]:
    exam = outcome.final
    kinds = kept.asked(exam.asked).kinds
    if not outcome.taught or not set(filter(None, kinds)) - set(outcome.taught):
        return {}
    rows = zip(question_shares(kept, exam, exam.verdicts).items(), kinds, strict=True)
    return {name: share for (name, share), kind in rows if (kind in outcome.taught) == taught}


def kinds_of(kept: OutcomeStore, outcomes: Iterable[Outcome]) -> dict[str, tuple[float, int]]:
    """Kind of question -> accuracy over all runs, and how many answers it is of."""
    right: dict[str, list[float]] = {}
    for outcome in outcomes:
        exam = outcome.final
        for kind, share in zip(
            kept.asked(exam.asked).kinds, question_shares(kept, exam, exam.verdicts).values(), strict=True
        ):
            if kind:
                right.setdefault(kind, []).append(share)
    return {kind: (sum(row) / len(row), len(row)) for kind, row in sorted(right.items())}


def bill(outcomes: Sequence[Outcome]) -> ArmBill:
    """What runs take on average."""
    rows = [cost for outcome in outcomes for cost in outcome.bill]
    taught = [cost for cost in rows if cost.taught]
    count = len(outcomes)
    known = all(cost.dollars is not None for cost in taught)
    return ArmBill(
        calls=sum(cost.calls for cost in taught) / count,
        tokens_in=sum(cost.tokens_in for cost in taught) / count,
        tokens_out=sum(cost.tokens_out for cost in taught) / count,
        tokens_cached=sum(cost.tokens_cached for cost in taught) / count,
        words=any(cost.words for cost in taught),
        dollars=float(sum((Decimal(cost.dollars or 0) for cost in taught), Decimal())) / count if known else None,
        failed=sum(cost.failed for cost in taught) / count,
        cut=sum(cost.cut for cost in taught) / count,
        training_seconds=_seconds(rows, lambda cost: cost.kind == "training" and cost.who == "student") / count,
        exam_seconds=_seconds(rows, lambda cost: cost.kind in ("exam", "review") and cost.who == "student") / count,
        paid_calls=sum(cost.paid_calls for cost in rows),
        paid_tokens=sum(cost.paid_tokens for cost in rows),
    )


def _seconds(rows: Sequence[Cost], wanted: Callable[[Cost], bool]) -> float:
    return sum(cost.seconds for cost in rows if wanted(cost))
