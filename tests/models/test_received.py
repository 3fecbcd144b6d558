"""What a server may send instead of a reply: each is a reply or a fault like any other, and none is paid for again and again."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server import Teacher, completion, teaching

from tutelage.errors import ModelError
from tutelage.models.opening import Context, open_model
from tutelage.runs.replies import ReplyCache
from tutelage.spending import Spending
from tutelage.types import Chat, Message, Reply, Sampling

SECRET = "sk-very-secret-key-0001"
WELL = completion("It is 4.")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, SECRET)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def ask(
    teacher: Teacher,
    store: ReplyCache,
    said: list[str] | None = None,
    kind: str = "openai",
    count: int = 1,
    **more: Any,
) -> list[Reply]:
    url = teacher.url if kind == "openai" else teacher.url.removesuffix("/v1")
    key = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "google": "GEMINI_API_KEY"}[kind]
    spec = {"kind": kind, "name": "m", "base_url": url, "key": key, "tries": 3, "timeout": 30, **more}
    context = Context(store, spent=Spending(), say=[].append if said is None else said.append)
    chats = [Chat(messages=(Message("user", f"What is {i} + 2?"),)) for i in range(count)]
    return [
        replies[0] for _, replies in sorted(open_model(spec, context=context).answer(chats, Sampling(max_tokens=20)))
    ]


def of(kind: str, text: str) -> dict[str, Any]:
    """A reply in a kind's own form."""
    if kind == "openai":
        return dict(json.loads(completion(text)))
    if kind == "anthropic":
        return {"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 9, "output_tokens": 3}}
    return {"candidates": [{"content": {"parts": [{"text": text}]}}], "usageMetadata": {"promptTokenCount": 9}}


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("how", ["byte", "half"])
def test_a_broken_character_costs_one_try_and_is_said_once(kind: str, how: str, store: ReplyCache) -> None:
    whole = json.dumps(of(kind, "It is 4 @.")).encode()
    raw = whole.replace(b"@", b"\xff" if how == "byte" else b"\\ud800")
    said = list[str]()
    with teaching(odd=lambda teacher: (200, raw, [])) as teacher:
        replies = ask(teacher, store, said, kind, count=3)
        assert [reply.text for reply in replies] == ["It is 4 \ufffd."] * 3
        assert len(teacher.requests) == 3
        assert len([line for line in said if "broken characters" in line]) == 1
        again = ask(teacher, store, said, kind, count=3)
        assert again == replies
        assert len(teacher.requests) == 3
    assert all(row.raw == raw for row in store.rows())


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("depth", [1_000, 5_000, 100_000])
def test_a_reply_that_is_nested_too_deep_is_tried_as_often_as_any_other(
    kind: str, depth: int, store: ReplyCache
) -> None:
    deep = json.dumps(of(kind, "It is 4."))[:-1] + ', "more": ' + "[" * depth + "]" * depth + "}"
    with teaching(
        odd=lambda teacher: (200, deep.encode(), []) if "What is 0" in str(teacher.requests[-1]) else None
    ) as teacher:
        first, second = ask(teacher, store, kind=kind, count=2, concurrency=1, timeout=60)[:2]
    assert second.finish == "eos"
    assert first.text == "It is 4." or ("nested too deep" in first.error and len(teacher.requests) == 3 + 1)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (completion([{"type": "text", "text": "It is "}, {"type": "text", "text": "4."}]), "It is 4."),
        (completion(["It is ", "4."]), "It is 4."),
        (completion(None), ""),
        (completion([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "4."}]), "4."),
        (completion("It is 4.", model=7), "It is 4."),
        (completion("It is 4.", usage="none"), "It is 4."),
        (WELL.replace(b'"finish_reason": "stop"', b'"finish_reason": {"why": 1}'), "It is 4."),
        (WELL.replace(b'"finish_reason": "stop"', b'"finish_reason": "eos_token"'), "It is 4."),
        (WELL.replace(b'"choices": [', b'"choices": [{"message": {"content": "first"}}, 3, '), "first"),
        (b"\xef\xbb\xbf" + WELL, "It is 4."),
    ],
)  # fmt: skip
def test_a_reply_of_another_form_is_read(raw: bytes, text: str, store: ReplyCache) -> None:
    with teaching(odd=lambda teacher: (200, raw, ["content-type: text/plain"])) as teacher:
        (reply,) = ask(teacher, store)
    assert (reply.text, reply.finish, len(teacher.requests)) == (text, "eos", 1)


@pytest.mark.parametrize("reason", ["max_tokens", "MAX_TOKENS", "model_length"])
def test_a_reply_that_was_cut_is_cut_whatever_its_reason_is_called(reason: str, store: ReplyCache) -> None:
    raw = WELL.replace(b'"finish_reason": "stop"', f'"finish_reason": "{reason}"'.encode())
    with teaching(odd=lambda teacher: (200, raw, [])) as teacher:
        assert ask(teacher, store)[0].finish == "length"


@pytest.mark.parametrize("content", [4, {"text": "4"}, True])
def test_what_is_no_text_is_an_error_of_its_row_and_asked_once(content: Any, store: ReplyCache) -> None:
    with teaching(odd=lambda teacher: (200, completion(content), [])) as teacher:
        (reply,) = ask(teacher, store)
    assert "content is no text" in reply.error
    assert len(teacher.requests) == 1


