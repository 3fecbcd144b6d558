"""A reply that was paid for is never paid for twice."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tutelage import exam
from tutelage.models.remote.cached import Cached, key_of, request_of
from tutelage.models.remote.endpoint import Answer, Request
from tutelage.models.remote.keeping import MemoryStore
from tutelage.runs.replies import ReplyCache
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Message, Reply, Sampling


class Counting:
    """Counts the samples it is asked for."""

    def __init__(self, name: str = "teacher") -> None:
        self.name = name
        self.asked = self.calls = 0
        self.adapted: dict[str, str] = {}

    def left_out(self, request: Request) -> tuple[str, ...]:
        return ()

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        self.calls += 1
        for index, request in enumerate(requests):
            self.asked += 1
            text = f"{request.chat.messages[-1].content}/{request.seed}"
            yield index, Answer(Reply(text=text, finish="error" if "bad" in text else "stop"), b"raw")

    def stop(self) -> None:
        """Nothing is in flight."""


class Sheets:
    """A model on this machine: notes how many chats it is handed."""

    name = "local"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        self.sizes.append(len(chats))
        yield from ((index, [Reply(text="yes")]) for index in range(len(chats)))


def chats(*texts: str) -> list[Chat]:
    return [Chat(messages=(Message("user", text),)) for text in texts]


@pytest.fixture
def store(tmp_path: Path) -> ReplyCache:
    return ReplyCache(tmp_path / "replies.sqlite")


def test_the_second_time_nothing_is_asked(store: ReplyCache) -> None:
    model = Counting()
    first = dict(Cached(model, store).answer(chats("a", "b"), Sampling(n=2)))
    second = dict(Cached(model, store).answer(chats("a", "b"), Sampling(n=2)))
    assert first == second
    assert model.asked == 4
    assert all(reply.key for replies in first.values() for reply in replies)


def test_more_samples_pay_for_the_new_ones_only_and_nest(store: ReplyCache) -> None:
    model = Counting()
    few = dict(Cached(model, store).answer(chats("a", "b"), Sampling(n=2)))
    many = dict(Cached(model, store).answer(chats("a", "b", "c"), Sampling(n=5)))
    assert model.asked == 4 + 3 + 3 + 5
    assert many[0][:2] == few[0]
    assert [reply.text for reply in many[0]] == [f"a/{i}" for i in range(5)]


def test_failures_are_not_kept(store: ReplyCache) -> None:
    model = Counting()
    for _ in range(2):
        assert dict(Cached(model, store).answer(chats("bad"), Sampling()))[0][0].finish == "error"
    assert model.asked == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"top_k": 3},
        {"max_tokens": 7},
        {"seed": 1},
        {"stop": ("x",)},
    ],
)
def test_any_other_sampling_is_another_request(changed: dict[str, object]) -> None:
    chat = chats("a")[0]
    assert request_of("m", chat, Sampling(), 0) != request_of("m", chat, replace(Sampling(), **changed), 0)


def test_what_is_local_is_no_part_of_the_request() -> None:
    chat = chats("a")[0]
    local = replace(chat, question="7", purpose="rationale", sample=3, mistakes=("wrong",))
    assert request_of("m", chat, Sampling(), 0) == request_of("m", local, Sampling(n=4), 0)
    assert request_of("m", chat, Sampling(), 0) != request_of("m2", chat, Sampling(), 0)
    assert request_of("m", chat, Sampling(), 0) != request_of("m", chat, Sampling(), 1)


def test_the_file_outlives_the_process(store: ReplyCache, tmp_path: Path) -> None:
    model = Counting()
    list(Cached(model, store).answer(chats("a"), Sampling()))
    store.close()
    list(Cached(model, ReplyCache(tmp_path / "replies.sqlite")).answer(chats("a"), Sampling()))
    assert model.asked == 1


def test_the_order_of_a_mapping_is_no_part_of_a_request() -> None:
    from tutelage.models.remote.openai import OpenAICompatible

    one, other = ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    assert OpenAICompatible("m", extra=one).name == OpenAICompatible("m", extra=other).name
    assert OpenAICompatible("m", extra=one).name != OpenAICompatible("m", extra={**one, "a": 2}).name


@given(
    st.sampled_from(["role", "content", *Sampling.__struct_fields__, "model", "sample", "more"]), st.integers(0, 10**6)
)
def test_any_changed_field_is_another_key(field: str, seed: int) -> None:
    chat, sampling, model, sample = Chat(messages=(Message("user", f"q{seed}"),)), Sampling(), "m", 0
    before = key_of(model, chat, sampling, sample)
    if field == "role":
        chat = Chat(messages=(Message("system", f"q{seed}"),))
    elif field == "content":
        chat = Chat(messages=(Message("user", f"q{seed} "),))
    elif field == "more":
        chat = Chat(messages=(*chat.messages, Message("assistant", "")))
    elif field == "model":
        model = "m2"
    elif field == "sample":
        sample = 1
    elif field == "stop":
        sampling = replace(sampling, stop=("x",))
    elif field == "flexible":
        sampling = replace(sampling, flexible=True)
    elif field == "first":
        sampling = replace(sampling, first=1)
    else:
        sampling = replace(sampling, **{field: getattr(sampling, field) + 1})
    # n asks for more of the same, first for later ones, whose number is there; flexible is about what a model on this machine can hold.
    assert (key_of(model, chat, sampling, sample) == before) == (field in ("n", "flexible", "first"))


def test_a_remote_exam_is_asked_at_once_and_only_for_what_is_missing(store: ReplyCache) -> None:
    """Sheets are for local models: a remote one would stand idle at the end of each."""
    task = find_task("coin_flip?size=20")
    questions = task.load("train")
    setup = exam.ExamConfig(chunk=4).setup("zero_shot_cot", seed=0)
    model = Counting()
    sat = list(exam.sit(Cached(model, store), task, questions, setup))
    assert sorted(attempt.question for attempt in sat) == sorted(question.id for question in questions)
    assert model.calls == 2  # the rationales, and behind them the answers
    again = Counting()
    rest = list(exam.sit(Cached(again, MemoryStore()), task, questions, setup, kept=sat[:-3]))
    assert sorted(rest, key=lambda one: one.question) == sorted(sat[-3:], key=lambda one: one.question)
    assert again.asked == 3 * 2


def test_a_local_exam_is_asked_sheet_by_sheet() -> None:
    task = find_task("coin_flip?size=20")
    questions = task.load("train")
    model = Sheets()
    list(exam.sit(model, task, questions, exam.ExamConfig(chunk=4).setup("zero_shot", seed=0)))
    assert max(model.sizes) == 4
    assert sum(model.sizes) == len(questions)


def test_two_chats_with_the_same_words_are_one_request(store: ReplyCache) -> None:
    """Two samples of a rationale may say the same, and "Therefore, the answer is" behind both is paid for once."""
    model = Counting()
    replies = dict(Cached(model, store).answer(chats("a", "b", "a", "a"), Sampling(n=2)))
    assert model.asked == 4
    assert replies[0] == replies[2] == replies[3]
    assert len(replies) == 4
