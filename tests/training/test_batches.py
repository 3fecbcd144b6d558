"""Which lessons share a batch, and the tensors they become."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tutelage.errors import LessonError
from tutelage.models import pretrained, rendering
from tutelage.training import batches
from tutelage.training.batches import Example
from tutelage.training.losses import IGNORED, completion_nll
from tutelage.types import Lesson, Message


def opened(folder: Path) -> Any:
    _, tokenizer = pretrained.load(str(folder), torch.float32, Path())
    rendering.prepare(tokenizer)
    return tokenizer


def test_a_plan_shows_every_lesson_once_an_epoch_and_repeats_itself() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(103)]
    plan = batches.plan(lengths, batch=8, epochs=3, seed=5)
    assert plan == batches.plan(lengths, batch=8, epochs=3, seed=5)
    assert plan != batches.plan(lengths, batch=8, epochs=3, seed=6)
    steps = len(plan) // 3
    epochs = [sorted(i for batch in plan[e * steps : (e + 1) * steps] for i in batch) for e in range(3)]
    assert epochs == [list(range(103))] * 3
    assert plan[:steps] != plan[steps : 2 * steps]
    assert max(map(len, plan)) == 8


def test_like_lengths_share_a_batch() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(512)]
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches.plan(lengths, 16, 1, 0))
    assert padded < 1.15 * sum(lengths)


def test_micro_batches_hold_the_same_lessons() -> None:
    plan = [[1, 2, 3, 4, 5], [6]]
    parts, count = batches.split(plan, 2, 5)
    assert (parts, count) == ([[1, 2], [3, 4], [5], [6], [], []], 3)
    assert batches.split(plan, None, 5) == (plan, 1)


def test_collate_aligns_targets_on_the_right() -> None:
    tensors = batches.collate([Example([5, 6, 7], [8, 1]), Example([5], [9, 9, 1])], targets=5, pad=0)
    assert tensors["input_ids"].tolist() == [[5, 6, 7, 8, 1], [0, 5, 9, 9, 1]]
    assert tensors["attention_mask"].tolist() == [[1] * 5, [0, 1, 1, 1, 1]]
    assert tensors["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]
    assert tensors["labels"].tolist() == [[IGNORED, 8, 1], [9, 9, 1]]


def test_the_loss_is_the_obvious_one() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 11, dtype=torch.float64)
    labels = torch.tensor([[IGNORED, 1, 2, 3], [4, 5, 6, 7], [IGNORED] * 4])
    total, count = 0.0, 0
    for row in range(3):
        for place in range(4):
            if labels[row, place] != IGNORED:
                total -= float(torch.log_softmax(logits[row, place], -1)[labels[row, place]])
                count += 1
    assert float(completion_nll(logits, labels, count)) == pytest.approx(total / count, rel=1e-6)
    assert float(completion_nll(logits[2:], labels[2:], count)) == 0.0


def test_micro_batches_add_up_to_the_batch() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 5, 11), torch.randint(0, 11, (4, 5))
    labels[:2, :3] = IGNORED
    count = int((labels != IGNORED).sum())
    parts = completion_nll(logits[:2], labels[:2], count) + completion_nll(logits[2:], labels[2:], count)
    assert torch.allclose(parts, completion_nll(logits, labels, count))


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
def test_a_lesson_is_what_an_exam_shows_plus_completion_plus_stop(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = opened(request.getfixturevalue(kind))
    if not tokenizer.chat_template:
        rendering.install_paper_template(tokenizer)
    stops = rendering.stop_ids(tokenizer)
    lesson = Lesson(question="1", prompt="A coin is heads up.", completion="It is up. --> yes", kind="rationale")
    (example,) = batches.encode(tokenizer, [lesson], stops, 512)
    assert example.prompt == rendering.prompt_ids(tokenizer, [Message("user", lesson.prompt)])
    assert example.completion[-1] in stops
    assert not set(example.completion[:-1]) & stops
    assert tokenizer.decode(example.completion, skip_special_tokens=True).strip() == lesson.completion


def test_too_long_lessons_are_dropped_never_cut(chat_student: Path) -> None:
    tokenizer = opened(chat_student)
    stops = rendering.stop_ids(tokenizer)
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
        rendering.completion_ids(tokenizer, [Message("user", "coin")], "yes", {1})