def test_an_error_that_comes_as_a_reply_is_told(store: ReplyCache) -> None:
    raw = json.dumps({"error": {"code": 502, "message": "the provider is asleep"}}).encode()
    with teaching(odd=lambda teacher: (200, raw, [])) as teacher, pytest.raises(ModelError, match="provider is asleep"):
        ask(teacher, store, tries=2)
    assert len(teacher.requests) == 2


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_a_reply_of_a_hundred_megabytes_is_read_no_further(kind: str, store: ReplyCache) -> None:
    huge = b'{"more": "' + b"x" * (100 << 20) + b'", ' + WELL[1:]
    with teaching(odd=lambda teacher: (200, huge, []) if "What is 0" in str(teacher.requests[-1]) else None) as teacher:
        first, second = ask(teacher, store, kind=kind, count=2, concurrency=1)
    assert "larger than 32 MB" in first.error
    assert second.finish == "eos"
    assert len(teacher.requests) == 2


def test_a_size_that_is_not_stated_is_found_out(store: ReplyCache) -> None:
    chunk = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
    with teaching(odd=lambda teacher: (200, chunk * 50 + b"0\r\n\r\n", ["transfer-encoding: chunked"])) as teacher:
        assert "larger than 32 MB" in ask(teacher, store)[0].error
    assert len(teacher.requests) == 1


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
def test_nothing_is_unpacked(kind: str, store: ReplyCache) -> None:
    bomb = gzip.compress(b"0" * (64 << 20))
    with teaching(odd=lambda teacher: (200, bomb, ["content-encoding: gzip"])) as teacher:
        begun = time.monotonic()
        with pytest.raises(ModelError, match="came packed"):
            ask(teacher, store, kind=kind, tries=2)
        assert time.monotonic() - begun < 20
    assert {headers["accept-encoding"] for headers in teacher.headers} == {"identity"}


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nobody_is_followed_to_another_host(kind: str, status: int, store: ReplyCache) -> None:
    with teaching() as other:
        where = [f"location: {other.url}/chat/completions?k={SECRET}"]
        with (
            teaching(odd=lambda teacher: (status, b"", where)) as teacher,
            pytest.raises(ModelError, match="sends on to http://127.0.0.1.*neither key nor prompt follows") as error,
        ):
            ask(teacher, store, kind=kind)
        assert (other.requests, len(teacher.requests)) == ([], 1)
    assert SECRET not in str(error.value)


def test_a_flood_of_headers_is_a_broken_connection(store: ReplyCache) -> None:
    flood = [f"x-{i}: {'y' * 1000}" for i in range(500)]
    with teaching(odd=lambda teacher: (200, WELL, flood) if len(teacher.requests) == 1 else None) as teacher:
        assert ask(teacher, store)[0].finish == "eos"
    assert len(teacher.requests) == 2


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize(
    "body", [b"\xff\xfe\xfd", b"[" * 100_000, b'{"error": ' * 500, b"", b"null", b'"' + b"x" * 100_000]
)
def test_a_refusal_may_say_anything(kind: str, body: bytes, store: ReplyCache) -> None:
    with teaching(odd=lambda teacher: (400, body, [])) as teacher:
        (reply,) = ask(teacher, store, kind=kind)
    assert reply.error.startswith("HTTP 400")
    assert len(reply.error) < 400
    assert len(teacher.requests) == 1


def test_a_batch_with_odd_rows_asks_those_one_by_one(store: ReplyCache) -> None:
    odd = [completion(4), b"[3]", WELL]
    with teaching(odd=lambda teacher: (200, odd.pop(), []) if odd else None) as teacher:
        replies = ask(teacher, store, count=3, batch=True, poll=0.01, tries=2)
        assert [reply.finish for reply in replies] == ["eos"] * 3
        assert len(teacher.requests) == 2


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("status", [302, 400, 401, 500])
def test_a_long_refusal_holds_up_nobody(kind: str, status: int, store: ReplyCache) -> None:
    """What is said is cut before it is looked at: half a megabyte of letters for each of many requests."""
    body = json.dumps({"error": {"message": "a" * 500_000}}).encode()
    where = [f"location: http://x.example/{'a' * 60_000}"] if status == 302 else []
    with teaching(odd=lambda teacher: (status, body, where)) as teacher:
        begun = time.process_time()
        try:
            errors = [reply.error for reply in ask(teacher, store, kind=kind, count=20, tries=2)]
        except ModelError as error:
            errors = [str(error)]
    assert time.process_time() - begun < 8  # the test's server and the SDK's import are part of it
    assert all(str(status) in error and len(error) < 500 for error in errors)
    says = {302: "change base_url", 401: "check the key"}.get(status, "aaa")
    assert all(says in error for error in errors)


@pytest.mark.parametrize("between", ["</think>", "<think>", " </think>\n"])
def test_a_key_in_two_halves_around_a_thought_is_kept_as_none(between: str, store: ReplyCache) -> None:
    with teaching(lambda messages: f"{SECRET[:12]}{between}{SECRET[12:]} It is 4.") as teacher:
        spec = {"kind": "openai", "name": "m", "base_url": teacher.url, "key": "OPENAI_API_KEY"}
        chat = Chat(messages=(Message("user", "2 + 2?"),))
        ((_, (reply,)),) = open_model(spec, context=Context(store=store)).answer([chat], Sampling())
    kept = str(list(store.rows()))
    for half in (SECRET[3:12], SECRET[12:]):
        assert half not in reply.text + reply.thinking + kept
    assert "4." in reply.text
