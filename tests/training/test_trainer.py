"""Training a tiny real model: the loss is the textbook one, and an interrupted training ends like an undisturbed one."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file
from transformers import TrainingArguments

from tutelage.errors import Interrupted, LessonError
from tutelage.models.local import weights
from tutelage.training.examples import Example
from tutelage.training.job import Callbacks
from tutelage.training.objectives.likelihood import Likelihood
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart
from tutelage.training.settings import TrainingConfig
from tutelage.training.trainer import fit
from tutelage.types import Lesson

LESSONS = [
    Lesson(question=str(i), prompt=f"A coin is heads up. {'Maya flips it. ' * i}Is it?", completion=f"It {'was ' * i}is. --> yes", kind="rationale")
    for i in range(10)
]  # fmt: skip


def train(folder: Path, student: Path, stopping: Callable[[], bool] = lambda: False, **settings: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    config = TrainingConfig(**{"epochs": 2, "batch": 4, "learning_rate": 1e-3, "precision": "float32", **settings})
    spec = {"name": str(student), "cache": "", "device": "cpu"}
    return fit(spec, LESSONS, config, 3, folder, Callbacks(lambda tick: None, stopping))


def tensors_of(folder: Path, name: str = "model.safetensors") -> dict[str, torch.Tensor]:
    return load_file(folder / name)


def test_the_first_loss_is_the_mean_over_completion_tokens(chat_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", chat_student, batch=10, epochs=1)
    model, tokenizer = weights.load(str(chat_student), torch.float32, Path())
    total, count = 0.0, 0
    for lesson in LESSONS:
        turns = [{"role": "user", "content": lesson.prompt}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        target = tokenizer(lesson.completion + "<end>", add_special_tokens=False).input_ids
        with torch.no_grad():
            scores = model(torch.tensor([ids + target])).logits[0].double().log_softmax(-1)
        total -= sum(float(scores[len(ids) + i - 1, token]) for i, token in enumerate(target))
        count += len(target)
    assert facts["first_loss"] == pytest.approx(total / count, abs=1e-4)  # Trainer logs four decimals
    assert facts["target_tokens"] == count


def test_an_interrupted_training_ends_like_an_undisturbed_one(base_student: Path, tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", base_student)
    asked: list[int] = []

    def third() -> bool:
        asked.append(1)
        return len(asked) >= 3

    with pytest.raises(Interrupted, match="after 3 of 6"):
        train(tmp_path / "part", base_student, third)
    assert (tmp_path / "part" / "trainer").exists()
    resumed = train(tmp_path / "part", base_student)
    assert resumed["losses"] == whole["losses"]
    expected = tensors_of(tmp_path / "whole")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in tensors_of(tmp_path / "part").items())
    assert not (tmp_path / "part" / "trainer").exists()


def test_micro_batches_train_the_same_student(base_student: Path, tmp_path: Path) -> None:
    train(tmp_path / "whole", base_student)
    train(tmp_path / "micro", base_student, micro_batch=3)
    expected = tensors_of(tmp_path / "whole")
    before = tensors_of(base_student)
    for name, tensor in tensors_of(tmp_path / "micro").items():
        assert torch.allclose(tensor, expected[name], atol=2e-4), name
        assert not torch.equal(tensor, before[name])


def test_lora_trains_the_adapters_only_and_loads_merged(chat_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", chat_student, lora={"r": 2}, epochs=12, learning_rate=0.02)
    assert facts["last_loss"] < facts["first_loss"]
    names = tensors_of(tmp_path / "s", "adapter_model.safetensors")
    assert all("lora_" in name for name in names)
    merged, _ = weights.load(str(tmp_path / "s"), torch.float32, Path())
    plain, _ = weights.load(str(chat_student), torch.float32, Path())
    assert not torch.equal(merged.model.layers[0].mlp.up_proj.weight, plain.model.layers[0].mlp.up_proj.weight)
    assert torch.equal(merged.model.embed_tokens.weight, plain.model.embed_tokens.weight)


def test_a_student_can_memorise_its_lessons(base_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", base_student, epochs=40, learning_rate=0.01)
    assert facts["last_loss"] < 0.3 * facts["first_loss"]


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_schedule_runs_with_and_without_warmup(base_student: Path, tmp_path: Path, schedule: str) -> None:
    for warmup in (0.0, 0.5):
        assert train(tmp_path / f"{warmup}", base_student, schedule=schedule, warmup=warmup)["steps"] == 6


def test_a_training_that_diverges_is_an_error(base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"diverged.*lower training\.learning_rate"):
        train(tmp_path / "s", base_student, learning_rate=1e30, epochs=4)


class Spoilt(Likelihood):
    """Gradients that are no numbers from one step on, as cuDNN's attention gave them on an H200: the loss was right."""

    steps: ClassVar[list[int]] = []
    where: int

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        loss, numbers = super().loss(seen)
        self.steps.append(1)
        if len(self.steps) == self.where + 1:
            loss.register_hook(lambda gradient: gradient * torch.nan)
        return loss, numbers


