"""What a real student needs of one device: memory that suffices, transformers' own options, trackers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.contracts.test_objectives import LESSONS, train

from tutelage.classroom.remarks import of_training
from tutelage.errors import ConfigError, LessonError
from tutelage.models.local import weights
from tutelage.training import arguments, heads, learner
from tutelage.training.mixing import Mix
from tutelage.training.settings import TrainingConfig


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def full_above(monkeypatch: pytest.MonkeyPatch, most: int, after: int = 0) -> list[int]:
    """A device whose memory ends at so many lessons at once."""
    usual, seen = Mix.loss, list[int]()

    def loss(self: Mix, model: Any, plain: Any, inputs: Any) -> Any:
        seen.append(len(inputs["input_ids"]))
        if len(seen) > after and seen[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return usual(self, model, plain, inputs)

    monkeypatch.setattr(Mix, "loss", loss)
    return seen


@pytest.mark.parametrize("after", [0, 2])
def test_out_of_memory_halves_the_lessons_at_once_and_ends_the_same(
    after: int, base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(tmp_path / "two", base_student, "likelihood", micro_batch=1)
    seen = full_above(monkeypatch, 1, after)
    facts = train(tmp_path / "s", base_student, "likelihood")
    assert max(seen) >= 3
    assert (facts["halved"], facts["at_once"]) == (2, 1)
    assert any("out of memory 2 times: 1 lessons at once" in line for line in of_training(facts))
    assert facts["losses"] == expected["losses"]
    found, wanted = weights_of(tmp_path / "s"), weights_of(tmp_path / "two")
    assert all(torch.equal(one, wanted[name]) for name, one in found.items())


def test_a_training_that_fits_in_no_way_is_one_sentence(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_above(monkeypatch, 0)
    with pytest.raises(LessonError, match=r"one lesson at once: set training\.gradient_checkpointing=true"):
        train(tmp_path / "s", base_student, "likelihood")


def test_another_error_is_not_taken_for_memory(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(*_: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Mix, "loss", loss)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(tmp_path / "s", base_student, "likelihood")


@pytest.mark.parametrize("objective", ["likelihood", {"repair": 1.0, "unlikelihood": 0.5, "reflection": 0.3}], ids=str)
def test_layers_computed_again_train_the_same_student(base_student: Path, tmp_path: Path, objective: Any) -> None:
    whole = train(tmp_path / "whole", base_student, objective)
    again = train(tmp_path / "again", base_student, objective, gradient_checkpointing=True)
    assert again["losses"] == whole["losses"]
    found, wanted = weights_of(tmp_path / "again"), weights_of(tmp_path / "whole")
    assert all(torch.equal(one, wanted[name]) for name, one in found.items())


def test_a_base_in_half_precision_learns_like_one_in_float32(base_student: Path, tmp_path: Path) -> None:
    made = {
        base: train(tmp_path / base, base_student, "likelihood", lora={"r": 4, "base": base}, precision="bfloat16")
        for base in ("float32", "bfloat16")
    }
    assert made["bfloat16"]["losses"] == pytest.approx(made["float32"]["losses"], abs=0.03)
    assert made["bfloat16"]["losses"][-1] < made["bfloat16"]["losses"][0]
    adapters = load_file(tmp_path / "bfloat16" / "adapter_model.safetensors")
    assert {one.dtype for one in adapters.values()} == {torch.float32}


@pytest.mark.parametrize(("precision", "kept"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_frozen_weights_are_kept_as_products_are(
    precision: str, kept: torch.dtype, base_student: Path, tmp_path: Path
) -> None:
    config = TrainingConfig.model_validate({"precision": precision, "lora": {"r": 2}})
    given = {"name": str(base_student), "cache": str(tmp_path)}
    model, *_ = learner.begin_with(given, config, arguments.products(config, "cpu"))
    model = learner.ready(model, config, "cpu", 10)
    kinds = {(one.requires_grad, one.dtype) for one in model.parameters()}
    assert kinds == {(True, torch.float32), (False, kept)}
    full = config.model_copy(update={"lora": None})
    whole, *_ = learner.begin_with(given, full, "bfloat16")
    assert {one.dtype for one in whole.parameters()} == {torch.float32}


def test_long_lessons_take_the_attention_that_holds_them(base_student: Path, tmp_path: Path) -> None:
    model, _ = weights.load(str(base_student), torch.float32, tmp_path)
    for attention, longest, chosen in (("auto", 100, "eager"), ("auto", 5000, "sdpa"), ("sdpa", 10, "sdpa"), ("eager", 5000, "eager")):  # fmt: skip
        model.set_attn_implementation("sdpa")
        learner.ready(model, TrainingConfig.model_validate({"attention": attention}), "cpu", longest)
        assert model.config._attn_implementation == chosen


def test_attention_that_is_not_there_is_one_sentence(base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"training\.attention=flash_attention_2: this student cannot have it here"):
        train(tmp_path / "s", base_student, "likelihood", attention="flash_attention_2")


def test_options_of_transformers_reach_it(base_student: Path, tmp_path: Path) -> None:
    usual = train(tmp_path / "usual", base_student, "likelihood")
    other = train(tmp_path / "other", base_student, "likelihood", trainer={"adam_beta2": 0.5}, optimizer="adafactor")
    made = arguments.made(TrainingConfig.model_validate({"trainer": {"adam_beta2": 0.5}}), 0, tmp_path, (3, 1), "cpu")
    assert made.adam_beta2 == 0.5
    assert other["losses"] != usual["losses"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trainer": {"adam_beta3": 0.9}}, "no field 'adam_beta3'; did you mean 'adam_beta"),
        ({"trainer": {"learning_rate": 1e-4}}, "set by training.learning_rate"),
        ({"trainer": {"max_steps": 3}}, "follows from how lessons are planned"),
        ({"trainer": {"neftune_noise_alpha": "loud", "ddp_backend": "pigeon"}}, "transformers refuses it"),
        ({"optimizer": "adamw_9bit"}, "unknown optimiser 'adamw_9bit'; did you mean 'adamw_8bit'"),
        ({"report_to": ["tensorbored"]}, "'tensorbored' is not installed"),
    ],
)
def test_what_transformers_would_refuse_is_one_sentence(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        arguments.made(TrainingConfig.model_validate(given), 0, tmp_path, (3, 1), "cpu")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gradient_checkpointing": True, "reflection": {"variant": "paper"}}, "keeps no cache in training"),
        ({"precision": "float32", "lora": {"base": "bfloat16"}}, "needs products in bfloat16"),
    ],
)
def test_settings_that_exclude_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainingConfig.model_validate(given)


def test_logits_that_cannot_be_made_in_pieces_are_held_whole_and_said(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = train(tmp_path / "usual", base_student, "likelihood")
    monkeypatch.setattr(heads, "WHOLE", 0)
    monkeypatch.setattr(heads, "_agrees", lambda *_: False)
    whole = train(tmp_path / "whole", base_student, "likelihood")
    assert whole["whole"] is True
    assert whole["losses"] == usual["losses"]
    assert any("held whole" in line for line in of_training(whole))


def test_a_tracker_follows_a_training(base_student: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "board"
    objective = {"repair": 1.0, "unlikelihood": 0.5}
    import os

    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    try:
        facts = train(tmp_path / "s", base_student, objective, report_to=["tensorboard"])
    finally:
        del os.environ["TENSORBOARD_LOGGING_DIR"]
    told = EventAccumulator(str(folder))
    told.Reload()
    assert [event.value for event in told.Scalars("train/loss")] == pytest.approx(facts["losses"], abs=1e-4)
    curve = [event.value for event in told.Scalars("train/objective/unlikelihood")]
    assert curve == pytest.approx(facts["numbers"]["unlikelihood"], abs=1e-4)


def test_a_step_of_an_earlier_version_is_still_the_same_step() -> None:
    told = TrainingConfig().model_dump(mode="json")
    assert not told.keys() & {"optimizer", "attention", "gradient_checkpointing", "report_to", "trainer"}
    assert json.loads(TrainingConfig.model_validate({"lora": {}}).model_dump_json())["lora"].keys() == {
        "r", "alpha", "dropout", "targets",
    }  # fmt: skip
    assert len(LESSONS) == 11
