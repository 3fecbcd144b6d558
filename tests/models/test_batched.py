"""The Batch API against a server that has one."""

import gzip
import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.server import Service, Teacher, completion, reasoning, teaching

from tutelage.errors import BudgetError, ConfigError, Interrupted, ModelError
from tutelage.models.opening import Context, open_model
from tutelage.runs.replies import ReplyCache
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Chat, Message, Reply, Sampling


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def ask(teacher: Teacher, context: Context, count: int, **more: Any) -> dict[int, list[Reply]]:
    spec = {"kind": "openai", "name": "t", "base_url": teacher.url, "batch": True, "poll": 0.01, "tries": 2, **more}
    chats = [Chat(messages=(Message("user", f"question {i}"),), question=str(i)) for i in range(count)]
    return dict(open_model(spec, context=context).answer(chats, Sampling(max_tokens=20)))


def test_a_batch_answers_all_at_half_the_price(store: ReplyCache) -> None:
    spent = Spending()
    with teaching() as teacher:
        replies = ask(teacher, Context(store, spent=spent), 50, price={"input": 2, "output": 4})
        assert [replies[i][0].text for i in range(50)] == [f"re: question {i}" for i in range(50)]
        assert (len(teacher.batches), len(teacher.requests)) == (1, 0)
        ask(teacher, Context(store), 50)
        assert len(teacher.batches) == 1  # stored like any other reply
        ask(teacher, Context(store), 50, batch=False)
        assert not teacher.requests
    assert (spent.calls, spent.tokens_in, spent.tokens_out) == (50, 500, 150)
    assert spent.dollars == (500 * Decimal(1) + 150 * Decimal(2)) / 1_000_000


def test_rows_that_failed_are_asked_one_by_one(store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: "500" if number < 0 and "question 3" in str(body) else "") as teacher:
        replies = ask(teacher, Context(store), 8)
        assert all(replies[i][0].text == f"re: question {i}" for i in range(8))
        assert len(teacher.requests) == 1


def test_a_restart_while_waiting_collects_the_same_batch(store: ReplyCache) -> None:
    with teaching() as teacher:
        teacher.batch_looks = 10_000
        with pytest.raises(Interrupted, match="it goes on without us"):
            ask(teacher, Context(store, stopping=lambda: True), 20)
        assert len(teacher.batches) == 1
        teacher.batches["batch-0"][0] = 0
        teacher.batch_looks = 0
        replies = ask(teacher, Context(store), 25)
        assert len(replies) == 25
        assert len(teacher.batches) == 2  # one more, for the five new ones
        sizes = [len(teacher.files[held].splitlines()) for _, held in teacher.batches.values()]
        assert sizes == [20, 5]
        assert not teacher.requests


def test_a_batch_that_does_not_fit_is_not_sent(store: ReplyCache) -> None:
    with teaching() as teacher:
        with pytest.raises(BudgetError, match="a batch of 30 requests does not fit"):
            ask(teacher, Context(store, BudgetConfig(calls=20)), 30)
        assert not teacher.batches


def test_a_model_that_refuses_fields_is_found_out_by_one_row_and_the_rest_goes_up_again(store: ReplyCache) -> None:
    said: list[str] = []
    with teaching(faults=reasoning) as teacher:
        replies = ask(teacher, Context(store, say=said.append), 30)
        assert len(said) == 3  # temperature, top_p, seed
        assert all(replies[i][0].text == f"re: question {i}" for i in range(30))
        assert [len(teacher.files[held].splitlines()) for _, held in teacher.batches.values()] == [30, 29]
        assert len(teacher.requests) == 1 + 4  # max_tokens, temperature, top_p and seed, each refused once
        ask(teacher, Context(store, say=said.append), 30)
        ask(teacher, Context(store, say=said.append), 32)
        assert len(teacher.batches) == 3  # one more, for the two new rows, and put as the model takes it
        assert len(teacher.requests) == 5


def test_only_openai_has_batches() -> None:
    with pytest.raises(ConfigError, match="has no batch form"):
        open_model({"kind": "anthropic", "name": "m", "batch": True})


def replace(where: str, body: bytes, status: int = 200, more: tuple[str, ...] = ()) -> Service:
    """A service that answers so to one kind of request."""

    def is_it(asked: str) -> bool:
        method, _, path = asked.partition(" ")
        kind = {"files": "file", "batches": "make" if method == "POST" else "list", "content": "content"}
        return kind.get(path.rpartition("/")[2], "look") == where

    return lambda teacher, asked, answer: (status, body, list(more)) if is_it(asked) else None


