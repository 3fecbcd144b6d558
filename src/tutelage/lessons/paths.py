"""Latent paths: what an untaught student says that looks like reasoning, told by its form alone [after SERT, arXiv 2502.12744].

The published outline names rules and no values; the rules and their values are ours. Whether the answer is right is none of them
unless it is asked for: with it this is rejection sampling (STaR, RFT).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field

from tutelage.config import Settings
from tutelage.lessons.kept import Kept
from tutelage.lessons.wording import same_words
from tutelage.tasks.asking import zero_shot
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Lesson, Question

CONNECTIVES = ("because", "therefore", "so", "since", "thus", "hence", "then", "if", "which means")
_GRAM = 3  # words
_LONG = 4  # letters


class FormRules(Settings):
    """What looks like reasoning; null or an empty list switches a rule off."""

    min_words: Annotated[int, Field(ge=1)] | None = Field(8, description="fewer are an answer and no reasoning")
    max_words: Annotated[int, Field(ge=1)] | None = Field(200, description="more are rambling")
    connectives: tuple[str, ...] = Field(
        CONNECTIVES, description="at least one of these words stands in it; [] for another language"
    )
    distinct: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.7, description="share of its runs of three words that are different ones, at least: less repeats itself"
    )
    copied: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.9,
        description="share of its numbers and words of four letters or more that stand in the question, at most: more says it again",
    )
    on_topic: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.1, description="the same share, at least: less is about something else"
    )
    answered: bool = Field(False, description="an answer can be read from it")
    right: bool = Field(False, description="and is right: rejection sampling (STaR, RFT), which SERT is not")

    def why_not(self, text: str, question: str) -> str:
        """The first rule by which a text is no reasoning about a question; empty where none is."""
        words = _words(text)
        runs = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
        different = len(set(runs)) / len(runs) if runs else 1.0
        asked, own = set(_telling(_words(question))), set(_telling(words))
        shared = len(own & asked) / max(1, len(own))
        told = f" {' '.join(words)} "
        died = {
            "too short": self.min_words is not None and len(words) < self.min_words,
            "too long": self.max_words is not None and len(words) > self.max_words,
            "without a connective": bool(self.connectives)
            and not any(f" {' '.join(_words(one))} " in told for one in self.connectives),
            "repeating themselves": self.distinct is not None and different < self.distinct,
            "copies of the question": self.copied is not None and shared > self.copied,
            "off the topic": self.on_topic is not None and shared < self.on_topic,
        }
        return next((rule for rule, is_so in died.items() if is_so), "")

    def why_not_kept(self, attempt: Attempt, question: str) -> str:
        """The same of a student's answer, of which more is known."""
        if attempt.error or attempt.truncated:
            return "failed" if attempt.error else "cut off"
        if found := self.why_not(attempt.text, question):
            return found
        if (self.answered or self.right) and attempt.verdict == "unread":
            return "without an answer"
        return "wrong" if self.right and attempt.verdict != "right" else ""


def looks_like_reasoning(
    attempts: Iterable[Attempt], questions: Mapping[str, str], rules: FormRules
) -> tuple[int, int]:
    """How many answers look like reasoning, and of how many; whether they are right is not looked at."""
    form = rules.model_copy(update={"answered": False, "right": False})
    found = [not form.why_not_kept(attempt, questions[attempt.question]) for attempt in attempts]
    return sum(found), len(found)


def keep_paths(
    attempts: Iterable[Attempt], task: Task, questions: Mapping[str, Question], rules: FormRules, most: int
) -> Kept:
    """The answers that look like reasoning as lessons, at most so many different ones a question, and what became of the others by rule.

    The prompt is that of the zero-shot exam: what is raised is what the student says without being led.
    """
    lessons: list[Lesson] = []
    counts: dict[str, int] = {}
    had: dict[str, set[str]] = {}
    total = 0
    for attempt in attempts:
        total += 1
        question, seen = questions[attempt.question], had.setdefault(attempt.question, set())
        reason = rules.why_not_kept(attempt, question.text)
        words = same_words(attempt.text)
        reason = reason or ("repeated" if words in seen else f"beyond {most} a question" if len(seen) >= most else "")
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
            continue
        seen.add(words)
        asked = zero_shot(task.ask(question)).messages[-1].content
        lessons.append(
            Lesson(
                question=question.id,
                prompt=asked,
                completion=attempt.text.strip(),
                kind="path",
                sample=attempt.sample,
                teacher=attempt.model,
            )
        )
    return Kept(lessons=tuple(lessons), source="paths", total=total, dropped=dict(sorted(counts.items())))


def _telling(words: Iterable[str]) -> list[str]:
    """Numbers, and words that are long enough to be about something."""
    return [word for word in words if word.isdecimal() or len(word) >= _LONG]


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
