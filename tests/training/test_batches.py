"""Which lessons share a batch, and the tensors they become."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.errors import LessonError
from tutelage.models.local import templates, weights
from tutelage.training import batches, collation, examples
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.objectives.likelihood import Likelihood
from tutelage.training.objectives.reflection import POSITIVES, Contrast, Reflection
from tutelage.training.rows import Row, RowPart, totals_of
from tutelage.training.settings import TrainingConfig
from tutelage.types import Lesson, Message


def opened(folder: Path) -> Any:
    _, tokenizer = weights.load(str(folder), torch.float32, Path())
    templates.prepare(tokenizer)
    return tokenizer


def example(prompt: list[int], completion: list[int], question: str = "") -> Example:
    return Example(prompt, completion, Lesson(question=question, prompt="", completion="", kind="rationale"))


def blank(lengths: list[int]) -> list[Example]:
    return [example([0] * (length - 2), [0, 0]) for length in lengths]


def likely(one: Example, weight: float = 0.0) -> Row:
    return Row({"likelihood": Likelihood(prompt_weight=weight).parts(one, True, "")})


def contrasted(one: Example, positive: list[int], negative: list[int]) -> Row:
    kept = Contrast([Branch(positive, one.asked)], [Branch(negative, one.asked)])
    objectives = {"likelihood": Likelihood().parts(one, True, ""), "reflection": Reflection().parts(one, kept, "")}
    return Row(objectives)


def test_a_plan_shows_every_lesson_once_an_epoch_and_repeats_itself() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(103)]
    plan = batches.planned_batches(blank(lengths), TrainingConfig(batch=8, epochs=3), 5)
    assert plan == batches.planned_batches(blank(lengths), TrainingConfig(batch=8, epochs=3), 5)
    assert plan != batches.planned_batches(blank(lengths), TrainingConfig(batch=8, epochs=3), 6)
    steps = len(plan) // 3
    epochs = [sorted(i for batch in plan[e * steps : (e + 1) * steps] for i in batch) for e in range(3)]
    assert epochs == [list(range(103))] * 3
    assert plan[:steps] != plan[steps : 2 * steps]
    assert max(map(len, plan)) == 8


def test_like_lengths_share_a_batch() -> None:
    lengths = [random.Random(i).randint(5, 200) for i in range(512)]

    def padded(window: int) -> int:
        plan = batches.planned_batches(blank(lengths), TrainingConfig(batch=16, epochs=1, sort_window=window), 0)
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in plan)

    assert padded(16) < 1.15 * sum(lengths)
    assert padded(1) > 1.5 * sum(lengths)  # shuffled, as the paper's preset has it


def test_micro_batches_hold_the_same_lessons() -> None:
    plan = [[1, 2, 3, 4, 5], [6]]
    parts, count = batches.micro_batches(plan, 2, 5)
    assert (parts, count) == ([[1, 2], [3, 4], [5], [6], [], []], 3)
    assert batches.micro_batches(plan, None, 5) == (plan, 1)


def test_collate_aligns_targets_on_the_right() -> None:
    rows = [likely(example([5, 6, 7], [8, 1])), likely(example([5], [9, 9, 1]))]
    tensors = collation.collate_rows(rows, totals_of(rows), pad=0)
    assert tensors["input_ids"].tolist() == [[5, 6, 7, 8, 1], [0, 5, 9, 9, 1]]
    assert tensors["attention_mask"].tolist() == [[1] * 5, [0, 1, 1, 1, 1]]
    assert tensors["position_ids"].tolist() == [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]
    targets = tensors["parts"]["likelihood"]["completion"]
    assert targets["labels"].tolist() == [8, 1, 9, 9, 1]
    assert targets["lines"].tolist() == [0, 0, 1, 1, 1]
    assert targets["columns"].tolist() == [3, 4, 2, 3, 4]
    assert targets["sources"].tolist() == [2, 3, 1, 2, 3]
    assert tensors["keep"] == 4  # of the last columns: one before the first target
    assert "segments" not in tensors


def test_a_prompt_weight_makes_prompt_tokens_targets_but_the_first() -> None:
    rows = [likely(example([5, 6, 7], [8, 1]), 0.25), likely(example([5], [9, 9, 1]), 0.25)]
    tensors = collation.collate_rows(rows, totals_of(rows), pad=0)
    prompt = tensors["parts"]["likelihood"]["prompt"]
    assert prompt["labels"].tolist() == [6, 7]
    assert prompt["weights"].tolist() == [0.25, 0.25]
    assert tensors["totals"] == {"likelihood": {"completion": (5.0, 2), "prompt": (0.5, 2)}}


def test_a_tenth_a_token_is_a_tenth_of_the_tokens() -> None:
    rows = [likely(example([5] * 12, [8, 1]), 0.1) for _ in range(7)]
    assert totals_of(rows)["likelihood"]["prompt"].weight == 0.1 * 77


def test_three_continuations_share_a_prompt() -> None:
    rows = [contrasted(example([5, 6], [8, 1]), [9, 1], [7, 7, 1]), likely(example([5], [4, 1]))]
    tensors = collation.collate_rows(rows, totals_of(rows), pad=0)
    assert tensors["input_ids"].tolist() == [[7, 7, 1, 9, 1, 5, 6, 8, 1], [0] * 6 + [5, 4, 1]]
    assert tensors["segments"].tolist() == [[4, 4, 4, 3, 3, 1, 1, 2, 2], [0] * 6 + [1, 2, 2]]
    assert tensors["position_ids"].tolist() == [[2, 3, 4, 2, 3, 0, 1, 2, 3], [0] * 6 + [0, 1, 2]]
    mask = collation.shared_mask(tensors["segments"], tensors["position_ids"], tensors["kin"])
    sees = mask[0, 0].int().tolist()
    assert sees[1] == [1, 1, 0, 0, 0, 1, 1, 0, 0]  # the negative's second token: its first, itself, the prompt
    assert sees[3] == [0, 0, 0, 1, 0, 1, 1, 0, 0]
    assert sees[6] == [0, 0, 0, 0, 0, 1, 1, 0, 0]  # the prompt sees none of its continuations
    assert sees[8] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert mask[1, 0].int().tolist()[8] == [0] * 6 + [1, 1, 1]
    assert tensors["keep"] == 3  # what is only compared needs no logits


def test_branches_share_a_prefix_and_a_prompt_of_their_own_shares_nothing() -> None:
    """A mistake's right beginning, its end and a better end; and the mistake, put in another prompt, with what is said of it."""
    kept = Branch([8, 9], Branch([5, 6]))
    ends = [RowPart("wrong", Branch([7, 1], kept), [1.0, 1.0]), RowPart("right", Branch([3, 1], kept), [1.0, 1.0])]
    row = Row({"prefer": ends, "critique": [RowPart("said", Branch([2, 1], Branch([9, 4])), [1.0, 0.0])]})
    tensors = collation.collate_rows([row], totals_of([row]), pad=0)
    assert tensors["input_ids"].tolist() == [[5, 6, 8, 9, 7, 1, 3, 1, 9, 4, 2, 1]]
    assert tensors["position_ids"].tolist() == [[0, 1, 2, 3, 4, 5, 4, 5, 0, 1, 2, 3]]
    sees = collation.shared_mask(tensors["segments"], tensors["position_ids"], tensors["kin"])[0, 0].int().tolist()
    assert sees[7] == [1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]  # the better end sees the beginning, not the wrong end
    assert sees[11] == [0] * 8 + [1] * 4
    right, said = tensors["parts"]["prefer"]["right"], tensors["parts"]["critique"]["said"]
    assert (right["sources"].tolist(), right["labels"].tolist()) == (
        [3, 6],
        [3, 1],
    )  # its first token: behind the beginning
    assert (said["sources"].tolist(), said["labels"].tolist()) == ([9], [2])  # a weight of 0 is no target
    apart = collation.collate_rows([row], totals_of([row]), pad=0, apart=True)
    assert apart["input_ids"].tolist() == [[5, 6, 8, 9, 7, 1], [5, 6, 8, 9, 3, 1], [9, 4, 2, 1, 0, 0]]
    assert apart["parts"]["prefer"]["right"]["sources"].tolist() == [3, 4]
    assert (row.shared_length, row.apart_length) == (12, 16)


