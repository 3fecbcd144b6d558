"""New exercises like the questions a student missed: read from feedback, kept when their answer can be trusted."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tutelage.lessons.feedback import FeedbackConfig, read, settle
from tutelage.lessons.rationales import ARROW
from tutelage.tasks.base import Task
from tutelage.types import Attempt, Feedback, Lesson, Question

_GRAM = 8  # words that two questions must share in a row to be alike in one place
_ALIKE = 0.8  # share of such places from which on a question counts as copied


class HeldOut:
    """The questions of dev and test: nothing that is learned may copy one."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._texts = {tuple(_words(question.text)) for question in questions}
        self._places: dict[tuple[str, ...], list[int]] = {}  # gram -> the texts that hold it
        for number, words in enumerate(self._texts):
            for gram in _grams(words):
                self._places.setdefault(gram, []).append(number)

    def copies(self, text: str) -> bool:
        """Whether a text is one of the questions, but for spacing, case and punctuation, or nearly all taken from one."""
        words = tuple(_words(text))
        grams = _grams(words)
        shared = Counter(number for gram in grams for number in self._places.get(gram, ()))
        return words in self._texts or (bool(grams) and max(shared.values(), default=0) / len(grams) >= _ALIKE)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _grams(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + _GRAM]) for i in range(len(words) - _GRAM + 1)}


class Exercises(Struct, frozen=True, kw_only=True):
    """The exercises of a round that can be put to the vote."""

    questions: tuple[Question, ...]
    lessons: tuple[Lesson, ...]  # one a question, for when it is voted in
    unread: int  # without an answer, or without reasoning
    copied: int  # from dev or test
    repeated: int


def exercises(
    replies: Iterable[Feedback], task: Task, held_out: HeldOut, config: FeedbackConfig, number: int
) -> Exercises:
    """The exercises in a round's feedback; an exercise's gold answer is, until the vote, its own solution's."""
    counts = {"unread": 0, "copied": 0, "repeated": 0}
    questions: list[Question] = []
    lessons: list[Lesson] = []
    seen: set[str] = set()
    for reply in replies:
        for place, (problem, solution) in enumerate(read(reply.text).practice[: config.practice]):
            question = Question(id=f"{reply.question}~{number}.{place}", text=problem, answer="", split="practice")
            question = replace(question, answer=task.read(solution, question) or "")
            body, answer, reason = settle(task, question, solution, set()) if question.answer else ("", "", "unread")
            if reason or held_out.copies(problem) or " ".join(_words(problem)) in seen:
                counts["unread" if reason else "copied" if held_out.copies(problem) else "repeated"] += 1
                continue
            seen.add(" ".join(_words(problem)))
            questions.append(question)
            lessons.append(_lesson(task, question, reply, f"{body}{ARROW}{answer}", number))
    return Exercises(questions=tuple(questions), lessons=tuple(lessons), **counts)


def _lesson(task: Task, question: Question, reply: Feedback, completion: str, number: int) -> Lesson:
    return Lesson(
        question=question.id,
        prompt=task.ask(question).messages[-1].content,
        completion=completion,
        kind="practice",
        round=number,
        key=reply.key,
        attempts=reply.attempts,
    )


class Agreed(Struct, frozen=True, kw_only=True):
    """The exercises whose answer the teacher found again, and what became of the others."""

    lessons: tuple[Lesson, ...]
    exercises: Exercises

    def line(self) -> str:
        """The account in one line."""
        made = self.exercises
        outvoted = len(made.questions) - len(self.lessons)
        dropped = {"outvoted": outvoted, "unread": made.unread, "copied": made.copied, "repeated": made.repeated}
        reasons = ", ".join(f"{count} {name}" for name, count in dropped.items() if count)
        total = len(made.questions) + made.unread + made.copied + made.repeated
        return f"{len(self.lessons)} lessons from {total} exercises" + (f" (dropped: {reasons})" if reasons else "")


def agreed(made: Exercises, votes: Iterable[Attempt], agree: int) -> Agreed:
    """Keep each exercise whose answer at least `agree` of the teacher's fresh solutions end in."""
    count: dict[str, int] = {}
    for vote in votes:
        count[vote.question] = count.get(vote.question, 0) + (vote.verdict == "right" and not vote.truncated)
    kept = tuple(lesson for lesson in made.lessons if count.get(lesson.question, 0) >= agree)
    return Agreed(lessons=kept, exercises=made)
