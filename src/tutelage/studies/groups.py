"""Runs at hand, several seeds of each, set against each other without a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tutelage.errors import DataError
from tutelage.evaluation import seeds
from tutelage.evaluation.intervals import holm
from tutelage.evaluation.pairs import shares
from tutelage.evaluation.seeds import Estimate
from tutelage.runs import history
from tutelage.runs.inputs import question_key
from tutelage.types import Attempt, Question


class SeedsCompared(Struct, frozen=True, kw_only=True):
    """One exam that all runs sat: before, after, and the difference over the seeds."""

    before: Estimate
    after: Estimate
    difference: Estimate
    p: float  # with Holm over all exams that are compared


def common_titles(exams: Sequence[Mapping[str, Sequence[Attempt]]], before: object, after: object) -> list[str]:
    """The titles of the exams that all sat; none at all is an error."""
    titles = [title for title in exams[0] if all(title in one for one in exams)]
    if not titles:
        raise DataError(
            f"{before} and {after} have no exam in common; name two exams' folders, such as {before}/1-test"
        )
    return titles


def compare_seeds(before: Sequence[str | Path], after: Sequence[str | Path]) -> dict[str, SeedsCompared]:
    """Compare runs, or exams' folders, seed by seed: each of `before` with the one at the same place in `after`.

    Returns each exam that all of them sat by its title. Both of a pair must have asked the same questions.
    """
    if len(before) != len(after):
        raise DataError(
            f"{len(before)} runs before and {len(after)} after cannot be paired; name as many of each, seed by seed"
        )
    for side in (before, after):
        if twice := next((path for path in side if list(side).count(path) > 1), None):
            raise DataError(f"{twice} is named twice, and the same run twice is one seed")
    sat = [[_read(Path(path)) for path in side] for side in (before, after)]
    titles = common_titles([exams for side in sat for exams, _ in side], before[0], after[0])
    found = {
        title: _compared(title, *([_shares(exams[title], known) for exams, known in side] for side in sat))
        for title in titles
    }
    raised = holm([one.p for one in found.values()])
    return {title: msgspec.structs.replace(one, p=p) for (title, one), p in zip(found.items(), raised, strict=True)}


def _read(path: Path) -> tuple[dict[str, list[Attempt]], dict[str, Question]]:
    return history.exams(path), history.questions(path)


def _shares(attempts: Sequence[Attempt], known: Mapping[str, Question]) -> dict[str, float]:
    """Question -> its share, by a name that is the same under every seed where its text is known."""
    return {f"{question_key(known.get(name), name)}/{name}": share for name, share in shares(attempts).items()}


def _compared(title: str, before: list[dict[str, float]], after: list[dict[str, float]]) -> SeedsCompared:
    try:
        difference = seeds.over_seeds(seeds.paired_rises(before, after))
    except ValueError as error:
        raise DataError(f"{title}: {error}; name the runs of both sides in the same order of seeds") from None
    sides = [seeds.within_shares(seeds.over_seeds(side)) for side in (before, after)]
    return SeedsCompared(before=sides[0], after=sides[1], difference=difference, p=difference.p)
