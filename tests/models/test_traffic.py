"""The fault matrix: every misbehaviour of a server, alone and among good replies, through the teacher a user would open."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server import FATAL, FAULTS, PERMANENT, Teacher, teaching

from tutelage.errors import BudgetError, ConfigError, ModelError
from tutelage.grading.markers import split_thinking
from tutelage.models.opening import Context, open_model
from tutelage.models.remote.lanes import Lanes
from tutelage.models.remote.meter import Meter
from tutelage.models.remote.pace import seconds_to_wait
from tutelage.models.remote.usage import Usage, worst_input
from tutelage.redaction import redact
from tutelage.runs.replies import ReplyCache
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Chat, Message, Reply, Sampling, Spent

SECRET = "sk-very-secret-key-0001"
FAST = {"timeout": 0.5, "tries": 6}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReplyCache]:
    cache = ReplyCache(tmp_path / "replies.sqlite")
    yield cache
    cache.close()


def chats(count: int) -> list[Chat]:
    return [Chat(messages=(Message("user", f"question {i}"),), question=str(i)) for i in range(count)]


def ask(
    teacher: Teacher, store: ReplyCache, count: int, budget: BudgetConfig | None = None, n: int = 1, **more: Any
) -> tuple[dict[int, list[Reply]], Spending]:
    spent = Spending()
    model = open_model(
        {"kind": "openai", "name": "teacher-1", "base_url": teacher.url, "key": "OPENAI_API_KEY", **FAST, **more},
        context=Context(store, budget or BudgetConfig(), spent),
    )
    return dict(model.answer(chats(count), Sampling(n=n, temperature=0.7, max_tokens=20))), spent


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_costs_a_retry_and_loses_nothing(fault: str, store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: fault if number == 0 else "") as teacher:
        replies, spent = ask(teacher, store, 1, timeout=1.5 if fault in ("hang", "drip") else 30)
        assert replies[0][0].text == "re: question 0"
        assert (len(teacher.requests), len(teacher.answered)) == (2, 1)
        assert spent.calls == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fifth_of_the_requests_fail_at_first(fault: str, store: ReplyCache) -> None:
    """Every row comes, none that succeeded is asked again, and the server's count is the meter's."""
    seen: Counter[str] = Counter()

    def first_try(number: int, body: dict[str, Any]) -> str:
        text = body["messages"][0]["content"]
        seen[text] += 1
        return fault if seen[text] == 1 and int(text.split()[1]) % 5 == 0 else ""

    with teaching(faults=first_try, seconds=0.005) as teacher:
        # A slow machine must not look like a hanging server: only a fault that hangs runs into the timeout.
        replies, spent = ask(teacher, store, 60, timeout=1.5 if fault in ("hang", "drip") else 30)
        assert [replies[i][0].text for i in range(60)] == [f"re: question {i}" for i in range(60)]
        assert len(teacher.answered) == 60
        assert len(teacher.requests) == 72 == spent.calls
        # What may have been worked for is counted at its worst, a token a byte; ten of the questions have two figures.
        worked = fault in ("hang", "drip", "half", "garbage", "no choices")
        assert spent.tokens_in == 600 + (12 * (len("question 0") + 24) + 10 if worked else 0)


@pytest.mark.parametrize("fault", PERMANENT)
def test_a_row_that_can_never_succeed_is_an_error_on_that_row(fault: str, store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: fault if "question 3" in str(body) else "") as teacher:
        replies, _ = ask(teacher, store, 8)
        assert replies[3][0].finish == "error"
        assert "HTTP 400" in replies[3][0].error
        assert len(teacher.requests) == 8
        assert all(replies[i][0].finish == "eos" for i in range(8) if i != 3)
        ask(teacher, store, 8)
        assert len(teacher.requests) == 9  # only what failed is asked again


@pytest.mark.parametrize("fault", FATAL)
def test_what_no_request_can_pass_ends_at_once(fault: str, store: ReplyCache) -> None:
    with (
        teaching(faults=lambda number, body: fault) as teacher,
        pytest.raises(ModelError, match="check the key") as error,
    ):
        ask(teacher, store, 500, timeout=60)
    assert len(teacher.requests) <= 64
    assert SECRET not in str(error.value)


def test_a_server_that_is_not_there_is_said_soon(store: ReplyCache) -> None:
    begun = time.monotonic()
    with pytest.raises(ModelError, match="given up after 3 tries"):
        ask(Teacher(url="http://127.0.0.1:9/v1"), store, 300, tries=3)
    assert time.monotonic() - begun < 20


def test_a_row_that_always_fails_gives_up_and_the_others_come(store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: "500" if "question 2" in str(body) else "") as teacher:
        replies, _ = ask(teacher, store, 6, tries=3)
        assert "given up after 3 tries" in replies[2][0].error
        assert len(teacher.requests) == 5 + 3


def test_truncated_replies_are_flagged_and_not_asked_again(store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: "length") as teacher:
        for _ in range(2):
            replies, _ = ask(teacher, store, 4)
            assert all(reply.finish == "length" for row in replies.values() for reply in row)
        assert len(teacher.requests) == 4


def test_again_costs_nothing_one_more_costs_one_and_a_change_costs_what_changed(store: ReplyCache) -> None:
    with teaching() as teacher, teaching() as other:
        first, _ = ask(teacher, store, 20)
        again, spent = ask(teacher, store, 20)
        assert again == first
        assert (len(teacher.requests), spent.calls) == (20, 0)
        ask(teacher, store, 21)
        assert len(teacher.requests) == 21
        ask(teacher, store, 21, system="Be brief.")
        assert len(teacher.requests) == 42
        ask(teacher, store, 21, extra={"reasoning_effort": "low"})
        assert len(teacher.requests) == 63
        assert teacher.requests[-1]["reasoning_effort"] == "low"
        ask(other, store, 21)
        assert len(other.requests) == 21  # another endpoint, the same model name: asked anew
        ask(teacher, store, 21, concurrency=3, price={"input": 1, "output": 2})
        assert len(teacher.requests) == 63  # how it is asked changes no answer


def test_samples_are_single_requests_with_seeds_of_their_own(store: ReplyCache) -> None:
    with teaching() as teacher:
        ask(teacher, store, 2, n=2)
        ask(teacher, store, 2, n=5)
        assert len(teacher.requests) == 10
        assert sorted(body["seed"] for body in teacher.requests) == sorted([*range(5)] * 2)


def test_the_request_says_what_was_asked_for(store: ReplyCache) -> None:
    with teaching() as teacher:
        spec = {"kind": "openai", "name": "t", "base_url": teacher.url, "key": "OPENAI_API_KEY", "system": "Be brief."}
        sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, max_tokens=9, seed=3, stop=("\nQ:",))
        ((_, (reply,)),) = open_model(spec).answer(chats(1), sampling)
        (body,) = teacher.requests
        (headers,) = teacher.headers
    assert body == {
        "model": "t",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "question 0"}],
        "temperature": 0.7, "top_p": 0.9, "top_k": 40, "max_tokens": 9, "seed": 3, "stop": ["\nQ:"],
    }  # fmt: skip
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert (reply.tokens_in, reply.tokens_out, reply.model) == (10, 3, "teacher-1")


def test_models_that_know_the_length_by_another_name(store: ReplyCache) -> None:
    def faults(number: int, body: dict[str, Any]) -> str:
        return "use max_completion_tokens" if "max_tokens" in body else ""

    with teaching(faults=faults) as teacher:
        replies, _ = ask(teacher, store, 3, concurrency=1)
        assert all(row[0].finish == "eos" for row in replies.values())
        assert len(teacher.requests) == 4
        assert teacher.requests[-1]["max_completion_tokens"] == 20


def test_all_that_is_allowed_is_in_flight_and_no_more(store: ReplyCache) -> None:
    with teaching(seconds=0.02) as teacher:
        ask(teacher, store, 40, concurrency=4, timeout=30)
        assert teacher.most_at_once == 4
    with teaching(seconds=2.0) as teacher:
        ask(teacher, store, 100, concurrency=100, timeout=30)
        assert 32 < teacher.most_at_once <= 100


def test_what_is_asked_of_one_request_holds_back_that_one(store: ReplyCache) -> None:
    """One of sixty is told to come back in an hour: it is given up at once, and no other waits for it."""
    with teaching(faults=lambda number, body: "429 after 3600" if number == 5 else "") as teacher:
        replies, _ = ask(teacher, store, 60, concurrency=4, timeout=30, patience=60)
        assert len(teacher.requests) == 60
        assert sum(row[0].finish == "error" for row in replies.values()) == 1


def test_a_server_that_refuses_everything_for_a_while_is_asked_by_few(store: ReplyCache) -> None:
    with teaching(faults=lambda number, body: "503" if number < 40 else "") as teacher:
        replies, spent = ask(teacher, store, 200, concurrency=32, timeout=30, tries=20)
        assert all(row[0].finish == "eos" for row in replies.values())
        assert len(teacher.requests) == 240 == spent.calls


def test_requests_a_minute_are_kept(store: ReplyCache) -> None:
    from tutelage.models.remote.pace import Limits, Minute

    pace = Minute(Limits(requests_per_minute=3))
    for second in range(3):
        assert pace.wait(float(second), 1) == 0
        pace.note(float(second), 1)
    assert pace.wait(3.0, 1) == 57
    assert pace.wait(60.5, 1) == 0
    tokens = Minute(Limits(tokens_per_minute=100))
    tokens.note(0.0, 80)
    assert tokens.wait(10.0, 20) == 0
    assert tokens.wait(10.0, 21) == 50


@pytest.mark.parametrize(
    ("budget", "most"),
    [({"calls": 7}, 7), ({"tokens": 700}, 12), ({"dollars": "0.0007"}, 12)],
)
def test_a_cap_is_never_passed_and_everything_paid_is_kept(
    store: ReplyCache, budget: dict[str, Any], most: int
) -> None:
    caps = BudgetConfig.model_validate(budget)
    with teaching(seconds=0.01) as teacher:
        with pytest.raises(BudgetError, match="the budget is spent.*raise the budget") as error:
            ask(teacher, store, 100, caps, price={"input": 1, "output": 1})
        assert error.value.exit_code == 3
        paid = len(teacher.requests)
        assert paid > 0
        tokens = sum(10 + 3 for _ in teacher.answered)
        assert paid <= (caps.calls or paid)
        assert tokens <= (caps.tokens or tokens)
        ask(teacher, store, paid)
        assert len(teacher.requests) == paid  # the replies were kept


@given(st.lists(st.tuples(st.sampled_from(["reserve", "settle", "rest", "lost"]), st.integers(0, 5))))
def test_what_is_held_is_summed_as_it_comes_and_goes(steps: list[tuple[str, int]]) -> None:
    meter = Meter(budget=BudgetConfig(tokens=10**9))
    held: dict[int, int] = {}
    for step, index in steps:
        if step == "reserve":
            chat = Chat(messages=(Message("user", "x" * 10 * index),))
            meter.reserve(index, chat, Sampling(max_tokens=7 * index))
            held[index] = worst_input(chat) + 7 * index
        else:
            getattr(meter, step)(index, *([Usage(0, 0), "stop"] if step == "settle" else []))
            held.pop(index, None)
        assert meter.spent.held_tokens == sum(held.values())


def test_a_client_has_few_requests_in_flight_and_is_opened_when_it_is_needed() -> None:
    """An SDK looks at every connection of its pool before each request: with hundreds in one that is slower than the server."""
    most, opened = Counter[int](), list[int]()

    async def run(at_once: int) -> None:
        lanes = Lanes(lambda: opened.append(len(opened)) or len(opened) - 1)  # type: ignore[func-returns-value]
        busy = Counter[int]()

        async def send(client: int) -> None:
            busy[client] += 1
            most[client] = max(most[client], busy[client])
            await asyncio.sleep(0)
            busy[client] -= 1

        await asyncio.gather(*(lanes.through(send) for _ in range(at_once)))

    asyncio.run(run(100))
    assert max(most.values()) <= 8
    assert len(opened) == 13
    opened.clear()
    asyncio.run(run(1))
    assert len(opened) == 1


def test_a_dollar_cap_needs_a_price(store: ReplyCache) -> None:
    with teaching() as teacher, pytest.raises(ConfigError, match="price of 'teacher-1' is not known"):
        ask(teacher, store, 1, BudgetConfig.model_validate({"dollars": 1}))


def test_an_unknown_price_is_unpriced_and_never_zero(store: ReplyCache) -> None:
    with teaching() as teacher:
        _, spent = ask(teacher, store, 2)
    assert spent.dollars is None
    assert "unpriced" in spent.line()


def test_stopping_drains_what_is_in_flight(store: ReplyCache) -> None:
    from tutelage.errors import Interrupted

    with teaching(seconds=0.05) as teacher:
        rows: list[Spent] = []
        asked = iter([False, False, True] + [True] * 1000)
        context = Context(store, note=rows.append, stopping=lambda: next(asked))
        model = open_model({"kind": "openai", "name": "t", "base_url": teacher.url, "concurrency": 8}, context=context)
        with pytest.raises(Interrupted):
            list(model.answer(chats(200), Sampling()))
        sent = len(teacher.requests)
        assert 3 <= sent <= 30
        assert len(teacher.answered) == sent == sum(row.calls for row in rows)
        context = Context(store)
        model = open_model({"kind": "openai", "name": "t", "base_url": teacher.url, "concurrency": 8}, context=context)
        assert len(dict(model.answer(chats(200), Sampling()))) == 200
        assert len(teacher.requests) == 200


def test_leaving_early_keeps_what_was_in_flight(store: ReplyCache) -> None:
    with teaching(seconds=0.02) as teacher:
        model = open_model(
            {"kind": "openai", "name": "t", "base_url": teacher.url, "concurrency": 8}, context=Context(store)
        )
        coming = model.answer(chats(100), Sampling())
        next(coming)
        coming.close()  # type: ignore[attr-defined]
        sent = len(teacher.requests)
        assert sent < 100
        assert (
            len(
                dict(
                    open_model({"kind": "openai", "name": "t", "base_url": teacher.url}, context=Context(store)).answer(
                        chats(100), Sampling()
                    )
                )
            )
            == 100
        )
        assert len(teacher.requests) == 100


def test_raw_replies_are_kept(store: ReplyCache) -> None:
    with teaching() as teacher:
        ask(teacher, store, 1)
    (row,) = store.rows()
    assert b'"chat.completion"' in row.raw
    assert row.request["messages"] == [["user", "question 0"]]
    assert SECRET.encode() not in (store.path.read_bytes() + store.path.with_name("replies.sqlite-wal").read_bytes())


@pytest.mark.parametrize(
    ("text", "apart", "expected"),
    [
        ("plain", None, ("plain", "")),
        ("<think>Hm.\nSo.</think>\n\nIt is 4.", None, ("It is 4.", "Hm.\nSo.")),
        ("Hm.</think>It is 4.", None, ("It is 4.", "Hm.")),
        ("<think>cut off in", None, ("", "cut off in")),
        ("It is 4.", "Hm.", ("It is 4.", "Hm.")),
        ("Is 3 < 4? <think> is a tag.", None, ("Is 3 < 4? <think> is a tag.", "")),
    ],
)
def test_thinking_is_kept_apart(text: str, apart: str | None, expected: tuple[str, str]) -> None:
    assert split_thinking(text, apart) == expected


def test_retry_after_in_every_form() -> None:
    assert seconds_to_wait({}) is None
    assert seconds_to_wait({"retry-after": "2.5"}) == 2.5
    assert seconds_to_wait({"retry-after": "-1"}) == 0
    assert seconds_to_wait({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert seconds_to_wait({"retry-after": "soon"}) is None
    now = datetime(2026, 1, 1, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=40), usegmt=True)
    assert seconds_to_wait({"retry-after": date}, now.timestamp()) == 40


def test_keys_are_struck_out_of_messages() -> None:
    message = f"Incorrect API key {SECRET} or sk-other-secret-0000000 given"
    assert redact(message, SECRET) == "Incorrect API key *** or *** given"