@pytest.mark.parametrize("where", [0, 1])
def test_gradients_that_are_no_numbers_stop_a_training_at_once(base_student: Path, tmp_path: Path, where: int) -> None:
    """All that followed would be for nothing."""
    Spoilt.steps.clear()
    said = (r"first step's grad_norm .*precision=float32", r"diverged at step 2 \(its grad_norm")[where]
    with pytest.raises(LessonError, match=said):
        train(tmp_path / "s", base_student, objective=[{"name": f"{__name__}:Spoilt", "where": where}])
    assert len(Spoilt.steps) == where + 1
    assert not (tmp_path / "s" / "model.safetensors").exists()


def test_the_base_model_leaves_with_the_paper_format(base_student: Path, tmp_path: Path) -> None:
    train(tmp_path / "s", base_student, epochs=1)
    _, tokenizer = weights.load(str(tmp_path / "s"), torch.float32, Path())
    turns = [{"role": "user", "content": "Is it?"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == "Is it? ###"
    turns.append({"role": "assistant", "content": "It is. --> yes"})
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "Is it? ### It is. --> yes<end>"


class Counted(Likelihood):
    """Notes which lessons reach the loss: each token of a completion brings its lesson along."""

    reached: ClassVar[list[int]] = []

    def parts(self, example: Example, kept: bool, place: str) -> list[RowPart]:
        (part,) = super().parts(example, kept, place)
        more = {"lesson": [int(example.lesson.question)] * len(example.completion)}
        return [msgspec.structs.replace(part, more=more)]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        targets = seen.targets("completion")
        for row in targets.rows_N.unique():
            self.reached.extend(targets.more["lesson"][targets.rows_N == row].unique().tolist())
        return super().loss(seen)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_lesson_is_learned_however_many_gpus_there_are(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """transformers' loader hands the collator an item a GPU; each planned lesson must still reach the loss, once."""

    def several(arguments: TrainingArguments) -> torch.device:
        arguments._n_gpu = count
        arguments.distributed_state = PartialState(cpu=True)
        return torch.device("cpu")

    setup = functools.cached_property(several)
    setup.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", setup)
    Counted.reached.clear()
    facts = train(tmp_path / "s", base_student, micro_batch=2, objective=f"{__name__}:Counted")
    assert sorted(Counted.reached) == sorted(2 * [int(lesson.question) for lesson in LESSONS])
    monkeypatch.undo()
    assert facts["losses"] == train(tmp_path / "one", base_student, micro_batch=2)["losses"]


def test_a_training_in_several_processes_is_refused(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainingArguments, "world_size", 2)
    with pytest.raises(LessonError, match="one of 2 processes"):
        train(tmp_path / "s", base_student)


def test_an_adapter_is_merged_in_float32_and_rounded_once(chat_student: Path, tmp_path: Path) -> None:
    train(tmp_path / "s", chat_student, lora={"r": 2}, epochs=4, learning_rate=0.01)
    exact, _ = weights.load(str(tmp_path / "s"), torch.float32, Path())
    rounded, _ = weights.load(str(tmp_path / "s"), torch.bfloat16, Path())
    for (name, one), (_, other) in zip(exact.named_parameters(), rounded.named_parameters(), strict=True):
        assert torch.equal(one.bfloat16(), other), name


def test_checkpoints_are_written_without_foreign_bars(
    base_student: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path / "s", base_student, checkpoint_minutes=1e-9)
    said = capfd.readouterr()
    assert said.out + said.err == ""
