"""Lessons that the student itself has written: a teacher's probabilities are learned on them, and none of their words."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.training.test_trainer import LESSONS

from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig
from tutelage.training.trainer import fit
from tutelage.types import Lesson

OWN = [replace(one, kind="rollout", completion=f"Perhaps {one.question}") for one in LESSONS]


def learn(folder: Path, student: Path, scorer: Path, lessons: list[Lesson], **options: Any) -> dict[str, Any]:
    folder.mkdir()
    spec = {"kind": "hf", "name": str(scorer), "dtype": "float32", "device": "cpu"}
    objective = {"name": "imitate", "scorer": spec, "top": 5, "rollouts": False, **options}
    config = TrainingConfig(
        epochs=1, batch=4, learning_rate=1e-9, precision="float32", objective=objective, micro_batch=2
    )
    begun = {"name": str(student), "cache": "", "device": "cpu"}
    return fit(begun, lessons, config, 3, folder, Callbacks(lambda tick: None, lambda: False))


@pytest.fixture(scope="module")
def other(chat_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another student with the same tokens: one that has learned something."""
    folder = tmp_path_factory.mktemp("other") / "s"
    folder.mkdir()
    config = TrainingConfig(epochs=3, batch=4, learning_rate=1e-2, precision="float32")
    begun = {"name": str(chat_student), "cache": "", "device": "cpu"}
    fit(begun, LESSONS, config, 3, folder, Callbacks(lambda tick: None, lambda: False))
    return folder


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_of_itself_there_is_nothing_to_learn_and_of_another_there_is(
    chat_student: Path, other: Path, tmp_path: Path, beta: float
) -> None:
    itself = learn(tmp_path / "a", chat_student, chat_student, OWN, beta=beta, share=0.3)
    assert itself["numbers"]["imitate"] == pytest.approx([0, 0, 0], abs=1e-5)
    assert itself["losses"] == pytest.approx([0, 0, 0], abs=1e-5)  # none of their words is likelihood's
    another = learn(tmp_path / "b", chat_student, other, OWN, beta=beta, share=0.3)
    assert min(another["numbers"]["imitate"]) > 0.001


def test_the_rest_of_a_mix_is_learned_by_likelihood_too(chat_student: Path, other: Path, tmp_path: Path) -> None:
    plain = learn(tmp_path / "a", chat_student, other, LESSONS)
    mixed = learn(tmp_path / "b", chat_student, other, [*LESSONS, *OWN])
    assert plain["first_loss"] > 1
    assert all(one == 0 or one > 1 for one in mixed["losses"])  # a batch may hold rollouts alone
    assert mixed["steps"] == 5
    assert min(mixed["numbers"]["imitate"]) > 0.001
