"""Which lessons are learned together, in which order, and as which tensors."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.models.local import templates
from tutelage.training.losses import IGNORED
from tutelage.training.settings import TrainingConfig
from tutelage.types import Lesson, Message

POSITIVES = 10  # how many right rationales of its question a lesson may be drawn towards [Wang et al. 2023]
PADDING, PROMPT, COMPLETION, POSITIVE, NEGATIVE = range(5)  # what a column of a row holds


class Example(Struct, frozen=True):
    """A lesson as tokens, with the rationales it is drawn towards and away from."""

    prompt: list[int]
    completion: list[int]  # ends in a stop token
    question: str = ""
    positives: tuple[list[int], ...] = ()  # other right rationales of the question
    negatives: tuple[list[int], ...] = ()  # the student's wrong ones

    @property
    def length(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.prompt) + len(self.completion)

    @property
    def active(self) -> bool:
        """Whether self-reflection has something to compare."""
        return bool(self.positives and self.negatives)


class Row(NamedTuple):
    """An example as it is shown in one epoch: with one positive and one negative, or with neither."""

    example: Example
    positive: Sequence[int] = ()
    negative: Sequence[int] = ()


class Totals(NamedTuple):
    """What the losses of a whole batch are divided by, so that its micro-batches add up to it."""

    weight: float  # of the language-model loss: target tokens, prompt tokens counting by their weight
    active: int  # rows with self-reflection


def encode(tokenizer: Any, lessons: Sequence[Lesson], stops: set[int], max_length: int) -> list[Example]:
    """Lessons as tokens; a lesson longer than `max_length` is dropped, never cut, since a cut one teaches to stop early."""
    examples = []
    for lesson in lessons:
        messages = [Message("user", lesson.prompt)]
        prompt = templates.prompt_ids(tokenizer, messages)
        completion, *others = (
            templates.completion_ids(tokenizer, messages, text, stops)
            for text in (lesson.completion, *lesson.wrong, *lesson.right)
        )
        wrong, right = others[: len(lesson.wrong)], others[len(lesson.wrong) :]
        positives, negatives = (
            tuple(ids for ids in pool if len(prompt) + len(ids) <= max_length) for pool in (right, wrong)
        )
        examples.append(Example(prompt, completion, lesson.question, positives, negatives))
    fitting = [example for example in examples if example.length <= max_length]
    if not fitting:
        raise LessonError(
            f"none of the {len(lessons)} lessons fits into training.max_length={max_length} tokens"
            if lessons
            else "there are no lessons to learn from"
        )
    return fitting


def pair(examples: Sequence[Example]) -> list[Example]:
    """Give each example the other right rationales of its question: those of the examples beside it, then its own."""
    by_question: dict[str, list[list[int]]] = {}
    for example in examples:
        by_question.setdefault(example.question, []).append(example.completion)
    paired = []
    for example in examples:
        others = [ids for ids in (*by_question[example.question], *example.positives) if ids != example.completion]
        paired.append(
            Example(example.prompt, example.completion, example.question, tuple(others[:POSITIVES]), example.negatives)
        )
    return paired


def draw(example: Example, place: str) -> Row:
    """A row for one place in the training ("seed/epoch/index"): another place draws another positive and negative."""
    if not example.active:
        return Row(example)
    rng = random.Random(place)
    return Row(example, rng.choice(example.positives), rng.choice(example.negatives))


def plan(examples: Sequence[Example], config: TrainingConfig, seed: int) -> list[list[int]]:
    """Every batch of the training, as lists of example indices: a pure function, so that a resumed training repeats it.

    Each epoch is a fresh shuffle; within a window of batches examples of like length share a batch, examples of one
    question do not where that can be; a last, smaller batch is kept.
    """
    batches: list[list[int]] = []
    batch, window_size = config.batch, config.batch * config.sort_window
    for epoch in range(config.epochs):
        rng = random.Random(f"{seed}/{epoch}")
        order = list(range(len(examples)))
        rng.shuffle(order)
        epoch_batches: list[list[int]] = []
        for start in range(0, len(order), window_size):
            window = sorted(order[start : start + window_size], key=lambda i: -examples[i].length)
            epoch_batches += _apart(window, examples, batch)
        rng.shuffle(epoch_batches)
        batches += epoch_batches
    return batches


def _apart(window: Sequence[int], examples: Sequence[Example], batch: int) -> list[list[int]]:
    """Fill batches in order; what would meet its own question goes into a later batch, or changes places with another."""
    filled: list[list[int]] = [[] for _ in range(-(-len(window) // batch))]

    def meets(index: int, one: Sequence[int]) -> bool:
        question = examples[index].question
        return bool(question) and any(examples[other].question == question for other in one)

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


def split(batches: Sequence[list[int]], micro: int | None, batch: int) -> tuple[list[list[int]], int]:
    """Cut batches into micro-batches; returns them and how many make one batch. A short batch is filled with empty ones."""
    if micro is None or micro >= batch:
        return [list(one) for one in batches], 1
    parts = -(-batch // micro)
    return [one[i * micro : (i + 1) * micro] for one in batches for i in range(parts)], parts


def totals(examples: Sequence[Example], prompt_weight: float) -> Totals:
    """What the losses of these examples together are divided by; a prompt's first token is predicted by nothing."""
    prompts = sum(len(example.prompt) - 1 for example in examples) if prompt_weight else 0
    weight = sum(len(example.completion) for example in examples) + prompt_weight * prompts
    return Totals(weight, sum(example.active for example in examples))


