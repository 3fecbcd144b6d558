"""Our own word problems: right, disjoint, and told in words that fit."""

import random
import re
import zlib
from collections import Counter

import pytest

from tutelage.errors import ConfigError, DataError
from tutelage.grading.verdicts import judge
from tutelage.tasks.catalog import find_task
from tutelage.tasks.generated.story import solve
from tutelage.tasks.generated.word_problems import LEVELS, STORIES, draw_question, sums_of
from tutelage.tasks.task import share_of
from tutelage.types import Question

SUM = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
OPERATORS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def load(split: str = "train", **options: object) -> list[Question]:
    return find_task({"name": "word_problems", **options}).load(split)


def fingerprint(question: Question) -> str:
    return f"{question.template}/{'/'.join(map(str, question.facts['numbers'].values()))}"


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_every_sum_of_a_worked_solution_holds_and_the_last_is_the_answer(difficulty: int) -> None:
    task = find_task(f"word_problems?difficulty={difficulty}&size=700")
    most, _, highest = LEVELS[difficulty]
    for question in task.load("train"):
        assert task.worked is not None
        for variant in range(3):
            worked = task.worked(question, variant)
            sums = [(int(a), op, int(b), int(c)) for a, op, b, c in SUM.findall(worked)]
            assert 2 <= len(sums) == len(STORIES[question.template].sums) <= most
            for a, operator, b, result in sums:
                assert OPERATORS[operator](a, b) == result
                assert operator != "/" or a % b == 0
                assert 0 < result <= highest
            assert str(sums[-1][-1]) == question.answer
            assert judge(task, question, f"{worked} --> {question.answer}")[1] == "right"
            assert judge(task, question, f"{worked} --> {int(question.answer) + 1}")[1] == "wrong"


@pytest.mark.parametrize(("difficulty", "many"), [(1, 9), (3, 81)])
def test_mixed_wordings_are_as_many_as_there_are_ways_to_mix_them(difficulty: int, many: int) -> None:
    alike = find_task(f"word_problems?difficulty={difficulty}&size=200")
    mixed = find_task(f"word_problems?difficulty={difficulty}&size=200&wordings=mixed")
    assert alike.worked is not None
    assert mixed.worked is not None
    longest = 0
    for question in mixed.load("train"):
        ways = 3 ** len(STORIES[question.template].sums)
        first = zlib.crc32(question.id.encode())
        texts = {mixed.worked(question, first + place) for place in range(ways)}
        assert len(texts) == ways
        assert {alike.worked(question, place) for place in range(3)} <= texts
        assert {tuple(SUM.findall(text)) for text in texts} == {tuple(SUM.findall(alike.worked(question, 0)))}
        longest = max(longest, ways)
    assert longest == many
    assert "wordings" not in alike.options
    assert mixed.options["wordings"] == "mixed"


def test_there_are_many_stories_of_every_length_and_all_are_told() -> None:
    lengths = Counter(len(story.sums) for story in STORIES.values())
    assert len(STORIES) >= 24
    assert lengths[2] >= 12
    assert lengths[3] >= 8
    assert lengths[4] >= 4
    assert {question.template for question in load(difficulty=3)} == set(STORIES)


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_a_story_reads_well(story: object) -> None:
    for seed in range(60):
        question, _ = draw_question(random.Random(seed), story, 3)  # type: ignore[arg-type]
        text = question.text
        assert not re.search(r"[{}]", text)
        assert text.endswith("?")
        assert not re.search(r"\b1 (?!more|that|extra)[a-z]+s\b", text), text  # "1 apples"
        assert "  " not in text
        sentences = re.split(r"(?<=[.?]) ", text)
        assert all(sentence[0].isupper() or sentence[0].isdigit() for sentence in sentences), text


