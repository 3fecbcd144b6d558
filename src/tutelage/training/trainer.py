"""Fitting a student to its lessons with transformers' Trainer."""

import contextlib
import gc
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from tutelage.errors import Interrupted, LessonError
from tutelage.models.local import control, kernels, weights
from tutelage.models.local.devices import choose_device, release_memory
from tutelage.training import arguments, batches, layout, learner
from tutelage.training.examples import Encoder, encode_lessons
from tutelage.training.job import Callbacks
from tutelage.training.minimising import LessonTrainer, PlannedBatches, numbers_in
from tutelage.training.mixing import Mix
from tutelage.training.references import References
from tutelage.training.settings import USUAL, TrainingConfig
from tutelage.types import JsonObject, Lesson


class Watch(TrainerCallback):
    """Reports progress, saves by the clock, and stops when asked."""

    def __init__(self, callbacks: Callbacks, minutes: float) -> None:
        self.callbacks = callbacks
        self.seconds = minutes * 60
        self.saved = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Save when it is time or the user wants to stop; a finished training is not saved again."""
        due = time.monotonic() - self.saved > self.seconds and state.global_step < state.max_steps
        if self.callbacks.stopping():
            control.should_save = control.should_training_stop = True
        elif due:
            control.should_save = True
            self.saved = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Pass each step's loss and its objectives' numbers on."""
        if logs and "loss" in logs:
            self._check(logs, state.global_step)
            numbers = numbers_in(logs)
            told = {"loss": float(logs["loss"]), **({"numbers": numbers} if numbers else {})}
            self.callbacks.progress({"done": state.global_step, "of": state.max_steps, **told})

    def _check(self, logs: Mapping[str, float], step: int) -> None:
        """Stop at the first loss or gradient that is no number: every later step would be for nothing."""
        odd = [name for name in ("loss", "grad_norm") if not math.isfinite(logs.get(name) or 0.0)]
        if odd and step <= 1:
            raise LessonError(
                f"the first step's {odd[0]} is not finite, so the student cannot be trained in this arithmetic on this "
                "device: set training.precision=float32, or choose another device (or an objective of your own makes it so)"
            )
        if odd:
            raise LessonError(
                f"the training diverged at step {step} (its {odd[0]} is not finite): lower training.learning_rate; if that does "
                "not help, set training.precision=float32"
            )


def fit(
    student: JsonObject,
    lessons: Sequence[Lesson],
    config: TrainingConfig,
    seed: int,
    folder: Path,
    callbacks: Callbacks,
) -> JsonObject:
    """Train a student on lessons and save it into `folder` as safetensors with its tokenizer; returns facts about it.

    `student` holds the options of `models.hf.Hf` (`name`, `cache`, …). A training that was interrupted goes on from
    the last checkpoint in `folder`, and ends as if it had not been. One that runs out of memory begins there anew with half
    as many lessons at once, which changes its batches in nothing but rounding.
    """
    halved, at_once = 0, min(config.micro_batch or config.batch, config.batch)
    while True:
        try:
            with _tracking(folder):
                facts = _fit(student, lessons, config, seed, folder, callbacks)
            return facts | ({"halved": halved, "at_once": at_once} if halved else {})
        except (RuntimeError, MemoryError) as error:
            if not _is_memory(error):
                raise
            if at_once == 1:
                raise LessonError(
                    "the memory does not hold the training of one lesson at once: set training.gradient_checkpointing=true or "
                    "training.lora={}, lower training.max_length, or take a smaller student"
                ) from error
        # Only here, where nothing holds the tensors of what failed any more, is their memory free.
        halved, at_once = halved + 1, (at_once + 1) // 2
        config = config.model_copy(update={"micro_batch": at_once})
        gc.collect()
        release_memory()


def _is_memory(error: BaseException) -> bool:
    told = str(error).lower()
    known = ("out of memory", "alloc_failed", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in told for words in known)


@contextlib.contextmanager
def _tracking(folder: Path) -> Iterator[None]:
    """Where tensorboard's files go unless the user says: beside the steps, since a student's folder is handed on as it is."""
    name = "TENSORBOARD_LOGGING_DIR"
    own = name not in os.environ
    if own:
        os.environ[name] = str(folder.parent / "tracking" / folder.name.removesuffix(".draft"))
    try:
        yield
    finally:
        if own:
            os.environ.pop(name, None)


