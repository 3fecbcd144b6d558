"""Every objective of the table, alone and beside another: it trains, what it tells adds up, and an interruption changes nothing."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tutelage.errors import Interrupted
from tutelage.training import heads
from tutelage.training.job import Callbacks
from tutelage.training.mixing import Mix
from tutelage.training.objectives import OBJECTIVES
from tutelage.training.settings import TrainingConfig, objective_choices
from tutelage.training.trainer import fit
from tutelage.types import Lesson


def lesson(question: int, way: str) -> Lesson:
    """One with whatever an objective may want: other right rationales, mistakes, feedback, sums."""
    told = f"A coin is heads up. {'Maya flips it. ' * question}Is it?"
    wrong = ("It was not flipped. --> no", "Odd, so no. --> no")[: 1 + question % 2]
    begin = "We look."
    written = f"{begin} {way} {question} + 2 = {question + 2} it is. --> yes"
    return Lesson(
        question=str(question),
        prompt=told,
        completion=written,
        kind="repair",
        wrong=wrong,
        feedback="Count again.",
        kept=len(begin),
        mistaken=f"{begin} {way} {question} + 2 = 1 it is. --> no" if way != "Thus" else "",
    )


LESSONS = [lesson(question, way) for question in range(4) for way in ("So", "Then", "Thus")][:11]
# An untaught student thinks nothing likely, so there nothing is too unlikely to count.
OPTIONS: dict[str, Any] = {
    "unlikelihood": {"name": "unlikelihood", "above": 0.0},
    "imitate": {"name": "imitate", "scorer": "hf:@student?dtype=float32&device=cpu", "top": 5},
}
MIXES = [
    *(OPTIONS.get(name, name) for name in OBJECTIVES),
    {"likelihood": 1.0, "reflection": 0.5},
    {"likelihood": 0.0, "reflection": 2.0},
    ["likelihood", {"name": "reflection", "variant": "paper", "weight": 0.5}],
    [{"name": "reflection", "variant": "paper"}],
    {"repair": 1.0, "unlikelihood": 0.5, "critique": 0.2},
    [{"name": "prefer", "form": "dpo", "beta": 0.1}, {"name": "self_distil", "weight": 0.3, "top": 7}],
    [
        {"name": "prefer", "form": "orpo", "span": "tail", "against": "others"},
        {"name": "critique", "weight": 0.2, "lines": "shuffled"},
    ],
]
each = pytest.mark.parametrize("objective", MIXES, ids=str)


def given(objective: Any, student: Path) -> Any:
    """An objective with the student's own folder where it names a model."""
    return json.loads(json.dumps(objective).replace("@student", str(student)))


