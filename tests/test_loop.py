"""examples/loop.py, which shares no code with the library, teaches the same lessons with the same losses."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tutelage import runner
from tutelage.models.local import templates, weights
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Chat, Lesson

TASK = "coin_flip?size=40"
QUESTIONS = {split: find_task(TASK).load(split) for split in ("train", "test")}
GOLD = {q.text: q.answer for rows in QUESTIONS.values() for q in rows}
EPOCHS = 25


def reply(text: str, answering: bool) -> str:
    """A teacher that knows the answers; both the library and the file ask it, each in its own words.

    With the rationale of the first round that makes two lessons a question, so that each has one positive to draw.
    """
    gold = next(answer for question, answer in GOLD.items() if question in text)
    if "<solution>" in text:
        return f"<solution>Count them. The answer is {gold}.</solution>"
    return f"{gold}." if answering else "Count."


def teacher(chat: Chat, sample: int) -> str:
    return reply(chat.messages[0].content, len(chat.messages) > 1)


def plain_loop() -> Any:
    path = Path(__file__).parents[1] / "examples" / "loop.py"
    spec = importlib.util.spec_from_file_location("loop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library(student: Path, folder: Path) -> None:
    runner.run(
        {
            "recipe": "tailored",
            "task": TASK,
            "teacher": f"scripted:{__name__}:teacher",
            "student": {"kind": "hf", "name": str(student), "dtype": "float32", "device": "cpu"},
            "baselines": [],
            "rationales": {"samples": 1, "calls": 2},
            "start": "warm",
            "rounds": 2,
            "patience": None,
            "questions": {"dev": "dev"},
            "mistakes": {"n": 1, "temperature": 0},
            "feedback": {"shown": 1, "rationales": 2},
            "training": {
                "epochs": EPOCHS, "batch": 500, "learning_rate": 0.01, "schedule": "constant", "precision": "float32", "warmup": 0,
                "weight_decay": 0, "prompt_weight": 0.1, "reflection": None,
            },
            "later": {"learning_rate": 0.001, "reflection": {}},
            "exam": {"max_tokens": 12},
        },
        folder,
    )  # fmt: skip


def test_the_plain_file_and_the_library_agree(base_student: Path, tmp_path: Path) -> None:
    import json

    import torch

    library(base_student, tmp_path / "run")
    model, tokenizer = weights.load(str(base_student), torch.float32, Path())
    templates.prepare(tokenizer)
    plain = {split: [{"question": q.text, "answer": q.answer} for q in rows] for split, rows in QUESTIONS.items()}
    rounds = plain_loop().tailored(
        model, tokenizer, plain["train"], plain["test"], lambda messages: reply(messages[0]["content"], len(messages) > 1),
        rounds=2, tokens=12, epochs=EPOCHS, rates=(0.01, 0.001), batch=500,
    )  # fmt: skip
    taught: list[Lesson] = []
    for number, (lessons, losses, score) in enumerate(rounds, start=1):
        step = "lessons" if number == 1 else "2-lessons"
        taught += records.read_records(tmp_path / "run" / step / "records.jsonl", Lesson)
        expected = {(lesson.prompt, lesson.completion) for lesson in taught}
        assert {(one["question"], one["completion"]) for one in lessons} == expected
        facts = json.loads((tmp_path / "run" / f"{number}-student" / "facts.json").read_text())
        terms = facts.get("numbers", {}).get("reflection", [0.0] * len(losses))
        assert losses == pytest.approx([a + 0.5 * b for a, b in zip(facts["losses"], terms, strict=True)], abs=1e-3)
        sat = records.read_records(tmp_path / "run" / f"{number}-test" / "records.jsonl", Attempt)
        assert score == sum(attempt.verdict == "right" for attempt in sat) / len(sat)
    assert facts["active"]["reflection"] > 0.3
    assert len(taught) > len(QUESTIONS["train"])
