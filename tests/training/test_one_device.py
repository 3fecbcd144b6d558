"""What a real student needs of one device: memory that suffices, transformers' own options, trackers."""

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.contracts import architectures
from tests.contracts.test_objectives import LESSONS, train

from tutelage.classroom.remarks import of_training
from tutelage.errors import ConfigError, LessonError
from tutelage.models.local import weights
from tutelage.training import arguments, heads, layout, learner, memory
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


@pytest.mark.parametrize(("after", "minutes"), [(0, 10), (2, 10), (3, 1e-6)])
def test_out_of_memory_halves_the_lessons_at_once_and_ends_the_same(
    after: int, minutes: float, base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(tmp_path / "two", base_student, "likelihood", micro_batch=1)
    seen = full_above(monkeypatch, 1, after)
    facts = train(tmp_path / "s", base_student, "likelihood", checkpoint_minutes=minutes)
    assert max(seen) >= 3
    if minutes < 1:  # it goes on from the last checkpoint: what was learned at first was learned in whole batches
        assert len(seen) < 3 + 2 + 22
        assert facts["losses"] == pytest.approx(expected["losses"], abs=1e-4)
        return
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


@pytest.mark.parametrize(
    "said",
    ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
     "MPS backend out of memory (MPS allocated: 9.0 GB)", "DefaultCPUAllocator: can't allocate memory"],
)  # fmt: skip
def test_memory_ends_in_many_words(
    said: str, base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(*_: Any) -> Any:
        raise RuntimeError(said)

    monkeypatch.setattr(Mix, "loss", loss)
    with pytest.raises(LessonError, match="does not hold the training of one lesson at once"):
        train(tmp_path / "s", base_student, "likelihood")


def test_memory_that_ends_in_a_look_at_the_student_is_no_finding(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, failed = layout._states, list[int]()

    def states(*given: Any) -> Any:
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return usual(*given)

    monkeypatch.setattr(layout, "_states", states)
    facts = train(tmp_path / "s", base_student, "prefer")
    assert (facts["halved"], facts["apart"]) == (1, "")


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


def test_adapters_take_their_inputs_as_they_come_and_learn_the_same(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copies in float32 where products are rounded anyhow: fewer bytes are held for the way back, to the same bits."""
    held: dict[str, int] = {}

    def taught(name: str) -> Any:
        usual = Mix.loss

        def loss(self: Mix, *given: Any) -> Any:
            with memory.holding() as kept:
                found = usual(self, *given)
            held[name] = max(held.get(name, 0), memory.bytes_of(kept))
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Mix, "loss", loss)
            facts = train(tmp_path / name, base_student, "likelihood", lora={"r": 4}, precision="bfloat16")
        return facts["losses"], load_file(tmp_path / name / "adapter_model.safetensors")

    losses, found = taught("as they come")
    monkeypatch.setattr(learner, "in_its_own_kind", lambda *_: nullcontext())
    expected, wanted = taught("copied")
    assert losses == expected
    assert all(torch.equal(one, wanted[name]) for name, one in found.items())
    assert held["as they come"] < 0.95 * held["copied"]


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


def test_a_student_that_cannot_compute_layers_again_is_one_sentence(base_student: Path, tmp_path: Path) -> None:
    student = architectures.make("openai-gpt", base_student, tmp_path / "openai-gpt")
    with pytest.raises(LessonError, match=r"training\.gradient_checkpointing: OpenAIGPTLMHeadModel cannot"):
        train(tmp_path / "s", student, "likelihood", gradient_checkpointing=True)


def test_options_of_transformers_reach_it(base_student: Path, tmp_path: Path) -> None:
    usual = train(tmp_path / "usual", base_student, "likelihood")
    for given in (
        {"trainer": {"adam_beta2": 0.5}},
        {"trainer": {"neftune_noise_alpha": 5}},
        {"optimizer": "adafactor"},
    ):
        other = train(tmp_path / str(given)[2:8], base_student, "likelihood", **given)
        assert other["losses"] != usual["losses"]
    made = arguments.made(TrainingConfig.model_validate({"trainer": {"adam_beta2": 0.5}}), 0, tmp_path, (3, 1), "cpu")
    assert made.adam_beta2 == 0.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trainer": {"adam_beta3": 0.9}}, "no field 'adam_beta3'; did you mean 'adam_beta"),
        ({"trainer": {"learning_rate": 1e-4}}, "set by training.learning_rate"),
        ({"trainer": {"max_steps": 3}}, "follows from how lessons are planned"),
        ({"trainer": {"torch_compile": True}}, "'torch_compile' is not taken"),
        ({"trainer": {"label_smoothing_factor": 0.5}}, "does nothing here"),
        ({"trainer": {"activation_checkpointing": True}}, "set by training.gradient_checkpointing"),
        ({"trainer": {"adam_beta2": 1.5}}, "cannot be used: Invalid beta parameter"),
        ({"trainer": {"adam_beta2": "high"}}, "cannot be used"),
        ({"optimizer": "adamw_8bit"}, "training.optimizer: they cannot be used"),
        ({"attention": "flash_attention_2"}, "needs a GPU and the package flash-attn"),
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
    monkeypatch.setattr(heads, "PAYS", 0)
    monkeypatch.setattr(heads, "_agrees", lambda *_: False)
    whole = train(tmp_path / "whole", base_student, "likelihood")
    assert whole["whole"] is True
    assert whole["losses"] == usual["losses"]
    assert any("held whole" in line for line in of_training(whole))


@pytest.mark.parametrize("where", ["", "board"])
def test_a_tracker_follows_a_training(
    where: str, base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if where:
        monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / where))
    folder = tmp_path / (where or "tracking/s")
    facts = train(tmp_path / "s", base_student, {"repair": 1.0, "unlikelihood": 0.5}, report_to=["tensorboard"])
    assert ("TENSORBOARD_LOGGING_DIR" in os.environ) == bool(where)
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


def test_a_sum_in_pieces_takes_what_whole_logits_take(base_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that close over weights of their own, values without a gradient; and a gradient is read once."""
    model, _ = weights.load(str(base_student), torch.float32, Path())
    head = heads.Head(model, model.get_decoder())
    monkeypatch.setattr(heads, "PIECE", 3 * 4 * model.config.vocab_size)
    states = torch.randn(10, model.config.hidden_size, requires_grad=True)
    labels, scale = torch.arange(10), torch.ones(10, requires_grad=True)

    def value(logits: torch.Tensor, own: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        return (logits.log_softmax(-1).gather(-1, own[:, None])[:, 0] * by).sum()

    expected = torch.autograd.grad(value(head.logits(states), labels, scale), [states, scale])
    found = torch.autograd.grad(head.total(states, value, [labels, scale]), [states, scale])
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))
    count = head.total(states, lambda logits, own: (logits.argmax(-1) == own).float().sum(), [labels])
    assert float(count.detach()) == float((head.logits(states).argmax(-1) == labels).sum())
    total = head.total(states, lambda logits, own: value(logits, own, torch.ones(len(own))), [labels])
    total.backward(retain_graph=True)
    assert torch.allclose(states.grad, expected[0], atol=1e-5)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="asked for twice"):
        total.backward()