def train(
    folder: Path,
    student: Path,
    objective: Any,
    stopping: Callable[[], bool] = lambda: False,
    lessons: Sequence[Lesson] = LESSONS,
    **more: Any,
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    settings = {"epochs": 2, "batch": 4, "learning_rate": 1e-3, "precision": "float32", **more}
    settings["objective"] = given(objective, student)
    spec = {"name": str(student), "cache": "", "device": "cpu"}
    return fit(spec, lessons, TrainingConfig(**settings), 3, folder, Callbacks(lambda tick: None, stopping))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_goes_by_the_name_of_the_table(name: str) -> None:
    (member,) = Mix(objective_choices(OPTIONS.get(name, name))).members
    assert member.objective.name == name


@each
def test_what_it_tells_is_named_and_finite_at_every_step(base_student: Path, tmp_path: Path, objective: Any) -> None:
    ticks: list[dict[str, Any]] = []
    folder = tmp_path / "s"
    folder.mkdir()
    settings = TrainingConfig(epochs=2, batch=4, precision="float32", objective=given(objective, base_student))
    spec = {"name": str(base_student), "cache": "", "device": "cpu"}
    facts = fit(spec, LESSONS, settings, 3, folder, Callbacks(ticks.append, lambda: False))
    assert len(ticks) == facts["steps"] == len(facts["losses"])
    assert [tick["loss"] for tick in ticks] == facts["losses"]
    for name, curve in facts.get("numbers", {}).items():
        assert name
        assert len(curve) == facts["steps"]
        assert all(map(math.isfinite, curve))
        assert [tick["numbers"][name] for tick in ticks] == curve
    assert all(map(math.isfinite, facts["losses"]))
    before, after = weights_of(base_student), weights_of(folder)
    assert any(not torch.equal(before[name], weights) for name, weights in after.items())


@each
def test_micro_batches_add_up(base_student: Path, tmp_path: Path, objective: Any) -> None:
    """Of 3, so that parts of a batch are of different sizes, and the last batch leaves one without lessons."""
    whole = train(tmp_path / "whole", base_student, objective, epochs=1)
    micro = train(tmp_path / "micro", base_student, objective, epochs=1, micro_batch=3)
    assert micro["losses"] == pytest.approx(whole["losses"], abs=2e-4)
    assert micro.get("numbers", {}).keys() == whole.get("numbers", {}).keys()
    for name, curve in whole.get("numbers", {}).items():
        assert micro["numbers"][name] == pytest.approx(curve, abs=2e-4)
    expected = weights_of(tmp_path / "whole")
    assert all(
        torch.allclose(weights, expected[name], atol=2e-4) for name, weights in weights_of(tmp_path / "micro").items()
    )


@each
def test_a_training_that_goes_on_ends_like_an_undisturbed_one(
    base_student: Path, tmp_path: Path, objective: Any
) -> None:
    whole = train(tmp_path / "whole", base_student, objective, micro_batch=2)
    asked: list[int] = []

    def third() -> bool:
        asked.append(1)
        return len(asked) >= 3

    with pytest.raises(Interrupted):
        train(tmp_path / "part", base_student, objective, third, micro_batch=2)
    resumed = train(tmp_path / "part", base_student, objective, micro_batch=2)
    assert (resumed["losses"], resumed.get("numbers")) == (whole["losses"], whole.get("numbers"))
    expected = weights_of(tmp_path / "whole")
    assert all(torch.equal(weights, expected[name]) for name, weights in weights_of(tmp_path / "part").items())


@pytest.mark.parametrize("more", [{}, {"lora": {"r": 2}}, {"precision": "bfloat16"}], ids=str)
@each
def test_logits_in_pieces_train_the_same_student(
    base_student: Path, tmp_path: Path, objective: Any, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two tokens each, made again for the gradient."""
    whole = train(tmp_path / "whole", base_student, objective, epochs=1, **more)
    made: list[int] = []
    usual = heads.Head.logits

    def counted(self: heads.Head, states_NH: torch.Tensor) -> torch.Tensor:
        made.append(len(states_NH))
        return usual(self, states_NH)

    monkeypatch.setattr(heads.Head, "logits", counted)
    monkeypatch.setattr(heads, "WHOLE", 0)
    monkeypatch.setattr(heads, "PAYS", 0)
    monkeypatch.setattr(heads, "PIECE", 2 * 4 * vocabulary(base_student))
    pieces = train(tmp_path / "pieces", base_student, objective, epochs=1, **more)
    scored = pieces.get("target_tokens", 0)
    assert {*made[1:]} <= {1, 2}  # the first was the look
    assert len(made) > 10 or not scored  # self-reflection alone reads states and no logits
    close = 2e-2 if "precision" in more else 1e-5
    assert pieces["losses"] == pytest.approx(whole["losses"], abs=close)
    for name, curve in whole.get("numbers", {}).items():
        # What has not moved yet is preferred by a hair of rounding, or not.
        tied = name == "preferred" and "dpo" in str(objective)
        assert tied or pieces["numbers"][name] == pytest.approx(curve, abs=max(close, 1e-4))
    if "precision" not in more:
        file = "adapter_model.safetensors" if "lora" in more else "model.safetensors"
        expected, found = load_file(tmp_path / "whole" / file), load_file(tmp_path / "pieces" / file)
        assert all(torch.allclose(one, expected[name], atol=1e-4) for name, one in found.items())


def vocabulary(student: Path) -> int:
    return int(json.loads((student / "config.json").read_text())["vocab_size"])
