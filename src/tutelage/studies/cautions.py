"""What is to be known of a study before its numbers are believed."""

from collections import Counter
from collections.abc import Sequence

from tutelage.studies.cells import Cell
from tutelage.studies.outcomes import Outcome
from tutelage.studies.study_folder import OpenStudy

_MANY = 0.2  # of a run's answers that could not be read, which is told


def of_study(opened: OpenStudy, there: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """What was left out, arms of one seed that were made on several machines or are one run, and students that collapsed."""
    study, lines = opened.study, _foreign(opened)
    made = {f"tutelage {one.versions.get('tutelage')} ({one.grader})" for _, one in there}
    if len(made) > 1:
        lines.append(f"its runs were made by several versions: {', '.join(sorted(made))}")
    for seed in study.seeds:
        kinds = {tuple(outcome.machine.items()) for cell, outcome in there if cell.seed == seed}
        if len(kinds) > 1:
            lines.append(
                f"the arms of seed {seed} were made on {len(kinds)} kinds of machine: part of their difference is rounding"
            )
    return [*lines, *_the_same(there), *_collapsed(there)]


def of_its_runs(there: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """What its runs warned of, the most frequent first."""
    said = Counter(line for _, outcome in there for line in set(outcome.warnings))
    return [f"{line} (in {count} of {len(there)} runs)" for line, count in said.most_common(20)]


def _the_same(there: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """Runs of one seed all of whose steps were made from the same: what their arms differ in is read by nothing."""
    made: dict[tuple[int, str], list[str]] = {}
    for cell, outcome in there:
        if outcome.made:
            made.setdefault((cell.seed, outcome.made), []).append(cell.title)
    return [
        f"{' and '.join(titles)} are the same run: nothing read what they differ in"
        for titles in made.values()
        if len(titles) > 1
    ]


def _collapsed(there: Sequence[tuple[Cell, Outcome]]) -> list[str]:
    """Runs whose student gave many answers that could not be read, which one mean over seeds hides."""
    lines = []
    for cell, outcome in there:
        exam, n = outcome.final, len(outcome.final.verdicts)
        if (unread := exam.verdicts.count("u") / n) > _MANY:
            lines.append(
                f"{cell.title}: {unread:.0%} of the answers could not be read, and {exam.truncated / n:.0%} were cut off"
            )
    return lines


def _foreign(opened: OpenStudy) -> list[str]:
    """What is kept under this study's names and was made from other configs."""
    found = opened.foreign()
    return [f"left out, since another config made it: {', '.join(found)}"] if found else []