ODD = [
    b"<html>busy</html>", b"null", b"[]", b"7", b"{}", b"", b"[" * 100_000, b'{"id": "\xff\xfe", "status": "\xff"}',
    b'{"id": {"a": 1}, "status": ["completed"]}', b'{"id": "../../x?y=", "status": "sideways"}', b'{"id": "", "status": null}',
    b'{"id": "a/b", "status": "completed", "output_file_id": {"x": 1}}', b'{"id": "..", "status": "completed", "output_file_id": "../x"}',
]  # fmt: skip


@pytest.mark.parametrize("where", ["file", "make", "look"])
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_whatever_a_service_answers_is_one_sentence_and_makes_one_batch(
    where: str, body: bytes, store: ReplyCache
) -> None:
    with teaching() as teacher:
        teacher.service = replace(where, body)
        try:
            replies = ask(teacher, Context(store), 3)
        except ModelError as error:
            assert re.search(r"the batch service says .*\. \w.*", str(error))  # noqa: PT017
            assert len(str(error)) < 900  # noqa: PT017
        else:  # the making is found by its mark
            assert (where, len(replies)) == ("make", 3)
        assert [one for one in teacher.asked if one == "POST /v1/batches"] == ["POST /v1/batches"] * (where != "file")
        assert teacher.requests == []
        teacher.service = lambda *asked: None
        assert len(ask(teacher, Context(store), 3)) == 3  # what was made is collected
        assert len(teacher.batches) == 1


GUARDED = {
    "redirect": (307, b"", ("location: http://127.0.0.1:9/steal",), "neither key nor prompt follows"),
    "packed": (200, gzip.compress(b"0" * (64 << 20)), ("content-encoding: gzip",), "came packed"),
    "large": (200, b"x", (f"content-length: {900 << 20}", "connection: close"), "larger than"),
}


@pytest.mark.parametrize("where", ["file", "make", "look", "content", "list"])
@pytest.mark.parametrize("how", GUARDED)
def test_a_batch_has_the_guards_of_any_reply(where: str, how: str, store: ReplyCache) -> None:
    status, body, more, says = GUARDED[how]
    with teaching() as teacher:
        teacher.batch_looks = 0
        odd, lost = replace(where, body, status, more), replace("make", b"", 0)
        teacher.service = lambda *asked: odd(*asked) or (lost(*asked) if where == "list" else None)
        begun = time.monotonic()
        if where == "make" and how != "redirect":
            assert len(ask(teacher, Context(store), 2)) == 2
        else:
            with pytest.raises(ModelError, match=says):
                ask(teacher, Context(store), 2)
        assert time.monotonic() - begun < 20
        assert len(teacher.batches) <= 1


@pytest.mark.parametrize("where", ["file", "make", "look", "content"])
def test_an_answer_that_drips_lets_go(where: str, store: ReplyCache) -> None:
    with teaching() as teacher:
        teacher.batch_looks = 0
        teacher.service = replace(where, b" ", 200, ("connection: close", "x-drip: yes"))
        begun = time.monotonic()
        with pytest.raises(Interrupted):
            ask(teacher, Context(store, stopping=lambda: time.monotonic() > begun + 0.5), 2)
        assert time.monotonic() - begun < 9
        if where in ("file", "look"):
            with pytest.raises(ModelError, match="no whole answer within 1 s"):
                ask(teacher, Context(store), 2, timeout=1)


@pytest.mark.parametrize("answer", [(0, b""), (500, b"{}"), (503, b"{}"), (408, b"{}")])
def test_a_batch_whose_making_brought_no_answer_is_found_and_not_made_again(
    answer: tuple[int, bytes], store: ReplyCache
) -> None:
    said = list[str]()
    with teaching() as teacher:
        teacher.service = replace("make", answer[1], answer[0])
        assert len(ask(teacher, Context(store, say=said.append), 5)) == 5
        assert len(teacher.batches) == 1
    assert len([line for line in said if "it is there, as batch-0" in line]) == 1


