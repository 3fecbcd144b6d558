"""What each arm takes of the values that are tuned: the one with the most right on dev, over the seeds that choose."""

from collections.abc import Callable

from tutelage.studies.cells import Cell, tuning_cells
from tutelage.studies.outcomes import Outcome
from tutelage.studies.settings import Study

Getter = Callable[[Cell], Outcome | None]


def choices(study: Study, outcome: Getter) -> dict[str, object]:
    """The value of each arm all of whose runs that choose are finished; among equals the one that stands first."""
    found = dict[str, object]()
    for arm, counts in right_on_dev(study, outcome).items():
        if len(counts) == len(study.choices) and None not in counts:
            best = max(range(len(counts)), key=lambda place: (counts[place][0] / counts[place][1], -place))  # type: ignore[index]
            found[arm] = study.choices[best]
    return found


def right_on_dev(study: Study, outcome: Getter) -> dict[str, list[tuple[int, int] | None]]:
    """Of each arm and each value: how many were right on dev, of how many; None where runs are not finished."""
    table: dict[str, list[tuple[int, int] | None]] = {}
    for arm in study.arms:
        table[arm] = []
        for choice in study.choices:
            cells = [cell for cell in tuning_cells(study) if cell.arm == arm and cell.choice == choice]
            table[arm].append(_right(cells, outcome))
    return table


def _right(cells: list[Cell], outcome: Getter) -> tuple[int, int] | None:
    right = asked = 0
    for cell in cells:
        found = outcome(cell)
        if found is None:
            return None
        verdicts = _on_dev(found)
        right, asked = right + verdicts.count("r"), asked + len(verdicts)
    return right, asked


def _on_dev(outcome: Outcome) -> str:
    """The verdicts of the exam that chooses: the last student's on dev, or its last exam where dev stood in for the test."""
    ends = [exam for exam in outcome.exams if not exam.promised and exam.step == outcome.dev]
    own = ends or [exam for exam in outcome.exams if exam.step == outcome.last]
    return own[-1].verdicts if own else ""
