"""Setting lessons against the student's own mistakes, for self-reflection [Wang et al. 2023]."""

import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from tutelage.lessons.rationales import ARROW
from tutelage.types import Attempt, Lesson

_ANSWER = re.compile(r"\s*(?:(?:therefore|thus|so|hence),?\s*)?the (?:final )?answer is", re.IGNORECASE)


def as_completion(mistake: Attempt) -> str:
    """A wrong attempt in the format of lessons, ending in its own wrong answer; empty when it holds no reasoning.

    The authors append the gold answer, so that right and wrong rationales end alike and only the middle differs.
    """
    text = mistake.text.strip()
    body, arrow, _ = text.rpartition(ARROW.strip())
    if not arrow:
        ends = list(_ANSWER.finditer(text))
        body = text[: ends[-1].start()] if ends else text
    body = " ".join(body.split())
    return f"{body}{ARROW}{mistake.answer}" if body else ""


def against(lessons: Iterable[Lesson], mistakes: Sequence[Attempt]) -> list[Lesson]:
    """Each lesson with the student's wrong rationales of its question."""
    wrong: dict[str, list[str]] = {}
    for mistake in mistakes:
        if text := as_completion(mistake):
            wrong.setdefault(mistake.question, []).append(text)
    return [replace(lesson, wrong=tuple(wrong.get(lesson.question, ()))) for lesson in lessons]


def merge(old: Sequence[Lesson], new: Sequence[Lesson]) -> list[Lesson]:
    """Both, without those that say the same about the same question."""
    seen: set[tuple[str, str]] = set()
    merged = []
    for lesson in (*old, *new):
        identity = (lesson.prompt, " ".join(lesson.completion.lower().split()))
        if identity not in seen:
            seen.add(identity)
            merged.append(lesson)
    return merged
