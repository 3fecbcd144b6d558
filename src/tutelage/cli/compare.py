"""The command that sets two runs, or two exams, against each other."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.errors import DataError
from tutelage.evaluation.intervals import holm
from tutelage.evaluation.pairs import compare_exams
from tutelage.printing import say
from tutelage.runs import history


def compare_command(
    before: Annotated[Path, typer.Argument(help="A run, or one exam's folder such as runs/demo/1-test.")],
    after: Path,
    flips: Annotated[int, typer.Option(min=0, help="How many flipped questions to name.")] = 5,
) -> None:
    """Say how two runs, or two exams, differ on the same questions: difference, interval, p value, flips."""
    sides = history.exams(before), history.exams(after)
    titles = [title for title in sides[0] if title in sides[1]]
    if not titles:
        raise DataError(
            f"{before} and {after} have no exam in common; name two exams' folders, such as {before}/1-test"
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
