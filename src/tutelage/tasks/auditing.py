"""Whether the questions of a task can be graded at all."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tutelage.errors import DataError
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
