"""Anthropic's and Google's protocols, each through its official SDK against a real server on loopback."""

from pathlib import Path
from typing import Any

import pytest
from tests.server import FAULTS, teaching

from tutelage.errors import ModelError
from tutelage.models.opening import Context, open_model
from tutelage.runs.replies import ReplyCache
from tutelage.types import Chat, Message, Sampling

SECRET = "sk-very-secret-key-0001"
KEYS = {"anthropic": "ANTHROPIC_API_KEY", "google": "GEMINI_API_KEY"}
TURNS = (Message("user", "q"), Message("assistant", "a"), Message("user", "and now"))


def spec(kind: str, url: str) -> dict[str, object]:
    return {
        "kind": kind,
        "name": "m",
        "base_url": url.removesuffix("/v1"),
        "key": KEYS[kind],
        "system": "Be brief.",
        "timeout": 1.0,
        "tries": 4,
    }


@pytest.fixture(params=KEYS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip({"anthropic": "anthropic", "google": "google.genai"}[request.param])
    monkeypatch.setenv(KEYS[request.param], SECRET)
    return str(request.param)


def test_a_chat_is_put_and_the_reply_read(kind: str) -> None:
    sampling = Sampling(n=2, temperature=0.7, top_p=0.9, top_k=40, max_tokens=9, stop=("\nQ:",))
    with teaching() as teacher:
        ((_, replies),) = open_model(spec(kind, teacher.url)).answer([Chat(messages=TURNS)], sampling)
        body, headers = teacher.requests[0], teacher.headers[0]
    ended = (
        "eos" if kind == "anthropic" else "stop"
    )  # which names what ended a reply; of the others a stop text may have
    for reply in replies:
        assert (reply.text, reply.thinking, reply.finish, reply.tokens_in) == ("re: and now", "Hm.", ended, 10)
    if kind == "anthropic":
        assert any(SECRET in value for value in headers.values())
        assert body["system"] == "Be brief."
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
        assert (body["max_tokens"], body["temperature"], body["top_k"], body["stop_sequences"]) == (
            9,
            0.7,
            40,
            ["\nQ:"],
        )
        assert replies[0].tokens_out == 3
    else:
        assert headers["x-goog-api-key"] == SECRET
        assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
        asked = body["generationConfig"]
        assert (asked["maxOutputTokens"], asked["temperature"], asked["topK"], asked["stopSequences"]) == (
            9,
            0.7,
            40,
            ["\nQ:"],
        )
        assert replies[0].tokens_out == 5  # thinking is paid for too


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "no choices"])
def test_passing_faults_cost_a_retry(kind: str, fault: str) -> None:
    with teaching(faults=lambda number, body: fault if number == 0 else "") as teacher:
        ((_, (reply,)),) = open_model(spec(kind, teacher.url)).answer([Chat(messages=TURNS)], Sampling())
        assert reply.text == "re: and now"
        assert len(teacher.requests) == 2


@pytest.mark.parametrize("fault", ["401", "404"])
def test_what_no_request_can_pass_ends_at_once(kind: str, fault: str) -> None:
    with (
        teaching(faults=lambda number, body: fault) as teacher,
        pytest.raises(ModelError, match="check the key") as error,
    ):
        list(open_model(spec(kind, teacher.url)).answer([Chat(messages=TURNS)] * 3, Sampling()))
    assert SECRET not in str(error.value)


def test_what_a_model_does_not_take_is_left_out_and_said_once(kind: str, tmp_path: Path) -> None:
    def faults(number: int, body: dict[str, Any]) -> str:
        asked = body.get("generationConfig", body)
        if asked.get("top_p") or asked.get("topP"):
            return "400 says `temperature` and `top_p` cannot both be specified for this model. Please use only one."
        stops = asked.get("stop_sequences") or asked.get("stopSequences")
        return "400 says stopSequences: `stop_sequences` is not supported for this model." if stops else ""

    store, said = ReplyCache(tmp_path / "r.sqlite"), []
    sampling = Sampling(temperature=0.7, top_p=0.9, stop=("\nQ:",))
    with teaching(lambda messages: "So.\nQ: More?", faults=faults) as teacher:
        for _ in range(2):
            model = open_model(spec(kind, teacher.url), context=Context(store, say=said.append))
            ((_, (reply,)),) = model.answer([Chat(messages=TURNS)], sampling)
            assert (reply.text, reply.finish) == ("So.", "stop")
            assert len(teacher.requests) == 3
        last = teacher.requests[-1]
        assert last.get("generationConfig", last)["temperature"] == 0.7
    (row,) = store.rows()
    assert row.request["left_out"] == ["stop", "top_p"]
    assert len(said) == 4  # each once, each time the model is opened
    assert {line.partition(": ")[0] for line in said} == {f"{kind}:m does not take {one}" for one in ("top_p", "stop")}
    store.close()


def test_cut_off_and_withheld_replies_are_told_apart(kind: str, tmp_path: Path) -> None:
    store = ReplyCache(tmp_path / "r.sqlite")
    with teaching(faults=lambda number, body: ["length", "refusal"][number]) as teacher:
        model = open_model({**spec(kind, teacher.url), "concurrency": 1}, context=Context(store))
        chats = [Chat(messages=(Message("user", text),)) for text in "ab"]
        replies = dict(model.answer(chats, Sampling()))
    assert replies[0][0].finish == "length"
    assert replies[1][0].finish == "error"
    assert replies[1][0].error
    assert len(list(store.rows())) == 1
    store.close()


def test_without_a_key_it_says_where_it_looks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEYS[kind])
    with pytest.raises(ModelError, match=f"environment variable {KEYS[kind]}"):
        list(open_model({"kind": kind, "name": "m"}).answer([Chat(messages=TURNS)], Sampling()))


def test_a_temperature_that_would_be_sent_as_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with teaching() as teacher:
        model = open_model({"kind": "anthropic", "name": "claude-x", "base_url": teacher.url})
        with pytest.raises(ModelError, match=r"temperature 1\.3: Anthropic's models take at most 1"):
            list(model.answer([Chat(messages=(Message("user", "Why?"),))], Sampling(temperature=1.3)))
        assert not teacher.requests
