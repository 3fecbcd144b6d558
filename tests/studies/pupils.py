"""Scripted students for studies, each right on a share of the questions of its own, and a launcher that teaches them."""

import zlib
from collections.abc import Callable
from typing import Any

from tests.recipes.noting import Noting, Taught

from tutelage.tasks.catalog import find_task
from tutelage.types import Chat

TASK = "word_problems?size=300"


def pupil(share: float) -> Callable[[Chat, int], str]:
    """A student that works out so many of all sums rightly; its wrong answers are one too high."""

    def answer(chat: Chat, sample: int) -> str:
        text = chat.messages[-1].content
        gold = int(ANSWERS[text])
        good = zlib.crc32(f"{text}{sample}".encode()) % 1000 < 1000 * share
        return f"So it is {gold - 1} + 1 = {gold if good else gold + 1}. --> {gold if good else gold + 1}"

    return answer


ANSWERS = {
    question.text: question.answer
    for seed in (0, 1, 2, 3, 4, 9)
    for split in ("train", "dev", "test")
    for question in find_task(f"{TASK}&seed={seed}").load(split)
}


def mute(chat: Chat, sample: int) -> str:
    """A student that answers nothing that can be read."""
    return "I cannot say."


untuned, weak, good, better = pupil(0.05), pupil(0.4), pupil(0.6), pupil(0.8)


def launcher() -> Noting:
    """Who is taught longer learns more, and a rate of 1 ruins everybody."""

    def student(taught: Taught) -> str:
        if taught.training.learning_rate >= 1:
            return f"scripted:{__name__}:untuned"
        named = "weak" if taught.step.startswith("1-") else {1: "good", 2: "better"}[taught.training.epochs]
        return f"scripted:{__name__}:{named}"

    return Noting(student)


def study(**more: Any) -> dict[str, Any]:
    """Two arms that share a first round, three seeds."""
    return {
        "study": "short",
        "base": {
            "recipe": "tailored",
            "task": TASK,
            "teacher": "worked:",
            "student": f"scripted:{__name__}:untuned",
            "questions": {"dev": "dev", "test_limit": 50},
            "rounds": 2,
            "first": 20,
            "patience": None,
            "review": 0,
            "mistakes": {"n": 1, "temperature": 0, "questions": 40},
            "feedback": {"questions": 10},
            "training": {"epochs": 1},
            "exam": {"chunk": 16},
            "baselines": [],
        },
        "arms": {"once": {}, "twice": {"later.epochs": 2}},
        "seeds": [0, 1, 2],
        "seed_of": ["run", "task"],
        "compare": [["once", "twice"]],
        **more,
    }