def test_splits_share_no_story_with_its_numbers_whatever_the_seed() -> None:
    seen = {
        split: {fingerprint(q) for seed in (0, 1) for q in load(split, seed=seed)} for split in ("train", "dev", "test")
    }
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["dev"]
    assert not seen["dev"] & seen["test"]
    assert len(seen["test"]) > 400
    for split, prints in seen.items():
        assert {share_of(one) for one in prints} == {split}


@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_held_out_stories_are_told_in_one_split_only(difficulty: int) -> None:
    told = {
        split: {q.template for q in load(split, templates="held_out", difficulty=difficulty)}
        for split in ("train", "dev", "test")
    }
    assert not told["train"] & (told["dev"] | told["test"])
    assert not told["dev"] & told["test"]
    assert min(map(len, told.values())) >= 2


def test_half_of_the_held_out_stories_may_be_new() -> None:
    told = {
        split: [q.template for q in load(split, templates="half_held_out", difficulty=2)] for split in ("train", "test")
    }
    known = set(told["train"])
    new = [name for name in told["test"] if name not in known]
    assert 0.4 < len(new) / len(told["test"]) < 0.6
    texts = [
        {q.text for q in load(split, templates="half_held_out", difficulty=2)} for split in ("train", "dev", "test")
    ]
    assert sum(map(len, texts)) == len(set().union(*texts))


@pytest.mark.parametrize("options", [{"difficulty": 1}, {"difficulty": 2}, {"difficulty": 3, "templates": "held_out"}])
def test_no_sum_is_in_two_splits(options: dict[str, object]) -> None:
    apart, shared = (sums_by_split({**options, "split": how}) for how in ("sums", "questions"))
    assert not apart["train"] & (apart["dev"] | apart["test"])
    assert not apart["dev"] & apart["test"]
    assert min(map(len, apart.values())) > 50
    assert shared["train"] & shared["test"]  # as it is where nobody asks for it


def sums_by_split(options: dict[str, object]) -> dict[str, set[str]]:
    task = find_task({"name": "word_problems", **options})
    return {
        split: {one for q in task.load(split) for one in sums_of(STORIES[q.template], q.facts["numbers"])}
        for split in task.splits
    }


def test_a_sum_is_the_same_whichever_way_it_is_written() -> None:
    story = STORIES["gain_then_loss"]  # a + b, then less c
    assert (
        sums_of(story, {"a": 5, "b": 12, "c": 3}) == ["12 + 5", "17 - 3"] == sums_of(story, {"a": 12, "b": 5, "c": 3})
    )


def test_questions_repeat_from_seed_and_index() -> None:
    assert load(size=100) == load(size=100)
    assert load(size=100) != load(size=100, seed=1)
    assert [q.text for q in load(size=200)][:70] == [q.text for q in load(size=100)]
    assert len({q.text for q in load()}) == len(load())


def test_similar_questions_tell_the_same_story_with_other_numbers() -> None:
    task = find_task("word_problems?difficulty=2")
    assert task.similar is not None
    for question in task.load("test")[:40]:
        other = task.similar(question, random.Random(1))
        assert other.template == question.template
        assert other.text != question.text
        assert share_of(fingerprint(other)) == "train"


def test_impossible_sums_have_no_result() -> None:
    story = STORIES["share_equally_then_more"]
    assert solve(story, {"a": 7, "b": 2, "c": 1}) is None
    assert solve(story, {"a": 8, "b": 2, "c": 1}) == [4, 5]
    assert solve(STORIES["gain_then_loss"], {"a": 1, "b": 1, "c": 3}) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"difficulty": 4}, "difficulty must be from 1 to 3"),
        ({"templates": "some"}, "templates must be 'shared' or 'held_out'|templates"),
        ({"wordings": "many"}, "option 'wordings'"),
        ({"size": 0}, "size must be at least 1"),
        ({"dificulty": 2}, "did you mean 'difficulty'"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(**options)


def test_asking_for_more_than_there_is_says_so() -> None:
    with pytest.raises(DataError, match="cannot make"):
        load("dev", size=30_000)
