"""What tests of the export share: finished runs of tiny students, made once a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tutelage

Finished = Callable[[str, str, bool], Path]


def config(recipe: str, student: Path, lora: bool) -> dict[str, Any]:
    """A short run in float32, in which no answer depends on the batch it is written in."""
    # A tailored student must still answer wrongly after round 1, to be corrected; the other one learns to vary.
    epochs = 3 if recipe == "tailored" else 12
    training: dict[str, Any] = {"epochs": epochs, "batch": 8, "learning_rate": 0.01, "precision": "float32"}
    raw: dict[str, Any] = {
        "recipe": recipe,
        "task": "coin_flip?size=100",
        "student": {"name": f"hf:{student}", "dtype": "float32"},
        "baselines": ["zero_shot"],
        "questions": {"test_limit": 12},
        "training": training | ({"lora": {"r": 4}} if lora else {}),
        "exam": {"max_tokens": 40},
    }
    if recipe == "tailored":
        raw["questions"] |= {"dev_limit": 10, "train_limit": 50}
        raw["training"] |= {"schedule": "constant", "warmup": 0}
        raw |= {
            "start": "warm",
            "rationales": {"samples": 1},
            "rounds": 2,
            "patience": None,
            "mistakes": {"n": 2},
            "feedback": {"rationales": 2, "practice": 1, "votes": 1, "agree": 1},
            "later": {"learning_rate": 0.001, "reflection": {"weight": 0.5}},
        }
    return raw


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, base_student: Path, chat_student: Path) -> Finished:
    """A finished run by recipe, student ("base" or "chat") and whether it was trained as an adapter."""
    made: dict[tuple[str, str, bool], Path] = {}
    students = {"base": base_student, "chat": chat_student}

    def run(recipe: str, student: str, lora: bool) -> Path:
        key = (recipe, student, lora)
        if key not in made:
            folder = tmp_path_factory.mktemp("runs") / "it"
            tutelage.run(config(recipe, students[student], lora), folder)
            made[key] = folder
        return made[key]

    return run
