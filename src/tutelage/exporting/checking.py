"""Does an exported student still answer as in its exam? Its questions are put to it again, in the same form."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from tutelage import exam
from tutelage.config import cache_folder
from tutelage.errors import DataError
from tutelage.evaluation import intervals
from tutelage.exporting.source import Source
from tutelage.models.opening import open_model
from tutelage.tasks.task import subset
from tutelage.types import Attempt, JsonObject, Question


class Checked(Struct, frozen=True, kw_only=True):
    """How the answers of an export compare with the recorded ones of its exam."""

    questions: int
    of: int  # questions in the exam
    attempts: int
    texts: int  # attempts that are the same to the letter
    answers: int  # attempts of which the same answer is read
    right: int
    right_then: int
    fixed: int  # attempts that were wrong in the exam and are right now
    own: int  # attempts that the run's own student, asked in the same batches, writes the same to the letter

    def lines(self) -> list[str]:
        """The comparison, and where it is not whole what explains it."""
        n = self.attempts
        first = (
            f"{self.texts} of {n} answers are the exam's to the letter, {self.answers} of {n} in what is read; "
            f"right are {self.right}, in the exam {self.right_then}"
        )
        return [first, self._why()] if self.texts < n else [first]

    def _why(self) -> str:
        n = self.attempts
        if self.own < n:
            return (
                f"Warning: the run's own student, asked in the same batches, writes only {self.own} of {n} the same: these "
                "weights are rounded otherwise than in the exam. The default --dtype keeps its answers."
            )
        own = "The run's own student, asked in the same batches, writes the same to the letter"
        broken = self.right_then - self.right + self.fixed
        if 2 * self.texts < n or intervals.mcnemar(self.fixed, broken) < 0.05:
            return (
                f"Warning: {own[0].lower()}{own[1:]}, but so many answers are not the exam's that rounding does not explain "
                "it: either student/ was changed after the exam, or the exam was sat on a machine that computes otherwise."
            )
        return f"{own}: what differs is the rounding of other batches."


def check_export(source: Source, folder: Path, dtype: str, most: int) -> Checked:
    """Put up to `most` questions of the final exam to an exported student."""
    asked = subset(_questions(source), most)
    names = {question.id for question in asked}
    then = {(one.question, one.sample): one for one in source.attempts if one.question in names}
    now = _sit(source, folder, {"dtype": dtype}, asked)
    texts = _alike(now, then)
    # Rounding depends on which questions share a batch, and the exam's batches were others. Only where an answer
    # differs is it worth the time to ask the run's own student in just these batches.
    own = texts if texts == len(now) else _alike(now, _sit(source, source.student, {}, asked))
    return Checked(
        questions=len(asked),
        of=len({attempt.question for attempt in source.attempts}),
        attempts=len(now),
        texts=texts,
        answers=sum(now[key].answer == then[key].answer for key in now),
        right=sum(attempt.verdict == "right" for attempt in now.values()),
        right_then=sum(attempt.verdict == "right" for attempt in then.values()),
        fixed=sum(now[key].verdict == "right" and then[key].verdict != "right" for key in now),
        own=own,
    )


def _questions(source: Source) -> list[Question]:
    """The questions of the final exam, found again through the task."""
    sat = {attempt.question for attempt in source.attempts}
    found = [question for question in source.task.load(source.split) if question.id in sat]
    if len(found) < len(sat):
        raise DataError(
            f"{len(sat) - len(found)} questions of the exam {source.path / source.exam.step} are no longer in the task "
            f"{source.task.name!r}; bring its data back, or export with --check 0"
        )
    return found


def _sit(source: Source, folder: Path, more: JsonObject, asked: Sequence[Question]) -> dict[tuple[str, int], Attempt]:
    spec = {"kind": "hf", "name": str(folder), "cache": str(cache_folder()), **source.options(), **more}
    sat = exam.sit(open_model(spec), source.task, asked, source.setup)
    return {(attempt.question, attempt.sample): attempt for attempt in sat}


def _alike(one: dict[tuple[str, int], Attempt], other: dict[tuple[str, int], Attempt]) -> int:
    return sum(attempt.text == other[key].text for key, attempt in one.items())
