"""Which lessons are learned together, and in which order."""

import random
from collections.abc import Sequence
from itertools import pairwise

from tutelage.training.examples import Example
from tutelage.training.settings import TrainingConfig


def planned_batches(examples: Sequence[Example], config: TrainingConfig, seed: int) -> list[list[int]]:
    """Every batch of the training, as lists of example indices: a pure function, so that a resumed training repeats it.

    Each epoch is a fresh shuffle; within a window of batches examples of like length share a batch, examples of one
    question do not where that can be; a last, smaller batch is kept.
    """
    batches: list[list[int]] = []
    batch, window_size = config.batch, config.batch * config.sort_window
    for epoch in range(config.epochs):
        # An epoch's order depends on its number alone and not on what was drawn before, whatever was done in between.
        rng = random.Random(f"{seed}/{epoch}")
        order = list(range(len(examples)))
        rng.shuffle(order)
        epoch_batches: list[list[int]] = []
        for start in range(0, len(order), window_size):
            # Sorting all of them would put the same lessons together in every epoch; a window keeps them mixed.
            window = sorted(order[start : start + window_size], key=lambda i: -examples[i].length)
            epoch_batches += _apart(window, examples, batch)
        rng.shuffle(epoch_batches)  # else every window would go from long to short
        batches += epoch_batches
    return batches


def overlapping_batches(examples: Sequence[Example], config: TrainingConfig, seed: int) -> list[list[int]]:
    """Halves of batches, two a batch: what was new in the batch before, and what is new in this one [Shen et al. 2022].

    Each lesson of an epoch stands in two batches on end, so that an epoch has about twice as many; its first batch has
    nothing of the one before, and its last nothing new.
    """
    half = config.model_copy(update={"batch": config.batch // 2, "sort_window": config.sort_window * 2})
    news = planned_batches(examples, half, seed)
    count = len(news) // config.epochs
    halves: list[list[int]] = []
    for begin in range(0, len(news), count):
        epoch = [[], *news[begin : begin + count], []]
        halves += [one for pair in pairwise(epoch) for one in pair]
    return halves


def _apart(window: Sequence[int], examples: Sequence[Example], batch: int) -> list[list[int]]:
    """Fill batches in order; what would meet its own question goes into a later batch, or changes places with another.

    Two lessons about one question in one step would pull the same way, as if it counted twice.
    """
    filled: list[list[int]] = [[] for _ in range(-(-len(window) // batch))]

    def meets(index: int, one: Sequence[int]) -> bool:
        question = examples[index].lesson.question
        return bool(question) and any(examples[other].lesson.question == question for other in one)

    for index in window:
        room = [one for one in filled if len(one) < batch]
        free = next((one for one in room if not meets(index, one)), None)
        if free is not None:
            free.append(index)
            continue
        others = (one for one in filled if one is not room[0] and not meets(index, one))
        places = ((one, place) for one in others for place, other in enumerate(one) if not meets(other, room[0]))
        one, place = next(places, (room[0], len(room[0])))  # with nothing to exchange, they meet
        room[0] += one[place : place + 1]
        one[place : place + 1] = [index]
    return filled


def planned(examples: Sequence[Example], config: TrainingConfig, seed: int, size: int) -> tuple[list[list[int]], int]:
    """The micro-batches of a training on so many processes, and how many make a batch."""
    if config.previous_batch is None:
        return micro_batches(planned_batches(examples, config, seed), config.micro_batch, config.batch, size)
    halves = overlapping_batches(examples, config, seed)
    if size == 1:
        whole = [old + new for old, new in zip(halves[::2], halves[1::2], strict=True)]
        return micro_batches(whole, config.micro_batch, config.batch)
    # Each half is cut by itself, in the same way, so that a lesson comes again to the process that remembers it.
    cut, parts = micro_batches(halves, config.micro_batch, config.batch // 2, size)
    return cut, 2 * parts


def micro_batches(
    batches: Sequence[list[int]], micro: int | None, batch: int, size: int = 1
) -> tuple[list[list[int]], int]:
    """Cut batches into micro-batches; returns them and how many make one batch. A short batch is filled with empty ones.

    Trainer takes a step every so many items, so each batch must be cut into the same number of them. So many processes
    share a batch: they take its micro-batches in turn, as many each, whatever their number is.
    """
    if micro is None or micro >= batch:
        micro = batch
    micro = min(micro, -(-batch // size))
    parts = -(-batch // micro)
    parts += -parts % size
    return [one[i * micro : (i + 1) * micro] for one in batches for i in range(parts)], parts
