"""Whether the questions of a task can be graded at all, and how some of them are chosen."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tutelage.errors import ConfigError, DataError
from tutelage.grading.verdicts import judge
from tutelage.tasks.task import Task
from tutelage.types import Question

_SHOWN = 5  # golds in an error message


class Misread(NamedTuple):
    """A gold answer that its own reader does not find right."""

    question: Question
    read: str | None

    def line(self) -> str:
        """The gold answer with its place in one line."""
        place = f" ({self.question.source})" if self.question.source else ""
        return f"{self.question.id}{place}: gold {self.question.answer!r} is read as {self.read!r}"


def misread(task: Task, questions: Iterable[Question]) -> Iterator[Misread]:
    """The questions whose own gold answer, said plainly, would not be graded as right."""
    for question in questions:
        said = f"\\boxed{{{question.answer}}}" if task.kind == "math" else question.answer
        answer, verdict = judge(task, question, f"The answer is {said}")
        if verdict != "right":
            yield Misread(question, answer)


def audit(task: Task, questions: Sequence[Question]) -> None:
    """Refuse questions whose own gold answer, said plainly, would not be graded as right."""
    bad = list(misread(task, questions))
    if bad:
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"task {task.name!r}: {len(bad)} of {len(questions)} gold answers are not read back as right by the "
            f"reader for {task.kind!r} answers: {'; '.join(one.line() for one in bad[:_SHOWN])}{more}"
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
