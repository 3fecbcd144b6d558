"""Which lessons share a batch, and the tensors they become."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tutelage.errors import LessonError
from tutelage.models.local import templates, weights
from tutelage.training import batches
from tutelage.training.batches import Example, Row, Totals
from tutelage.training.losses import IGNORED
from tutelage.training.settings import TrainingConfig
from tutelage.types import Lesson, Message


def opened(folder: Path) -> Any:
    _, tokenizer = weights.load(str(folder), torch.float32, Path())
    templates.prepare(tokenizer)
    return tokenizer


def blank(lengths: list[int]) -> list[Example]:
    return [Example([0] * (length - 2), [0, 0]) for length in lengths]


def test_a_plan_shows_every_lesson_once_an_epoch_and_repeats_itself() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(103)]
    plan = batches.plan(blank(lengths), TrainingConfig(batch=8, epochs=3), 5)
    assert plan == batches.plan(blank(lengths), TrainingConfig(batch=8, epochs=3), 5)
    assert plan != batches.plan(blank(lengths), TrainingConfig(batch=8, epochs=3), 6)
    steps = len(plan) // 3
    epochs = [sorted(i for batch in plan[e * steps : (e + 1) * steps] for i in batch) for e in range(3)]
    assert epochs == [list(range(103))] * 3
    assert plan[:steps] != plan[steps : 2 * steps]
    assert max(map(len, plan)) == 8


def test_like_lengths_share_a_batch() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(512)]

    def padded(window: int) -> int:
        plan = batches.plan(blank(lengths), TrainingConfig(batch=16, epochs=1, sort_window=window), 0)
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in plan)

    assert padded(16) < 1.15 * sum(lengths)
    assert padded(1) > 1.5 * sum(lengths)  # shuffled, as the paper's preset has it


def test_micro_batches_hold_the_same_lessons() -> None:
    plan = [[1, 2, 3, 4, 5], [6]]
    parts, count = batches.split(plan, 2, 5)
    assert (parts, count) == ([[1, 2], [3, 4], [5], [6], [], []], 3)
    assert batches.split(plan, None, 5) == (plan, 1)


def test_collate_aligns_targets_on_the_right() -> None:
    rows = [Row(Example([5, 6, 7], [8, 1])), Row(Example([5], [9, 9, 1]))]
    tensors = batches.collate(rows, Totals(5, 0), pad=0)
    assert tensors["input_ids"].tolist() == [[5, 6, 7, 8, 1], [0, 5, 9, 9, 1]]
    assert tensors["attention_mask"].tolist() == [[1] * 5, [0, 1, 1, 1, 1]]
    assert tensors["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]
    assert tensors["labels"].tolist() == [[IGNORED, 8, 1], [9, 9, 1]]
    assert set(tensors) == {"input_ids", "attention_mask", "position_ids", "labels", "totals"}


def test_a_prompt_weight_makes_prompt_tokens_targets_but_the_first() -> None:
    rows = [Row(Example([5, 6, 7], [8, 1])), Row(Example([5], [9, 9, 1]))]
    examples = [row.example for row in rows]
    tensors = batches.collate(rows, batches.totals(examples, 0.25), pad=0, prompt_weight=0.25)
    assert tensors["labels"].tolist() == [[6, 7, 8, 1], [IGNORED, 9, 9, 1]]
    assert tensors["weights"].tolist() == [[0.25, 0.25, 1, 1], [0, 1, 1, 1]]
    assert tensors["totals"].tolist() == [5.5, 0]


def test_three_continuations_share_a_prompt() -> None:
    rows = [Row(Example([5, 6], [8, 1]), [9, 1], [7, 7, 1]), Row(Example([5], [4, 1]))]
    tensors = batches.collate(rows, Totals(4, 1), pad=0)
    assert tensors["input_ids"].tolist() == [[7, 7, 1, 9, 1, 5, 6, 8, 1], [0] * 6 + [5, 4, 1]]
    assert tensors["segments"].tolist() == [[4, 4, 4, 3, 3, 1, 1, 2, 2], [0] * 6 + [1, 2, 2]]
    assert tensors["position_ids"].tolist() == [[2, 3, 4, 2, 3, 0, 1, 2, 3], [0] * 6 + [0, 1, 2]]
    sees = batches.tree_mask(tensors["segments"], tensors["position_ids"])[0, 0].int().tolist()
    assert sees[1] == [1, 1, 0, 0, 0, 1, 1, 0, 0]  # the negative's second token: its first, itself, the prompt
    assert sees[3] == [0, 0, 0, 1, 0, 1, 1, 0, 0]
    assert sees[6] == [0, 0, 0, 0, 0, 1, 1, 0, 0]  # the prompt sees none of its continuations
    assert sees[8] == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_a_plan_keeps_a_question_apart() -> None:
    examples = [Example([1], [2, 3], question=str(i // 4)) for i in range(256)]
    for batch in batches.plan(examples, TrainingConfig(batch=16, epochs=2), 0):
        assert len({examples[i].question for i in batch}) == len(batch) == 16
    alone = [Example([1], [2, 3], question="only") for _ in range(10)]
    assert [len(batch) for batch in sorted(batches.plan(alone, TrainingConfig(batch=4, epochs=1), 0), key=len)] == [
        2,
        4,
        4,
    ]


def test_pairs_are_right_rationales_of_the_same_question() -> None:
    examples = [Example([1], [i % 3, 9], question=str(i // 6)) for i in range(12)]
    for example in batches.pair(examples):
        assert len(example.positives) == 4
        assert example.completion not in example.positives
    assert not batches.pair([Example([1], [2], question="a"), Example([1], [2], question="b")])[0].positives


def test_pairs_are_drawn_anew_each_epoch_and_repeat_for_a_place() -> None:
    example = Example([1], [2], positives=tuple([i] for i in range(8)), negatives=tuple([i] for i in range(4)))
    drawn = [batches.draw(example, f"0/{epoch}/7") for epoch in range(20)]
    assert drawn == [batches.draw(example, f"0/{epoch}/7") for epoch in range(20)]
    assert len({tuple(row.positive) for row in drawn}) > 3
    assert len({tuple(row.negative) for row in drawn}) > 1
    assert batches.draw(Example([1], [2], positives=([3],)), "x") == Row(Example([1], [2], positives=([3],)))


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
def test_a_lesson_is_what_an_exam_shows_plus_completion_plus_stop(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = opened(request.getfixturevalue(kind))
    if not tokenizer.chat_template:
        templates.install_paper_template(tokenizer)
    stops = templates.stop_ids(tokenizer)
    lesson = Lesson(question="1", prompt="A coin is heads up.", completion="It is up. --> yes", kind="rationale")
    (example,) = batches.encode(tokenizer, [lesson], stops, 512)
    assert example.prompt == templates.prompt_ids(tokenizer, [Message("user", lesson.prompt)])
    assert example.completion[-1] in stops
    assert not set(example.completion[:-1]) & stops
    assert tokenizer.decode(example.completion, skip_special_tokens=True).strip() == lesson.completion


def test_too_long_lessons_are_dropped_never_cut(chat_student: Path) -> None:
    tokenizer = opened(chat_student)
    stops = templates.stop_ids(tokenizer)
    short = Lesson(question="1", prompt="coin", completion="yes", kind="answer")
    long = Lesson(question="2", prompt="coin " * 400, completion="yes", kind="answer")
    assert len(batches.encode(tokenizer, [short, long], stops, 100)) == 1
    with pytest.raises(LessonError, match="none of the 1 lessons fits"):
        batches.encode(tokenizer, [long], stops, 100)
    with pytest.raises(LessonError, match="no lessons"):
        batches.encode(tokenizer, [], stops, 100)


def test_a_template_without_a_stop_is_refused(base_student: Path) -> None:
    tokenizer = opened(base_student)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    with pytest.raises(Exception, match="never learn to stop.*training.template=paper"):
        templates.completion_ids(tokenizer, [Message("user", "coin")], "yes", {1})
