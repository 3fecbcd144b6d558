"""What a server says of tokens: believed where it can be so, and never a way past a cap."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server import completion, teaching

from tutelage.errors import BudgetError, ModelError
from tutelage.models.opening import Context, open_model
from tutelage.models.remote.usage import TokensSaid, least, usage, worst_input
from tutelage.runs.replies import ReplyCache
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Chat, Message, Reply, Sampling, Spent

LIES: list[Any] = [-1_000_000, -1, 10**15, 10**30, 10**5000, 10.5, True, False, "10", "many", [3], {"n": 3}]
SAMPLING = Sampling(max_tokens=20)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, "sk-very-secret-key-0001")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def written(value: Any) -> str:
    """A number of tokens as JSON, however long."""
    return "1" + "0" * 5000 if value == 10**5000 else json.dumps(value)


def raw(kind: str, lie: str) -> bytes:
    """A good reply with a lie for every number of tokens."""
    body = {
        "openai": json.loads(
            completion("It is 4.", {"prompt_tokens": "@", "completion_tokens": "@", "total_tokens": "@"})
        ),
        "anthropic": {
            "content": [{"type": "text", "text": "It is 4."}],
            "usage": {"input_tokens": "@", "output_tokens": "@", "cache_read_input_tokens": "@"},
        },
        "google": {
            "candidates": [{"content": {"parts": [{"text": "It is 4."}]}}],
            "usageMetadata": {"promptTokenCount": "@", "candidatesTokenCount": "@", "thoughtsTokenCount": "@"},
        },
    }[kind]
    return json.dumps(body).replace('"@"', lie).encode()


def ask(url: str, context: Context, kind: str, count: int) -> dict[int, list[Reply]]:
    spec = {"kind": kind, "name": "m", "base_url": url if kind == "openai" else url.removesuffix("/v1"), "tries": 3}
    chats = [Chat(messages=(Message("user", f"What is {i} + 2?"),)) for i in range(count)]
    return dict(open_model(spec, context=context).answer(chats, SAMPLING))


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("lie", [*(written(lie) for lie in LIES), "NaN", "Infinity", "1e400"])
def test_no_number_is_a_way_past_a_cap(kind: str, lie: str, store: ReplyCache) -> None:
    said, rows, spent = list[str](), list[Spent](), Spending()
    context = Context(store, BudgetConfig(tokens=2_000), spent, rows.append, say=said.append)
    with teaching(odd=lambda teacher: (200, raw(kind, lie), [])) as teacher:
        with pytest.raises(BudgetError, match=r"the budget is spent: \d+ calls, \d+ [+] \d+ tokens"):
            ask(teacher.url, context, kind, 300)
        asked = len(teacher.requests)
    assert 10 < asked < 100
    assert asked * (least("What is 0 + 2?") + least("It is 4.")) <= spent.tokens <= 2_000
    assert all(row.tokens_in >= 0 and row.tokens_out >= 0 for row in rows)
    assert len([line for line in said if "cannot be right" in line]) == 1
    assert len(said[0]) < 400
    assert all(row.reply.tokens_in > 0 and row.reply.tokens_out > 0 for row in store.rows())


def test_a_number_that_is_too_small_is_counted_as_what_was_seen(store: ReplyCache) -> None:
    long, spent = "word " * 2_000, Spending()
    lie = {"prompt_tokens": 1, "completion_tokens": 1}
    with teaching(odd=lambda teacher: (200, completion(long, lie), [])) as teacher:
        ask(teacher.url, Context(store, spent=spent, say=[].append), "openai", 4)
    assert spent.tokens_out == 4 * least(long) == 4 * 313


def test_a_system_prompt_is_sent_and_counts(store: ReplyCache) -> None:
    system = "x" * 50 + " y" * 900
    with teaching() as teacher:
        spec = {"kind": "openai", "name": "m", "base_url": teacher.url, "system": system}
        chats = [Chat(messages=(Message("user", "Why?"),))]
        model = open_model(spec, context=Context(store, BudgetConfig(tokens=1_000)))
        with pytest.raises(BudgetError):
            list(model.answer(chats, SAMPLING))
    assert teacher.requests == []


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 3}, (10, 3)),
        ({"prompt_tokens": 10.0, "completion_tokens": 3.0}, (10, 3)),
        ({"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 513}, (10, 503)),  # thought, and billed
        ({"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": -5}}, (10, 3)),
        ({"prompt_tokens": 10}, (10, 20)),  # the rest at its worst
        ({}, (14 + 8 + 16, 20)),
        (None, (14 + 8 + 16, 20)),
    ],
)
def test_what_can_be_right_is_believed(said: Any, counted: tuple[int, int], store: ReplyCache) -> None:
    lines, spent = list[str](), Spending()
    answer = json.loads(completion("It is 4."))
    answer |= {"usage": said}
    with teaching(odd=lambda teacher: (200, json.dumps(answer).encode(), [])) as teacher:
        ask(teacher.url, Context(store, spent=spent, say=lines.append), "openai", 1)
    assert (spent.tokens_in, spent.tokens_out) == counted
    assert lines == []


def test_what_comes_from_a_cache_of_prompts_is_part_of_what_was_read(store: ReplyCache) -> None:
    body = {
        "content": [{"type": "text", "text": "It is 4."}],
        "usage": {
            "input_tokens": 4,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 0,
            "output_tokens": 5,
        },
    }
    lines, spent = list[str](), Spending()
    with teaching(odd=lambda teacher: (200, json.dumps(body).encode(), [])) as teacher:
        ask(teacher.url, Context(store, spent=spent, say=lines.append), "anthropic", 1)
    assert (spent.tokens_in, spent.tokens_out, lines) == (1004, 5, [])


ANY = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)


@given(ANY, ANY, st.text(max_size=60), st.text(max_size=60))
def test_tokens_are_numbers_no_less_than_what_was_seen(said_in: Any, said_out: Any, asked: str, text: str) -> None:
    chat = Chat(messages=(Message("user", asked),))
    found = usage(TokensSaid(said_in, said_out), chat, SAMPLING, Reply(text=text))
    assert type(found.tokens_in) is int
    assert type(found.tokens_out) is int
    assert least(asked) <= found.tokens_in <= 10 * worst_input(chat) + 100_000
    assert least(text) <= found.tokens_out <= 10 * SAMPLING.max_tokens + 1_000_000


@pytest.mark.parametrize(
    "text", ["The coin is heads up.", "привет, как дела?", "これは何ですか", " " * 500, "=" * 5_000, "a", "\ud800"]
)
def test_the_least_is_less_than_any_tokenizer_makes(text: str) -> None:
    assert 1 <= least(text) <= max(1, len(text.split()))


SAID = {"prompt_tokens": 500, "completion_tokens": 90, "total_tokens": 590}
WORST = worst_input(Chat(messages=(Message("user", "What is 0 + 2?"),)))


@pytest.mark.parametrize(
    ("raw", "more", "counted"),
    [
        (completion(4, SAID), [], (500, 90)),
        (completion({"a": 1}, {}), [], (WORST, 20)),
        (json.dumps({"choices": [], "usage": SAID}).encode(), [], (500, 90)),
        (json.dumps({"choices": [None], "usage": {"prompt_tokens": 1, "completion_tokens": -7}}).encode(), [], (1, 20)),
        (b'{"choices": []}', [], (WORST, 20)),
        (b"<html>busy</html>", [], (WORST, 0)),
        (b"[" * 9_000, [], (WORST, 0)),
        (b'{"error": {"message": "asleep"}}', [], (0, 0)),
        (completion("It is 4.", SAID), ["content-length: 100000000"], (WORST, 20)),
        (completion("It is 4.", SAID), ["content-encoding: gzip"], (WORST, 20)),
    ],
)  # fmt: skip
def test_what_came_and_is_no_reply_counts(
    raw: bytes, more: list[str], counted: tuple[int, int], store: ReplyCache
) -> None:
    """The first is good, so that the second may be an error of its row; after it no more is counted than was sent."""
    rows, spent = list[Spent](), Spending()
    with teaching(odd=lambda teacher: (200, raw, more) if len(teacher.requests) > 1 else None) as teacher:
        spec = {"kind": "openai", "name": "m", "base_url": teacher.url, "tries": 2, "concurrency": 1}
        chats = [Chat(messages=(Message("user", f"What is {i} + 2?"),)) for i in range(2)]
        model = open_model(spec, context=Context(store, BudgetConfig(tokens=5_000), spent, rows.append, say=[].append))
        replies = dict(model.answer(chats, SAMPLING))
        asked = len(teacher.requests) - 1
    assert replies[1][0].finish == "error"
    assert asked in (1, 2)
    first = next(row for row in rows if row.outcome == "eos")
    assert (spent.tokens_in - first.tokens_in, spent.tokens_out - first.tokens_out) == tuple(asked * n for n in counted)
    assert spent.tokens == sum(row.tokens_in + row.tokens_out for row in rows)


@pytest.mark.parametrize("kind", ["anthropic", "google"])
def test_in_every_dialect(kind: str, store: ReplyCache) -> None:
    body: dict[str, Any] = {
        "anthropic": {"content": 7, "usage": {"input_tokens": 50, "output_tokens": 9}},
        "google": {"candidates": [4], "usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 9}},
    }[kind]
    spent = Spending()
    with teaching(odd=lambda teacher: (200, json.dumps(body).encode(), [])) as teacher:
        with pytest.raises(ModelError):
            ask(teacher.url, Context(store, spent=spent), kind, 1)
        assert (spent.tokens_in, spent.tokens_out) == (50 * len(teacher.requests), 9 * len(teacher.requests))


def test_a_reply_that_is_cut_off_counts(store: ReplyCache) -> None:
    spent = Spending()
    faults = ["half", ""]
    with teaching(faults=lambda number, body: faults[number]) as teacher:
        ask(teacher.url, Context(store, spent=spent, say=[].append), "openai", 1)
    assert spent.tokens_in == WORST + 10
    assert spent.tokens_out >= 20


def test_what_waits_to_be_tried_again_takes_no_room_in_the_budget(store: ReplyCache) -> None:
    """Each is refused at first, and ten fill the budget: while they wait others are sent, and all are answered."""
    seen, spent = set[str](), Spending()

    def first(number: int, body: dict[str, Any]) -> str:
        text = str(body["messages"])
        return "" if text in seen else seen.add(text) or "503 after 0.3"

    with teaching(faults=first) as teacher:
        replies = ask(teacher.url, Context(store, BudgetConfig(tokens=600), spent, say=[].append), "openai", 30)
    assert len(replies) == 30
    assert spent.tokens <= 600


CACHED = {
    "openai": {"usage": {"prompt_tokens": 90, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": "@"}}},
    "anthropic": {"usage": {"input_tokens": 20, "cache_read_input_tokens": "@", "output_tokens": 5}},
    "google": {"usageMetadata": {"promptTokenCount": 90, "candidatesTokenCount": 5, "cachedContentTokenCount": "@"}},
}


@pytest.mark.parametrize("kind", list(CACHED))
@pytest.mark.parametrize(("said", "counted"), [(64, 64), (-1, 0), (10**9, 0), (True, 0), ("many", 0), (None, 0)])
def test_what_was_read_from_a_servers_cache_is_counted_apart(kind: str, said: Any, counted: int) -> None:
    from tutelage.models.remote import anthropic, google, openai

    reader: Any = {"openai": openai._used, "anthropic": anthropic._used, "google": google._used}[kind]
    body = json.loads(json.dumps(CACHED[kind]).replace('"@"', json.dumps(said)))
    found = reader(body["usage"] if kind == "openai" else body)
    chat = Chat(messages=(Message("user", "x" * 200),))
    if kind == "anthropic" and said != counted:
        return  # there it is part of the whole, and what cannot be right spoils that: held above
    assert usage(found, chat, SAMPLING, Reply(text="It is 4.")).cached == counted


def test_a_reply_and_the_attempt_it_becomes_say_so(store: ReplyCache) -> None:
    body = json.loads(completion("It is 4.", {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}))
    body["usage"]["prompt_tokens_details"] = {"cached_tokens": 32}
    with teaching(lambda messages: "", odd=lambda teacher: (200, json.dumps(body).encode(), [])) as teacher:
        model = open_model({"kind": "openai", "name": "t", "base_url": teacher.url}, Context(store))
        (reply,) = dict(model.answer([Chat(messages=(Message("user", "x" * 100),))], SAMPLING))[0]
        assert (reply.tokens_in, reply.tokens_cached) == (50, 32)
        (again,) = dict(model.answer([Chat(messages=(Message("user", "x" * 100),))], SAMPLING))[0]
        assert again.tokens_cached == 32  # kept with the reply
