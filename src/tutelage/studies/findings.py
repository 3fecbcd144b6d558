"""What a study shows: each arm's mean over its seeds, the comparisons that were chosen beforehand, and what each arm cost."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Struct

from tutelage.errors import RunError
from tutelage.evaluation import intervals, seeds
from tutelage.evaluation.seeds import Estimate
from tutelage.studies import cautions, choosing, measures
from tutelage.studies.cells import Cell, cells_of
from tutelage.studies.curves import Point, Ratio, points_of, ratio_of
from tutelage.studies.measures import ArmBill, Measure
from tutelage.studies.outcomes import Outcome, OutcomeStore
from tutelage.studies.settings import Study
from tutelage.studies.study_folder import OpenStudy
from tutelage.types import JsonObject


class ArmResult(Struct, frozen=True, kw_only=True):
    """One arm, with one value of what is varied."""

    arm: str
    value: object
    varied: bool  # whether `value` is one of several; null may be
    choice: object  # of what is tuned
    seeds: tuple[int, ...]  # that are finished
    accuracy: Estimate
    strict: Estimate
    worked_out: Estimate | None  # with the sums of its answers worked out rightly
    dev: Estimate | None
    pooled: Estimate | None  # dev and test together
    taught_kinds: Estimate | None  # questions of kinds that its lessons are about, where there are others
    new_kinds: Estimate | None  # questions of kinds that none is about
    unread: float
    truncated: float
    bill: ArmBill
    by_kind: dict[str, tuple[float, int]]  # kind of question -> accuracy, answers
    points: list[Point]  # accuracy against the bill, exam by exam

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return arm_at(self.arm, self.value if self.varied else UNSET)


class Comparison(Struct, frozen=True, kw_only=True):
    """Two arms on the same questions under the same seeds."""

    before: str
    after: str
    seeds: tuple[int, ...]
    difference: Estimate
    p: float  # with Holm over all comparisons
    strict: Estimate
    worked_out: Estimate | None
    pooled: Estimate | None
    taught_kinds: Estimate | None  # on kinds of question that the lessons of both are about, where there are others
    new_kinds: Estimate | None  # on kinds that none of either is about
    detectable: float  # with 80 % power
    equivalent: float | None  # p of equivalence within the margin


class Tuned(Struct, frozen=True, kw_only=True):
    """What an arm was given to choose from, and what it chose."""

    arm: str
    right: list[tuple[int, int] | None]  # of each value: right on dev, of how many
    chosen: object


class Findings(Struct, frozen=True, kw_only=True):
    """Everything that a study shows."""

    study: str
    note: str
    arms: list[ArmResult]
    comparisons: list[Comparison]
    ratios: list[Ratio]
    tuned: list[Tuned]
    missing: list[str]  # runs
    failures: dict[str, str]  # run -> why
    added: list[str]
    machines: dict[str, list[str]]  # machine -> runs that were made there
    cautions: list[str]  # what is to be known before its numbers are believed
    warnings: list[str]  # of its runs
    runs: list[JsonObject]  # each run with its seed, accuracies and digests


Outcomes = Mapping[tuple[str, int], Mapping[int, Outcome]]  # (arm, place of the value) -> seed -> outcome


def arm_at(arm: str, value: object) -> str:
    """An arm, with a value of what is varied, for a reader."""
    return arm if value is UNSET else f"{arm} at {value}"


def findings_of(opened: OpenStudy) -> Findings:
    """What is known of a study, from what is kept of its runs alone; what another config made is left out, and said."""
    study, kept = opened.study, opened.kept
    chosen = opened.chosen()
    cells = cells_of(study, chosen)
    there = [(cell, found) for cell in cells if (found := opened.outcome(cell))]
    known = {cell.title for cell, _ in there}
    grid: dict[tuple[str, int], dict[int, Outcome]] = {}
    for arm in study.arms:
        for place, value in enumerate(study.values):
            own = {cell.seed: one for cell, one in there if cell.arm == arm and cell.value == value}
            grid[arm, place] = own
    return Findings(
        study=study.study,
        note=study.note,
        arms=[
            _arm(kept, (arm, study.values[place], chosen.get(arm, UNSET)), own)
            for (arm, place), own in grid.items()
            if own
        ],
        comparisons=_comparisons(study, kept, grid),
        ratios=_ratios(study, kept, grid),
        tuned=_tuned(opened, chosen),
        missing=[cell.title for cell in cells if cell.title not in known],
        failures=opened.failures,
        added=opened.added(),
        machines=_machines(there),
        cautions=cautions.of_study(opened, there),
        warnings=cautions.of_its_runs(there),
        runs=[_run(study.study, cell, one) for cell, one in there],
    )


def _arm(kept: OutcomeStore, what: tuple[str, object, object], own: Mapping[int, Outcome]) -> ArmResult:
    runs, (arm, value, choice) = list(own.values()), what
    finals = [outcome.final for outcome in runs]
    answers = sum(len(exam.verdicts) for exam in finals)
    accuracy, strict = (measures.by_runs(kept, runs, one) for one in (measures.in_the_end, measures.strict))
    assert accuracy is not None
    assert strict is not None
    return ArmResult(
        arm=arm,
        value=None if value is UNSET else value,
        varied=value is not UNSET,
        choice=None if choice is UNSET else choice,
        seeds=tuple(own),
        accuracy=accuracy,
        strict=strict,
        worked_out=measures.by_runs(kept, runs, measures.with_sums_right),
        dev=measures.by_runs(kept, runs, measures.on_dev),
        pooled=measures.by_runs(kept, runs, measures.pooled),
        taught_kinds=measures.by_runs(kept, runs, measures.of_taught_kinds),
        new_kinds=measures.by_runs(kept, runs, measures.of_new_kinds),
        unread=sum(exam.verdicts.count("u") for exam in finals) / answers,
        truncated=sum(exam.truncated for exam in finals) / answers,
        bill=measures.bill(runs),
        by_kind=measures.kinds_of(kept, runs),
        points=points_of(kept, runs),
    )


def _comparisons(study: Study, kept: OutcomeStore, grid: Outcomes) -> list[Comparison]:
    found = []
    for before, after in study.compare:
        for place, value in enumerate(study.values):
            sides = grid[before, place], grid[after, place]
            common = [seed for seed in study.seeds if all(seed in side for side in sides)]
            if common:
                names = arm_at(before, value), arm_at(after, value)
                found.append(_compared(study, kept, names, common, sides))
    several = [one for one in found if len(one.seeds) > 1]  # one seed's p value is over questions, and is another thing
    raised = iter(intervals.holm([one.p for one in several]))
    return [msgspec.structs.replace(one, p=next(raised)) if len(one.seeds) > 1 else one for one in found]


def _compared(
    study: Study,
    kept: OutcomeStore,
    names: tuple[str, str],
    common: Sequence[int],
    sides: Sequence[Mapping[int, Outcome]],
) -> Comparison:
    def paired(measure: Measure, alike: bool = True) -> Estimate | None:
        before, after = ([measure(kept, side[seed]) for seed in common] for side in sides)
        if not alike:  # each arm has its own taught kinds: only questions that both count are compared
            both = [a.keys() & b.keys() for a, b in zip(before, after, strict=True)]
            before, after = (
                [{name: row[name] for name in row if name in shared} for row, shared in zip(side, both, strict=True)]
                for side in (before, after)
            )
        if not all(before) or not all(after):
            return None
        try:
            return seeds.over_seeds(seeds.paired_rises(before, after))
        except ValueError as error:
            raise RunError(f"{names[0]} and {names[1]} cannot be compared: {error}") from None

    difference, strict = paired(measures.in_the_end), paired(measures.strict)
    assert difference is not None
    assert strict is not None
    return Comparison(
        before=names[0],
        after=names[1],
        seeds=tuple(common),
        difference=difference,
        p=difference.p,
        strict=strict,
        worked_out=paired(measures.with_sums_right),
        pooled=paired(measures.pooled),
        taught_kinds=paired(measures.of_taught_kinds, alike=False),
        new_kinds=paired(measures.of_new_kinds, alike=False),
        detectable=seeds.detectable(difference),
        equivalent=seeds.equivalence(difference, study.margin) if study.margin else None,
    )


def _ratios(study: Study, kept: OutcomeStore, grid: Outcomes) -> list[Ratio]:
    places = range(len(study.values))
    found = []
    for before, after in study.compare:
        sides = [[grid[arm, place] for place in places] for arm in (before, after)]
        found.append(ratio_of(kept, sides[0], sides[1], (before, after)))
    return [ratio for ratio in found if ratio]


def _tuned(opened: OpenStudy, chosen: Mapping[str, object]) -> list[Tuned]:
    if not opened.study.tune:
        return []
    counts = choosing.right_on_dev(opened.study, opened.outcome)
    return [Tuned(arm=arm, right=right, chosen=chosen.get(arm)) for arm, right in counts.items()]


def _machines(there: Sequence[tuple[Cell, Outcome]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for cell, outcome in there:
        found.setdefault(", ".join(f"{key} {value}" for key, value in outcome.machine.items()), []).append(cell.title)
    return found


def _run(study: str, cell: Cell, outcome: Outcome) -> JsonObject:
    exams = [outcome.final, *filter(None, [outcome.exam(outcome.dev)])]
    return {
        "run": cell.title,
        "arm": cell.arm,
        "value": None if cell.value is UNSET else cell.value,
        "seed": cell.seed,
        "choice": None if cell.choice is UNSET else cell.choice,
        "identity": outcome.identity,
        "grader": outcome.grader,
        "command": f"tutelage study {study}.yaml --into FOLDER --seeds {cell.seed}",
        "kept because": outcome.why,
        "seconds": outcome.seconds,
        "exams": {
            exam.step: {
                "right": exam.verdicts.count("r"),
                "unread": exam.verdicts.count("u"),
                "cut_off": exam.truncated,
                "n": len(exam.verdicts),
                "questions": exam.asked,
            }
            for exam in exams
        },
    }
