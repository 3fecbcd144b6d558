"""The command that sets runs, or exams, against each other: one and one, or several seeds of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tutelage.errors import DataError
from tutelage.evaluation import seeds
from tutelage.evaluation.intervals import holm
from tutelage.evaluation.pairs import compare_exams
from tutelage.printing import say
from tutelage.runs import history
from tutelage.runs.inputs import other_questions
from tutelage.studies.groups import common_titles, compare_seeds


def compare_command(
    before: Annotated[
        str, typer.Argument(help="A run, or an exam's folder such as runs/demo/1-test; or several seeds: A1,A2,A3.")
    ],
    after: Annotated[str, typer.Argument(help="The same; of several, each with the one at the same place: B1,B2,B3.")],
    flips: Annotated[int, typer.Option(min=0, help="How many flipped questions to name.")] = 5,
) -> None:
    """Say how two runs or exams differ on the same questions; of several seeds of each, over the seeds."""
    sides = _paths(before), _paths(after)
    if max(map(len, sides)) > 1:
        _over_seeds(*sides)
        return
    _one_and_one(sides[0][0], sides[1][0], flips)


def _paths(named: str) -> list[Path]:
    """The runs of one side; a folder whose own name has a comma is one."""
    return [Path(named)] if Path(named).exists() else [Path(one) for one in named.split(",")]


def _one_and_one(before: Path, after: Path, flips: int) -> None:
    sides = history.exams(before), history.exams(after)
    titles = common_titles(sides, before, after)
    asked = {attempt.question for title in titles for attempt in sides[0][title]}
    if others := [name for name in other_questions(*map(history.questions, (before, after))) if name in asked]:
        raise DataError(
            f"{before} and {after} are not on the same questions: {len(others)} ids stand for another question in each, such as "
            f"{others[0]}. Runs whose seeds draw the questions can be compared under the same seed alone"
        )
    pairs = [compare_exams(sides[0][title], sides[1][title]) for title in titles]
    chances = holm([one.p if one.p is not None else 1.0 for one in pairs])
    for title, one, chance in zip(titles, pairs, chances, strict=True):
        several = (
            f"; {chance:.3g} among {len(pairs)} comparisons (Holm)" if len(pairs) > 1 and one.p is not None else ""
        )
        say(f"{title}: {one.line()}{several}")
        for word, names in (("fixed", one.fixed), ("broken", one.broken)):
            if names and flips:
                more = f" and {len(names) - flips} more" if len(names) > flips else ""
                say(f"  {word}: {', '.join(names[:flips])}{more}")


def _over_seeds(before: Sequence[Path], after: Sequence[Path]) -> None:
    found = compare_seeds(before, after)
    for title, one in found.items():
        several = f"; {one.p:.3g} among {len(found)} comparisons (Holm)" if len(found) > 1 else ""
        rise = one.difference
        say(f"{title}: {one.before.mean:.1%} -> {one.after.mean:.1%}, {rise.line()}, p = {rise.p:.3g}{several}")
        singles = ", ".join(f"{100 * single:+.1f}" for single in rise.singles)
        say(f"  each seed: {singles}; t over seeds [{100 * rise.t_low:+.1f}, {100 * rise.t_high:+.1f}]")
        say(f"  {100 * seeds.detectable(rise):.1f} points would be shown 4 times of 5")
