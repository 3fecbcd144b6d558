"""Fitting a student to its lessons with transformers' Trainer."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PrinterCallback

from tutelage.errors import Interrupted, LessonError
from tutelage.models.local import control, kernels, weights
from tutelage.models.local.devices import choose_device
from tutelage.training import arguments, batches, checkpoints, layout, learner, sharding
from tutelage.training.examples import Encoder, encode_lessons
from tutelage.training.group import ALONE, Group, joined
from tutelage.training.halving import halve_until_it_fits, telling_of_memory
from tutelage.training.job import Callbacks
from tutelage.training.minimising import LessonTrainer, PlannedBatches, numbers_in
from tutelage.training.mixing import Mix, Prepared
from tutelage.training.references import References
from tutelage.training.settings import USUAL, TrainingConfig
from tutelage.training.watching import Watch
from tutelage.types import JsonObject, Lesson


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
    return halve_until_it_fits(lambda one: fit_once(student, lessons, one, seed, folder, callbacks), config, ALONE.size)


@telling_of_memory()
def fit_once(
    student: JsonObject,
    lessons: Sequence[Lesson],
    config: TrainingConfig,
    seed: int,
    folder: Path,
    callbacks: Callbacks,
) -> JsonObject:
    """The same with no fewer lessons at once, as one of the group that was joined, whose first writes it; or raises `OutOfMemory`."""
    group = joined()
    mix = Mix(config.choices(), config.previous_batch)  # first of all: a name that is none costs nothing yet
    torch.manual_seed(seed)  # before the student is there: its adapters' first weights are drawn, too
    device = choose_device(student.get("device", "auto"))
    model, tokenizer, stops = learner.begin_with(student, config, arguments.products(config, device))
    encoder = Encoder(tokenizer, stops, min(config.max_length, weights.room_of(model.config)))
    # What is refused is refused before anything is moved to the device or computed.
    fitting = encode_lessons(lessons, encoder)
    prepared = mix.prepare(fitting, encoder)
    model = learner.ready(model, config, device, max(example.length for example in fitting))
    last = checkpoints.begin(folder / "trainer", group)
    cut = sharding.is_wanted(model, config, group, last)
    model = sharding.share_out(model, device) if cut else model.to(device)
    # All of it is planned beforehand: Trainer only counts items, so a resumed one skips those that it has had.
    micro, parts = batches.planned(prepared.examples, config, seed, group.size)
    dataset = PlannedBatches(mix, prepared, micro, parts, (seed, config.epochs), config.packing)
    trainer = LessonTrainer(
        model=model,
        args=arguments.made(
            config, seed, folder / "trainer", (len(micro) // parts, parts // group.size), device, group
        ),
        train_dataset=dataset,
        data_collator=lambda items: dataset.collate(items, tokenizer.pad_token_id),
        callbacks=[Watch(callbacks, config.checkpoint_minutes, group)],
        mix=mix,
        group=group,
    )
    begun = time.monotonic()
    with kernels.sound(device):
        # Before anything is learned: what the student as it begins thinks of texts.
        references = References(model, encoder, folder / "trainer" / "references", group if cut else ALONE)
        dataset.prepared = mix.refer(prepared, references) if cut else _referred(mix, prepared, references, group)
        dataset.look(model, tokenizer.pad_token_id)
        _train(trainer, last, group)
    whole = sharding.whole(model, group) if cut else None
    if group.is_first:
        learner.write_student(model, tokenizer, stops, folder, whole)
        shutil.rmtree(folder / "trainer", ignore_errors=True)
    counts = {"too_long": len(lessons) - len(fitting), "unused": len(fitting) - len(prepared.examples)}
    told = _account(trainer, dataset) | _noticed(encoder, lessons)
    return {"lessons": len(prepared.examples), **counts, **told, "seconds": round(time.monotonic() - begun, 1)}


def _referred(mix: Mix, prepared: Prepared, references: References, group: Group) -> Prepared:
    """What the first process has read, and keeps in the folder, the others read back."""
    if group.is_first:
        referred = mix.refer(prepared, references)
    group.wait()
    return referred if group.is_first else mix.refer(prepared, references)


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
    read, predicted, padding = dataset.tokens()
    return {
        "steps": trainer.state.max_steps,
        "visible_gpus": torch.cuda.device_count() if trainer.args.device.type == "cuda" else 0,
        "apart": dataset.apart,
        **({"unpacked": dataset.unpacked} if dataset.unpacked else {}),
        **({"packed": True} if dataset.packing else {}),
        "padding": round(padding, 4),
        **({"processes": trainer.group.size} if trainer.group.size > 1 else {}),
        **({"cut": True} if trainer.cut else {}),
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


def _train(trainer: LessonTrainer, last: Path | None, group: Group) -> None:
    trainer.remove_callback(PrinterCallback)
    model = trainer.model
    assert model is not None
    products = "bfloat16" if trainer.args.bf16 else "float32"
    # Quiet: else a bar of its own breaks into ours at every checkpoint.
    with weights.quiet(), learner.in_its_own_kind(model, products):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.state.global_step < trainer.state.max_steps:
        raise Interrupted(f"stopped after {trainer.state.global_step} of {trainer.state.max_steps} training steps")
    if not sharding.all_finite(model, group):
        raise LessonError("the training diverged: weights are no longer finite; lower training.learning_rate")
