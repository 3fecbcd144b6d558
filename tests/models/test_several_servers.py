"""Several servers of one teacher: each reply is paid for once whichever of them fails, comes back or knows no such model."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.server import Faults, Teacher, teaching

from tutelage.errors import ConfigError, ModelError
from tutelage.models.opening import Context, open_model
from tutelage.models.remote.openai import OpenAICompatible
from tutelage.runs.replies import ReplyCache
from tutelage.spending import Spending
from tutelage.types import Chat, Message, Reply, Sampling

SECRET = "sk-very-secret-key-0001"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def ask(urls: list[str], store: ReplyCache, said: list[str], count: int = 60, **more: Any) -> list[Reply]:
    spec = {"kind": "openai", "name": "m", "base_url": urls, "tries": 3, "timeout": 30, "concurrency": 12, **more}
    context = Context(store, spent=Spending(), say=said.append)
    chats = [Chat(messages=(Message("user", f"What is {i} + 2?"),)) for i in range(count)]
    answered = open_model(spec, context=context).answer(chats, Sampling(max_tokens=20))
    return [replies[0] for _, replies in sorted(answered)]


def servers(stack: ExitStack, *faults: Faults, seconds: float = 0.01) -> list[Teacher]:
    return [stack.enter_context(teaching(faults=fault, seconds=seconds)) for fault in faults]


def well(number: int, body: dict[str, Any]) -> str:
    return ""


def questions(*teachers: Teacher) -> list[str]:
    bodies = itertools.chain.from_iterable(teacher.answered for teacher in teachers)
    return sorted(body["messages"][-1]["content"] for body in bodies)


def test_each_is_asked_about_as_much(store: ReplyCache) -> None:
    said: list[str] = []
    with ExitStack() as stack:
        three = servers(stack, well, well, well)
        replies = ask([one.url for one in three], store, said)
        assert not any(reply.error for reply in replies)
        assert len(set(questions(*three))) == len(questions(*three)) == 60
        assert min(len(one.answered) for one in three) >= 12
        assert max(one.most_at_once for one in three) <= 6
        assert said == []
        # Replies are those of the first: a server more changes none.
        ask([three[0].url, three[2].url], store, said)
        assert len(questions(*three)) == 60


def test_the_slower_is_asked_less(store: ReplyCache) -> None:
    with ExitStack() as stack:
        (quick,), (slow,) = servers(stack, well), servers(stack, well, seconds=0.2)
        ask([quick.url, slow.url], store, [], count=120)
        assert len(quick.answered) > 3 * len(slow.answered) > 0


def test_nobody_there_is_said_and_costs_no_reply(store: ReplyCache) -> None:
    said: list[str] = []
    gone = nobody()
    with ExitStack() as stack:
        two = servers(stack, well, well)
        replies = ask([gone, *(one.url for one in two)], store, said)
        assert not any(reply.error for reply in replies)
        assert len(questions(*two)) == 60
    assert sum("is left out until it answers again" in line for line in said) == 1
    assert said[-1] == (
        f"openai:m: answers by server: {gone} 0 (left out 1x), "
        f"{two[0].url} {len(two[0].answered)} (left out 0x), {two[1].url} {len(two[1].answered)} (left out 0x)"
    )


def test_one_that_comes_back_is_asked_again(store: ReplyCache) -> None:
    said: list[str] = []
    with ExitStack() as stack:
        ill, good = servers(stack, lambda number, body: "500" if number < 4 else "", well, seconds=0.1)
        replies = ask([ill.url, good.url], store, said, count=300, concurrency=8)
        assert not any(reply.error for reply in replies)
        assert len(set(questions(ill, good))) == len(questions(ill, good)) == 300
        assert len(ill.answered) > 10
    assert [line.partition(f"{ill.url} ")[2][:11] for line in said[:2]] == ["is left out", "answers aga"]


@pytest.mark.parametrize("fault", ["404", "401"])
def test_one_without_the_model_is_left_out_for_good(store: ReplyCache, fault: str) -> None:
    said: list[str] = []
    with ExitStack() as stack:
        other, good = servers(stack, lambda number, body: fault, well)
        replies = ask([other.url, good.url], store, said)
        assert not any(reply.error for reply in replies)
        assert len(other.requests) <= 12
    assert f"is left out from here on: HTTP {fault}" in said[0]


def test_where_all_are_without_it_that_is_the_error(store: ReplyCache) -> None:
    with ExitStack() as stack:
        two = servers(stack, lambda number, body: "404", lambda number, body: "404")
        with pytest.raises(ModelError, match="HTTP 404"):
            ask([one.url for one in two], store, [])


def test_where_nobody_answers_that_is_the_error(store: ReplyCache) -> None:
    with pytest.raises(ModelError, match="given up after"):
        ask([nobody(), nobody()], store, [])


def test_a_request_that_breaks_every_server_is_given_up_as_with_one(store: ReplyCache) -> None:
    def poison(number: int, body: dict[str, Any]) -> str:
        return "500" if "What is 7 +" in body["messages"][-1]["content"] else ""

    with ExitStack() as stack:
        three = servers(stack, poison, poison, poison)
        replies = ask([one.url for one in three], store, [])
        assert [i for i, reply in enumerate(replies) if reply.finish == "error"] == [7]
        assert sum(len(one.requests) - len(one.answered) for one in three) == 9  # three tries, each by all


def test_no_key_goes_where_none_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    home, other = "https://api.openai.com/v1", "https://elsewhere.example/v1"
    assert OpenAICompatible("m", base_url=[home]).servers.secret == SECRET
    assert OpenAICompatible("m", base_url=[home, other]).servers.secret is None
    assert OpenAICompatible("m", base_url=[home, other], key="OPENAI_API_KEY").servers.secret == SECRET


@pytest.mark.parametrize(
    ("urls", "more", "says"),
    [
        ([], {}, "base_url must be an address, or a list of different ones"),
        (["http://a/v1", "http://a/v1"], {}, "base_url must be an address, or a list of different ones"),
        (["http://a/v1", 5], {}, "base_url must be an address, or a list of different ones"),
        (["http://a/v1", "b:8000"], {}, "base_url must begin with http"),
        (["http://a/v1", "http://b/v1"], {"batch": True}, "batch=true goes to one server; base_url names 2"),
    ],
)
def test_what_is_no_fleet(urls: list[Any], more: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_model({"kind": "openai", "name": "m", "base_url": urls, **more})