texts = st.lists(st.integers(2, 4), min_size=1, max_size=5)


@given(
    st.lists(st.tuples(texts, texts, st.sampled_from(["scored", "half", "read"])), min_size=1, max_size=6),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_texts_share_what_they_begin_with_and_each_sees_its_own(
    drawn: list[tuple[list[int], list[int], str]], apart: bool
) -> None:
    """Whatever texts begin alike: every token of every part sees exactly the tokens before it in its own text."""
    kinds = {
        "scored": lambda ids: [1.0] * len(ids),
        "half": lambda ids: [float(i % 2) for i in range(len(ids))],
        "read": lambda ids: None,
    }
    parts = [
        RowPart(str(number), Branch(text, Branch(prompt)), kinds[kind](text))
        for number, (prompt, text, kind) in enumerate(drawn)
    ]
    row = Row({"it": parts})
    beginnings = {(*prompt, *text)[: n + 1] for prompt, text, _ in drawn for n in range(len(prompt) + len(text))}
    assert row.shared_length == len(beginnings)  # nothing is computed twice
    tensors = collation.collate_rows([row], totals_of([row]), pad=0, apart=apart)
    ids, positions = tensors["input_ids"], tensors["position_ids"]
    width = ids.shape[1]
    if "segments" in tensors:
        sees = collation.shared_mask(tensors["segments"], positions, tensors["kin"])[:, 0]
    else:
        sees = torch.ones(len(ids), width, width, dtype=torch.bool).tril()
    for number, (prompt, text, kind) in enumerate(drawn):
        told = tensors["parts"]["it"][str(number)]
        wanted = [n for n in range(len(text)) if kind != "half" or n % 2]
        assert len(told["columns"]) == len(wanted)
        for place, line, column in zip(wanted, told["lines"].tolist(), told["columns"].tolist(), strict=True):
            seen = sorted((int(positions[line, c]), int(ids[line, c])) for c in range(width) if sees[line, column, c])
            assert seen == list(enumerate([*prompt, *text[: place + 1]]))
        if kind != "read":
            assert told["labels"].tolist() == [text[n] for n in wanted]
            for line, source, label in zip(
                *(told[key].tolist() for key in ("lines", "sources", "columns")), strict=True
            ):
                assert positions[line, source] + 1 == positions[line, label]
                assert sees[line, label, source]
                assert source >= width - tensors["keep"]


def test_a_part_with_too_few_weights_is_said() -> None:
    with pytest.raises(LessonError, match="objective 'own': its part 'it' has 1 weights for 2 tokens"):
        Row({"own": [RowPart("it", Branch([5, 6]), [1.0])]})


def test_a_plan_keeps_a_question_apart() -> None:
    asked = [example([1], [2, 3], question=str(i // 4)) for i in range(256)]
    for batch in batches.planned_batches(asked, TrainingConfig(batch=16, epochs=2), 0):
        assert len({asked[i].lesson.question for i in batch}) == len(batch) == 16
    alone = [example([1], [2, 3], question="only") for _ in range(10)]
    plan = batches.planned_batches(alone, TrainingConfig(batch=4, epochs=1), 0)
    assert sorted(len(batch) for batch in plan) == [2, 4, 4]


def coins(folder: Path, count: int, wrong: tuple[str, ...]) -> tuple[list[Example], Encoder]:
    tokenizer = opened(folder)
    encoder = Encoder(tokenizer, templates.stop_ids(tokenizer), 512)
    lessons = [
        Lesson(
            question=str(i // 6), prompt="coin", completion="so " * (1 + i % 3) + "yes", kind="rationale", wrong=wrong
        )
        for i in range(count)
    ]
    return [encoder.example(lesson) for lesson in lessons], encoder


def test_pairs_are_right_rationales_of_the_same_question(chat_student: Path) -> None:
    found, encoder = coins(chat_student, 12, ("no",))
    for one, kept in zip(found, Reflection().prepare(found, encoder), strict=True):
        assert kept is not None
        assert len(kept.positives) == 4 <= POSITIVES
        assert one.completion not in [branch.ids for branch in kept.positives]
        assert [branch.ids for branch in kept.negatives] == [encoder.completion("coin", "no")]
    same = [encoder.example(Lesson(question="a", prompt="coin", completion="yes", kind="rationale")) for _ in range(2)]
    with pytest.raises(LessonError, match="of 2 lessons 2 have no other right rationale"):
        Reflection().prepare(same, encoder)


def test_pairs_are_drawn_anew_each_epoch_and_repeat_for_a_place() -> None:
    one = example([1], [2])
    positives, negatives = ([Branch([i], one.asked) for i in range(count)] for count in (8, 4))
    kept = Contrast(positives, negatives)

    def drawn() -> list[list[list[int]]]:
        places = [f"0/{epoch}/7" for epoch in range(20)]
        return [[list(part.branch.ids) for part in Reflection().parts(one, kept, place)[1:]] for place in places]

    assert drawn() == drawn()
    assert len({tuple(positive) for positive, _ in drawn()}) > 3
    assert len({tuple(negative) for _, negative in drawn()}) > 1


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
def test_a_lesson_is_what_an_exam_shows_plus_completion_plus_stop(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = opened(request.getfixturevalue(kind))
    if not tokenizer.chat_template:
        templates.install_paper_template(tokenizer)
    stops = templates.stop_ids(tokenizer)
    lesson = Lesson(question="1", prompt="A coin is heads up.", completion="It is up. --> yes", kind="rationale")
    (found,) = examples.encode_lessons([lesson], Encoder(tokenizer, stops, 512))
    assert found.prompt == templates.prompt_ids(tokenizer, [Message("user", lesson.prompt)])
    assert found.completion[-1] in stops
    assert not set(found.completion[:-1]) & stops
    assert tokenizer.decode(found.completion, skip_special_tokens=True).strip() == lesson.completion


def test_too_long_lessons_are_dropped_never_cut(chat_student: Path) -> None:
    tokenizer = opened(chat_student)
    stops = templates.stop_ids(tokenizer)
    short = Lesson(question="1", prompt="coin", completion="yes", kind="answer")
    long = Lesson(question="2", prompt="coin " * 400, completion="yes", kind="answer")
    encoder = Encoder(tokenizer, stops, 100)
    assert len(examples.encode_lessons([short, long], encoder)) == 1
    with pytest.raises(LessonError, match="none of the 1 lessons fits"):
        examples.encode_lessons([long], encoder)
    with pytest.raises(LessonError, match="no lessons"):
        examples.encode_lessons([], encoder)


def test_a_template_without_a_stop_is_refused(base_student: Path) -> None:
    tokenizer = opened(base_student)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    with pytest.raises(Exception, match="never learn to stop.*training.template=paper"):
        templates.completion_ids(tokenizer, [Message("user", "coin")], "yes", {1})