def test_one_that_is_not_in_the_list_is_looked_for_again_before_it_is_made_again(store: ReplyCache) -> None:
    said = list[str]()
    with teaching() as teacher:
        lost, empty = replace("make", b"", 0), replace("list", b'{"data": []}')
        teacher.service = lambda *asked: lost(*asked) or empty(*asked)
        with pytest.raises(ModelError, match="Whether a batch was made is not known.*looks once more"):
            ask(teacher, Context(store), 5)
        teacher.service = replace("list", b"{}", 404)
        with pytest.raises(ModelError, match="Whether a batch was made is not known: look at the provider's list"):
            ask(teacher, Context(store), 5)
        assert len(teacher.batches) == 1
        teacher.service = lambda *asked: None
        assert len(ask(teacher, Context(store), 5)) == 5
        assert len(teacher.batches) == 1
    with teaching() as teacher:  # and one that never was
        dead = replace("make", b"", 0)
        teacher.service = lambda seen, asked, answer: (seen.marks.clear(), dead(seen, asked, answer))[1]
        with pytest.raises(ModelError, match="the same command looks once more"):
            ask(teacher, Context(store), 5)
        teacher.service = lambda seen, asked, answer: None
        assert len(ask(teacher, Context(store, say=said.append), 5)) == 5
        assert len(teacher.batches) == 2
    assert any("a batch was not made after all: its 5 requests are sent again" in line for line in said)


def test_what_is_refused_for_sure_is_sent_anew(store: ReplyCache) -> None:
    spent = Spending()
    with teaching() as teacher:
        teacher.service = replace("make", b'{"error": {"message": "no such plan"}}', 400)
        with pytest.raises(ModelError, match=r"HTTP 400: .*no such plan\. No batch was made"):
            ask(teacher, Context(store, spent=spent), 5)
        teacher.service = lambda *asked: None
        assert spent.calls == 0
        assert len(ask(teacher, Context(store), 5)) == 5
        assert "GET /v1/batches" not in teacher.asked


@pytest.mark.parametrize("where", ["look", "content"])
def test_a_batch_that_is_gone_is_said_and_sent_again_once_that_is_sure(where: str, store: ReplyCache) -> None:
    said = list[str]()
    with teaching() as teacher:
        teacher.batch_looks = 0
        teacher.service = replace(where, b'{"error": {"message": "no such batch"}}', 404)
        with pytest.raises(
            ModelError, match="does not know batch batch-0, or its replies, any more.*run the same command again"
        ):
            ask(teacher, Context(store), 4)
        gone = teacher.service

        def service(seen: Teacher, asked: str, answer: bytes) -> tuple[int, bytes, list[str]] | None:
            return gone(seen, asked, answer) if len(seen.batches) == 1 else None

        teacher.service = service
        assert len(ask(teacher, Context(store, say=said.append), 4)) == 4
        assert len(teacher.batches) == 2
        assert teacher.requests == []
    assert any("batch-0 is gone for good: its 4 requests are sent again" in line for line in said)


def test_one_that_was_not_gone_is_collected(store: ReplyCache) -> None:
    with teaching() as teacher:
        teacher.service = replace("look", b"{}", 404)
        with pytest.raises(ModelError, match="does not know batch"):
            ask(teacher, Context(store), 4)
        teacher.service = lambda *asked: None
        assert len(ask(teacher, Context(store), 4)) == 4
        assert len(teacher.batches) == 1


@pytest.mark.parametrize("key", ["sk-very-secret-key-0001", "Zx81kdQ9"])
@pytest.mark.parametrize("where", ["file", "make", "look"])
def test_a_key_is_no_name(where: str, key: str, store: ReplyCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_KEY", key)
    named = json.dumps({"id": f"batch-{key}", "status": "completed", "output_file_id": f"file-{key}"}).encode()
    answer, listed = replace(where, named), replace("list", b'{"data": []}')
    with teaching() as teacher:
        teacher.service = lambda *asked: answer(*asked) or listed(*asked)
        with pytest.raises(ModelError, match="by what holds a key") as error:
            ask(teacher, Context(store), 2, key="BATCH_KEY")
        assert teacher.asked
    assert key not in str(error.value)
    store.close()
    assert all(key.encode() not in file.read_bytes() for file in store.path.parent.iterdir())


def test_rows_that_came_and_are_no_replies_count(store: ReplyCache) -> None:
    said = {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59}
    odd = [completion(4, said), json.dumps({"choices": [], "usage": said}).encode()]
    spent = Spending()
    with teaching(odd=lambda teacher: (200, odd.pop(), []) if odd else None) as teacher:
        assert len(ask(teacher, Context(store, spent=spent), 3)) == 3
        assert len(teacher.requests) == 2
    assert (spent.tokens_in, spent.tokens_out) == (3 * 10 + 2 * 50, 3 * 3 + 2 * 9)
