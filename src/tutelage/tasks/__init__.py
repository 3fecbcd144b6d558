"""Tasks: sets of questions that can be loaded, asked, read and graded, each found by its name."""

from collections.abc import Sequence

from tutelage.errors import ConfigError, DataError
from tutelage.tasks.base import Task, judge
from tutelage.tasks.finding import TASKS, find
from tutelage.types import Question

__all__ = ["TASKS", "audit", "find", "subset"]

_SHOWN = 5  # golds in an error message


def audit(task: Task, questions: Sequence[Question]) -> None:
    """Refuse questions whose own gold answer, said plainly, would not be graded as right."""
    bad = []
    for question in questions:
        answer, verdict = judge(task, question, f"The answer is {question.answer}")
        if verdict != "right":
            place = f" ({question.source})" if question.source else ""
            bad.append(f"{question.id}{place}: gold {question.answer!r} is read as {answer!r}")
    if bad:
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"task {task.name!r}: {len(bad)} of {len(questions)} gold answers are not read back as right by the "
            f"reader for {task.kind!r} answers: {'; '.join(bad[:_SHOWN])}{more}"
        )


def subset(questions: Sequence[Question], limit: int | None, seed: int = 0) -> list[Question]:
    """All questions, or the first `limit` of a seeded permutation (the rule of Ho et al., 2022, for size studies)."""
    if limit is None:
        return list(questions)
    if limit < 1:
        raise ConfigError(f"a limit of {limit} leaves no questions; give at least 1, or none for all")
    import numpy as np

    order = np.random.RandomState(seed).permutation(len(questions))[:limit]
    return [questions[index] for index in order.tolist()]
