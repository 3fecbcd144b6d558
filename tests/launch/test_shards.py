"""A student that is cut among the processes that train it is the one that a single process makes."""

import itertools
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.launch.test_gang import SLOW, bytes_of, is_near, of_rank, train

from tutelage.errors import ConfigError, Interrupted, LessonError
from tutelage.launch.catalog import find_launcher
from tutelage.training import sharding
from tutelage.types import JsonObject

CUT = "processes:2?shard=always"


@pytest.fixture(scope="module")
def undisturbed(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training in two shares that nothing happened to."""
    folder = tmp_path_factory.mktemp("shards") / "two"
    facts = train(CUT, folder, base_student)
    assert facts["cut"]
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"micro_batch": 1, "gradient_checkpointing": True},
        {"objective": {"name": "prefer", "form": "dpo"}, "reflection": {}, "epochs": 1},
        {"objective": {"likelihood": 1.0, "unlikelihood": 0.5}, "micro_batch": 3, "packing": True, "epochs": 1},
    ],
    ids=["checkpointed", "mixed", "packed"],
)
def test_a_student_in_shares_learns_what_a_whole_one_learns(
    base_student: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    alone = train("here", tmp_path / "one", base_student, **settings)
    facts = train(CUT, tmp_path / "two", base_student, **settings)
    assert facts["cut"]
    assert facts["processes"] == 2
    assert facts["losses"] == pytest.approx(alone["losses"], abs=2e-4)  # logged with four decimals
    assert is_near(tmp_path / "one", tmp_path / "two", 1e-5)
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    assert (tmp_path / "one" / "config.json").read_bytes() == (tmp_path / "two" / "config.json").read_bytes()


def test_adapters_on_a_base_in_shares(base_student: Path, tmp_path: Path) -> None:
    alone = train("here", tmp_path / "one", base_student, lora={"r": 3})
    facts = train("processes:3?shard=always", tmp_path / "two", base_student, lora={"r": 3})
    assert facts["losses"] == pytest.approx(alone["losses"], abs=2e-4)
    one, two = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(((value - two[name]).abs().max() < 1e-5) for name, value in one.items())
    assert facts["frozen_in"] == alone["frozen_in"]


def test_a_death_changes_nothing(base_student: Path, tmp_path: Path, undisturbed: Path) -> None:
    killed: list[int] = []

    def hear(tick: JsonObject) -> None:
        if tick["done"] == 2 and not killed:
            killed.append(2)
            os.kill(of_rank(1).pid, signal.SIGKILL)

    facts = train(CUT, tmp_path / "s", base_student, hear, checkpoint_minutes=1e-6, **SLOW)
    assert facts["deaths"] == 1
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)


def test_it_goes_on_in_as_many_shares_in_others_or_whole(base_student: Path, tmp_path: Path, undisturbed: Path) -> None:
    for number, then in enumerate((CUT, "processes:3?shard=always", "here")):
        folder, done = tmp_path / str(number), list[int]()
        with pytest.raises(Interrupted, match=r"stopped after [12] of 4"):
            train(
                CUT,
                folder,
                base_student,
                lambda tick, own=done: own.append(tick["done"]),
                lambda own=done: bool(own),
                **SLOW,
            )  # type: ignore[misc]
        train(then, folder, base_student)
        assert is_near(folder, undisturbed, 1e-5)
        if then == CUT:
            assert bytes_of(folder) == bytes_of(undisturbed)


def test_what_was_begun_whole_goes_on_whole(base_student: Path, tmp_path: Path, undisturbed: Path) -> None:
    asked = itertools.count()
    with pytest.raises(Interrupted):
        train("here", tmp_path / "s", base_student, stopping=lambda: next(asked) > 0)
    facts = train(CUT, tmp_path / "s", base_student)
    assert "cut" not in facts
    assert is_near(tmp_path / "s", undisturbed, 1e-5)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"optimizer": "adafactor"}, "training.optimizer=adafactor keeps cannot be cut"),
        ({"reflection": {"variant": "paper"}}, "reflection.variant=paper reads texts in passes of its own"),
    ],
)
def test_what_cannot_be_cut(base_student: Path, tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(LessonError, match=f"shard=always: .*{says}"):
        train(CUT, tmp_path / "s", base_student, **settings)
    assert "cut" not in train("processes:2", tmp_path / "s", base_student, epochs=1, **settings)


def test_a_large_student_is_cut_unasked() -> None:
    large = sharding.LARGE
    assert [sharding.is_asked("auto", count) for count in (large - 1, large)] == [False, True]
    assert sharding.is_asked("always", 1)
    assert not sharding.is_asked("never", large)


def test_an_unknown_way_to_cut() -> None:
    with pytest.raises(ConfigError, match=r"shard='alway' must be auto, always or never; did you mean"):
        find_launcher("processes:2?shard=alway")
