"""Which lessons are learned together, in which order, and as which tensors."""

import random
from collections.abc import Sequence
from typing import Any

import torch
from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.models import rendering
from tutelage.training.losses import IGNORED
from tutelage.types import Lesson, Message

# Batches are sorted by length within windows of this many batches: little padding, and still a shuffled order.
WINDOW = 16


class Example(Struct, frozen=True):
    """A lesson as tokens."""

    prompt: list[int]
    completion: list[int]  # ends in a stop token

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.completion)


def encode(tokenizer: Any, lessons: Sequence[Lesson], stops: set[int], max_length: int) -> list[Example]:
    """Lessons as tokens; a lesson longer than `max_length` is dropped, never cut, since a cut one teaches to stop early."""
    examples = []
    for lesson in lessons:
        messages = [Message("user", lesson.prompt)]
        completion = rendering.completion_ids(tokenizer, messages, lesson.completion, stops)
        examples.append(Example(rendering.prompt_ids(tokenizer, messages), completion))
    fitting = [example for example in examples if example.length <= max_length]
    if not fitting:
        raise LessonError(
            f"none of the {len(lessons)} lessons fits into training.max_length={max_length} tokens"
            if lessons
            else "there are no lessons to learn from"
        )
    return fitting


def plan(lengths: Sequence[int], batch: int, epochs: int, seed: int) -> list[list[int]]:
    """Every batch of the training, as lists of example indices: a pure function, so that a resumed training repeats it.

    Each epoch is a fresh shuffle; examples of like length share a batch; a last, smaller batch is kept.
    """
    batches: list[list[int]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}/{epoch}")
        order = list(range(len(lengths)))
        rng.shuffle(order)
        epoch_batches: list[list[int]] = []
        for start in range(0, len(order), batch * WINDOW):
            window = sorted(order[start : start + batch * WINDOW], key=lambda i: -lengths[i])
            epoch_batches += [window[i : i + batch] for i in range(0, len(window), batch)]
        rng.shuffle(epoch_batches)
        batches += epoch_batches
    return batches


def split(batches: Sequence[list[int]], micro: int | None, batch: int) -> tuple[list[list[int]], int]:
    """Cut batches into micro-batches; returns them and how many make one batch. A short batch is filled with empty ones."""
    if micro is None or micro >= batch:
        return [list(one) for one in batches], 1
    parts = -(-batch // micro)
    return [one[i * micro : (i + 1) * micro] for one in batches for i in range(parts)], parts


def collate(examples: Sequence[Example], targets: int, pad: int) -> dict[str, torch.Tensor]:
    """Examples as tensors padded on the left, so that the targets lie in the last columns of every row.

    `labels` holds only those last columns: column j is the target predicted by the logits at the same column counted
    from the end. `targets` is passed on: how many there are in the whole batch. An empty list of examples gives one
    row without targets.
    """
    rows = examples or [Example([pad], [pad])]
    width = max(example.length for example in rows)
    keep = max(len(example.completion) for example in rows)
    ids, mask, labels = [], [], []
    for example in rows:
        padding = width - example.length
        ids.append([pad] * padding + example.prompt + example.completion)
        mask.append([0] * padding + [1] * example.length)
        wanted = example.completion if examples else [IGNORED]
        labels.append([IGNORED] * (keep - len(wanted)) + wanted)
    mask_BT = torch.tensor(mask)
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": mask_BT,
        "position_ids": (mask_BT.cumsum(-1) - 1).clamp(min=0),
        "labels": torch.tensor(labels),
        "targets": torch.tensor(targets),
    }