def collate(rows: Sequence[Row], whole: Totals, pad: int, prompt_weight: float = 0.0) -> dict[str, torch.Tensor]:
    """Rows as tensors padded on the left, so that the targets lie in the last columns of every row.

    `labels` holds only those last columns: column j is the target predicted by the logits at the same column counted
    from the end; `weights` (only with a prompt weight) holds what each counts. A row with self-reflection is laid out
    as negative, positive, prompt, completion: three continuations share one prompt, and `segments` says what each
    column holds (see `tree_mask`). `whole` is passed on. No rows at all give one row without targets.
    """
    shown = rows or [Row(Example([pad], [pad]))]
    width = max(len(row.negative) + len(row.positive) + row.example.length for row in shown)
    prompts = [len(row.example.prompt) - 1 if prompt_weight else 0 for row in shown]
    keep = max(prompt + len(row.example.completion) for prompt, row in zip(prompts, shown, strict=True))
    ids, segments, positions, labels, weights = [], [], [], [], []
    for prompt, (example, positive, negative) in zip(prompts, shown, strict=True):
        parts = (negative, positive, example.prompt, example.completion)
        start, padding = len(example.prompt), width - sum(map(len, parts))
        ids.append([pad] * padding + [token for part in parts for token in part])
        kinds = zip((NEGATIVE, POSITIVE, PROMPT, COMPLETION), parts, strict=True)
        segments.append([PADDING] * padding + [kind for kind, part in kinds for _ in part])
        places = (range(start, start + len(negative)), range(start, start + len(positive)), range(example.length))
        positions.append([0] * padding + [place for part in places for place in part])
        targets = example.prompt[start - prompt :] + example.completion if rows else [IGNORED]
        labels.append([IGNORED] * (keep - len(targets)) + targets)
        counts = [prompt_weight] * prompt + [1.0] * len(example.completion)
        weights.append([0.0] * (keep - len(counts)) + counts)
    tensors: dict[str, list[Any]] = {
        "input_ids": ids,
        "attention_mask": [[int(kind != PADDING) for kind in row] for row in segments],
    }
    tensors |= {"position_ids": positions, "labels": labels, "totals": list(whole)}
    tensors |= {"weights": weights} if prompt_weight else {}
    tensors |= {"segments": segments} if any(row.negative for row in shown) else {}
    return {name: torch.tensor(values) for name, values in tensors.items()}


def collate_apart(rows: Sequence[Row], whole: Totals, pad: int, prompt_weight: float = 0.0) -> dict[str, torch.Tensor]:
    """Rows as tensors in which every continuation has a row of its own, padded on the right.

    What stands behind a token reaches it in no causal model, so this is right whatever a model makes of masks and of
    padding; a prompt with counterparts is paid for three times. First come all lessons; `trios` (A3) names for each
    with self-reflection its row, its positive's and its negative's. `labels` and `weights` are as in `collate`.
    """
    shown = rows or [Row(Example([pad], [pad]))]
    lines: list[tuple[list[int], Sequence[int]]] = [(row.example.prompt, row.example.completion) for row in shown]
    trios = []
    for place, row in enumerate(shown):
        if row.negative:
            trios.append([place, len(lines), len(lines) + 1])
            lines += [(row.example.prompt, row.positive), (row.example.prompt, row.negative)]
    width = max(len(prompt) + len(part) for prompt, part in lines)
    starts = [1 if prompt_weight else len(row.example.prompt) for row in shown]
    first = min(starts)  # no target stands before it
    ids, segments, labels, weights = [], [], [], []
    for place, (prompt, part) in enumerate(lines):
        behind = width - len(prompt) - len(part)
        ids.append([*prompt, *part] + [pad] * behind)
        segments.append([PROMPT] * len(prompt) + [COMPLETION] * len(part) + [PADDING] * behind)
        start = starts[place] if place < len(shown) and rows else width - behind
        labels.append([IGNORED] * (start - first) + ids[-1][start : width - behind] + [IGNORED] * behind)
        weights.append([prompt_weight] * (len(prompt) - 1) + [1.0] * len(part) + [0.0] * behind)
    tensors: dict[str, list[Any]] = {
        "input_ids": ids,
        "attention_mask": [[int(kind != PADDING) for kind in row] for row in segments],
        "position_ids": [list(range(width))] * len(lines),
        "labels": labels,
        "totals": list(whole),
    }
    tensors |= {"weights": weights} if prompt_weight else {}
    tensors |= {"segments": segments, "trios": trios} if trios else {}
    return {name: torch.tensor(values) for name, values in tensors.items()}


def tree_mask(segments_BT: torch.Tensor, positions_BT: torch.Tensor) -> torch.Tensor:
    """Who may look at whom (B1TT, true: may), where several continuations of one prompt share a row.

    A column sees the prompt and its own segment up to its own position, whatever the order of the columns. Padding
    sees itself alone, since a row of nothing but forbidden columns has no softmax.
    """
    query_BT1, key_B1T = segments_BT.unsqueeze(2), segments_BT.unsqueeze(1)
    related_BTT = ((query_BT1 == key_B1T) | (key_B1T == PROMPT)) & (query_BT1 != PADDING) & (key_B1T != PADDING)
    earlier_BTT = positions_BT.unsqueeze(1) <= positions_BT.unsqueeze(2)
    itself_TT = torch.eye(segments_BT.shape[1], dtype=torch.bool, device=segments_BT.device)
    return ((related_BTT & earlier_BTT) | itself_TT).unsqueeze(1)