def _fit(
    student: JsonObject,
    lessons: Sequence[Lesson],
    config: TrainingConfig,
    seed: int,
    folder: Path,
    callbacks: Callbacks,
) -> JsonObject:
    mix = Mix(config.choices())  # first of all: a name that is none costs nothing yet
    torch.manual_seed(seed)  # before the student is there: its adapters' first weights are drawn, too
    device = choose_device(student.get("device", "auto"))
    model, tokenizer, stops = learner.begin_with(student, config, arguments.products(config, device))
    encoder = Encoder(tokenizer, stops, min(config.max_length, weights.room_of(model.config)))
    # What is refused is refused before anything is moved to the device or computed.
    fitting = encode_lessons(lessons, encoder)
    prepared = mix.prepare(fitting, encoder)
    model = learner.ready(model, config, device, max(example.length for example in fitting))
    # All of it is planned beforehand: Trainer only counts items, so a resumed one skips those that it has had.
    plan = batches.planned_batches(prepared.examples, config, seed)
    micro, parts = batches.micro_batches(plan, config.micro_batch, config.batch)
    dataset = PlannedBatches(mix, prepared, micro, parts, (seed, config.epochs))
    trainer = LessonTrainer(
        model=model,
        args=arguments.made(config, seed, folder / "trainer", (len(plan), parts), device),
        train_dataset=dataset,
        data_collator=lambda items: dataset.collate(items, tokenizer.pad_token_id),
        callbacks=[Watch(callbacks, config.checkpoint_minutes)],
        mix=mix,
    )
    begun = time.monotonic()
    with kernels.sound(device):
        # Before anything is learned: what the student as it begins thinks of texts.
        dataset.prepared = mix.refer(prepared, References(model, encoder, folder / "trainer" / "references"))
        # On the device that it trains on: there a student must read shared rows rightly.
        dataset.apart = layout.why_apart(model, dataset.rows(), tokenizer.pad_token_id)
        _train(trainer, folder, callbacks.stopping)
    learner.write_student(model, tokenizer, stops, folder)
    shutil.rmtree(folder / "trainer", ignore_errors=True)
    return {
        "lessons": len(prepared.examples),
        "too_long": len(lessons) - len(fitting),
        "unused": len(fitting) - len(prepared.examples),
        **(_account(trainer, dataset) | _noticed(encoder, lessons)),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _noticed(encoder: Encoder, lessons: Sequence[Lesson]) -> JsonObject:
    """How many texts beside lessons no row can hold; how many lessons hold what reads like a control token, and the first of these."""
    out: JsonObject = {"left_out": len(encoder.left_out)} if encoder.left_out else {}
    found = [
        control.first_token(encoder.tokenizer, (one.prompt, one.completion, *one.wrong, *one.right)) for one in lessons
    ]
    held = [token for token in found if token]
    return out | ({"control": len(held), "control_token": held[0]} if held else {})


def _account(trainer: LessonTrainer, dataset: PlannedBatches) -> JsonObject:
    """What was spent, how the loss went, and what each objective told at each step."""
    history = [row for row in trainer.state.log_history if "loss" in row]
    losses = [row["loss"] for row in history]
    told = [numbers_in(row) for row in history]
    # A step whose lessons are none of an objective's has nothing of its number.
    numbers = {
        name: [row.get(name, 0.0) for row in told] for name in dict.fromkeys(name for row in told for name in row)
    }
    shares = dataset.prepared.shares()
    read, predicted = dataset.tokens()
    return {
        "steps": trainer.state.max_steps,
        "visible_gpus": torch.cuda.device_count() if trainer.args.device.type == "cuda" else 0,
        "apart": dataset.apart,
        **learner.frozen_in(trainer.model),
        **({"whole": True} if layout.holds_whole(trainer.model) else {}),
        **({"numbers": numbers} if numbers else {}),
        **({"active": shares} if [*shares] != [USUAL] or min(shares.values()) < 1 else {}),
        "tokens": read,
        "target_tokens": predicted,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "losses": losses,
    }


def _train(trainer: LessonTrainer, folder: Path, stopping: Callable[[], bool]) -> None:
    last = get_last_checkpoint(str(folder / "trainer")) if (folder / "trainer").exists() else None
    trainer.remove_callback(_printer())
    with weights.quiet():  # else a bar of its own breaks into ours at every checkpoint
        trainer.train(resume_from_checkpoint=last)
    if stopping() and trainer.state.global_step < trainer.state.max_steps:
        raise Interrupted(f"stopped after {trainer.state.global_step} of {trainer.state.max_steps} training steps")
    assert trainer.model is not None
    if not all(parameter.isfinite().all() for parameter in trainer.model.parameters()):
        raise LessonError("the training diverged: weights are no longer finite; lower training.learning_rate")


def _printer() -> type[TrainerCallback]:
    from transformers import PrinterCallback

    return PrinterCallback
