"""The Batch API against a server that has one."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.server import Teacher, reasoning, teaching

from tutelage.errors import BudgetError, ConfigError, Interrupted
from tutelage.models import Purse, open_model
from tutelage.models.metered import BudgetConfig, Spending
from tutelage.runs.replies import ReplyCache
from tutelage.types import Chat, Message, Reply, Sampling


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def ask(teacher: Teacher, purse: Purse, count: int, **more: Any) -> dict[int, list[Reply]]:
    spec = {"kind": "openai", "name": "t", "base_url": teacher.url, "batch": True, "poll": 0.01, "tries": 2, **more}
    chats = [Chat(messages=(Message("user", f"question {i}"),), question=str(i)) for i in range(count)]
    return dict(open_model(spec, purse=purse).answer(chats, Sampling(max_tokens=20)))


def test_a_batch_answers_all_at_half_the_price(store: ReplyCache) -> None:
    spent = Spending()
    with teaching() as teacher:
        replies = ask(teacher, Purse(store, spent=spent), 50, price={"input": 2, "output": 4})
        assert [replies[i][0].text for i in range(50)] == [f"re: question {i}" for i in range(50)]
        assert (len(teacher.batches), len(teacher.requests)) == (1, 0)
        ask(teacher, Purse(store), 50)
        assert len(teacher.batches) == 1  # stored like any other reply
        ask(teacher, Purse(store), 50, batch=False)
        assert not teacher.requests
    assert (spent.calls, spent.tokens_in, spent.tokens_out) == (50, 500, 150)
    assert spent.dollars == (500 * Decimal(1) + 150 * Decimal(2)) / 1_000_000


def test_rows_that_failed_are_asked_one_by_one(store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: "500" if number < 0 and "question 3" in str(body) else "") as teacher:
        replies = ask(teacher, Purse(store), 8)
        assert all(replies[i][0].text == f"re: question {i}" for i in range(8))
        assert len(teacher.requests) == 1


def test_a_restart_while_waiting_collects_the_same_batch(store: ReplyCache) -> None:
    with teaching() as teacher:
        teacher.batch_looks = 10_000
        with pytest.raises(Interrupted, match="it goes on without us"):
            ask(teacher, Purse(store, stopping=lambda: True), 20)
        assert len(teacher.batches) == 1
        teacher.batches["batch-0"][0] = 0
        teacher.batch_looks = 0
        replies = ask(teacher, Purse(store), 25)
        assert len(replies) == 25
        assert len(teacher.batches) == 2  # one more, for the five new ones
        sizes = [len(teacher.files[held].splitlines()) for _, held in teacher.batches.values()]
        assert sizes == [20, 5]
        assert not teacher.requests


def test_a_batch_that_does_not_fit_is_not_sent(store: ReplyCache) -> None:
    with teaching() as teacher:
        with pytest.raises(BudgetError, match="a batch of 30 requests does not fit"):
            ask(teacher, Purse(store, BudgetConfig(calls=20)), 30)
        assert not teacher.batches


def test_a_model_that_refuses_fields_is_found_out_by_one_row_and_the_rest_goes_up_again(store: ReplyCache) -> None:
    said: list[str] = []
    with teaching(faults=reasoning) as teacher:
        replies = ask(teacher, Purse(store, say=said.append), 30)
        assert len(said) == 3  # temperature, top_p, seed
        assert all(replies[i][0].text == f"re: question {i}" for i in range(30))
        assert [len(teacher.files[held].splitlines()) for _, held in teacher.batches.values()] == [30, 29]
        assert len(teacher.requests) == 1 + 4  # max_tokens, temperature, top_p and seed, each refused once
        ask(teacher, Purse(store, say=said.append), 30)
        ask(teacher, Purse(store, say=said.append), 32)
        assert len(teacher.batches) == 3  # one more, for the two new rows, and put as the model takes it
        assert len(teacher.requests) == 5


def test_only_openai_has_batches() -> None:
    with pytest.raises(ConfigError, match="has no batch form"):
        open_model({"kind": "anthropic", "name": "m", "batch": True})
