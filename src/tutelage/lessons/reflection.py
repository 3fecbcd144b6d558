"""Setting lessons against the student's own mistakes, for self-reflection [Wang et al. 2023]."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from tutelage.lessons.wording import ARROW, reasoning, same_words
from tutelage.types import Attempt, Lesson


def as_completion(attempt: Attempt) -> str:
    """An attempt in the format of lessons, ending in its own answer, wrong or right; empty when it holds no reasoning.

    The authors append the gold answer to wrong rationales, so that right and wrong ones end alike and only the middle
    differs.
    """
    body = reasoning(attempt.text)
    return f"{body}{ARROW}{attempt.answer}" if body else ""


def against(lessons: Iterable[Lesson], mistakes: Sequence[Attempt], own: Sequence[Attempt] = ()) -> list[Lesson]:
    """Each lesson with the student's wrong rationales of its question, and with its own right ones among `own`."""
    wrong, right = _by_question(mistakes), _by_question(own)
    return [
        replace(lesson, wrong=wrong.get(lesson.question, ()), right=right.get(lesson.question, ()))
        for lesson in lessons
    ]


def _by_question(attempts: Sequence[Attempt]) -> dict[str, tuple[str, ...]]:
    texts: dict[str, list[str]] = {}
    for attempt in attempts:
        if text := as_completion(attempt):
            texts.setdefault(attempt.question, []).append(text)
    return {question: tuple(dict.fromkeys(written)) for question, written in texts.items()}


def merge(old: Sequence[Lesson], new: Sequence[Lesson]) -> list[Lesson]:
    """Both, without those that say the same about the same question; of these one that repairs a mistake is kept, since it says more."""
    merged: dict[tuple[str, str], Lesson] = {}
    for lesson in (*old, *new):
        identity = (lesson.prompt, same_words(lesson.completion))
        if identity not in merged or (lesson.mistaken and not merged[identity].mistaken):
            merged[identity] = lesson
    return list(merged.values())
