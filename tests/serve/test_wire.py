"""Requests are read strictly, and what is wrong is said of the field at fault."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.serve import openai_requests, openai_responses
from tutelage.serve.openai_requests import ChatRequest, Problem, Terms
from tutelage.types import Message, Reply

TERMS = Terms("student", max_tokens=64)
ASK = [{"role": "user", "content": "2 + 2?"}]


def read(terms: Terms = TERMS, **fields: Any) -> ChatRequest:
    return openai_requests.read_request(json.dumps({"model": "student", "messages": ASK, **fields}).encode(), terms)


def test_the_smallest_request_is_greedy_and_its_length_flexible() -> None:
    asked = read()
    assert asked.chat.messages == (Message("user", "2 + 2?"),)
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.sampling.n) == (0, 64, 1)
    assert asked.flexible
    assert not asked.stream


def test_everything_that_decides_an_answer_is_taken() -> None:
    asked = read(temperature=0.7, top_p=0.9, top_k=5, n=3, max_completion_tokens=9, stop=["\n", "Q:"], seed=4)
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.n) == (0.7, 0.9, 5, 3)
    assert (sampling.max_tokens, sampling.stop, sampling.seed) == (9, ("\n", "Q:"), 4)
    assert not asked.flexible
    assert read(stop="Q:").sampling.stop == ("Q:",)


def test_greedy_requests_are_alike_and_unseeded_draws_are_not() -> None:
    assert read(seed=1, top_p=0.5).sampling == read(seed=2, top_k=7).sampling
    assert read(temperature=1).sampling.seed != read(temperature=1).sampling.seed
    assert read(temperature=1, seed=1).sampling == read(temperature=1, seed=1).sampling


def test_messages_may_come_in_parts_and_a_system_message_is_added_where_there_is_none() -> None:
    parts = [{"type": "text", "text": "2 +"}, {"type": "text", "text": "2?"}]
    terms = Terms("student", system="Be brief.")
    asked = read(terms, messages=[{"role": "user", "content": parts}])
    assert asked.chat.messages == (Message("system", "Be brief."), Message("user", "2 +\n2?"))
    own = read(terms, messages=[{"role": "developer", "content": "Be kind."}, *ASK])
    assert own.chat.messages[0] == Message("system", "Be kind.")
    assert len(own.chat.messages) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me", "metadata": {"a": "b"}, "store": True},
        {"tools": [], "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}},
        {"response_format": {"type": "text"}, "tools": None, "audio": None, "temperature": None, "stop": None},
        {"stream_options": None, "stream": None, "max_tokens": None, "n": None},
        {"stream_options": {"include_usage": False, "include_obfuscation": False}},
        {"messages": [{**ASK[0], "name": "me", "refusal": None, "annotations": [], "tool_calls": None, "audio": None}]},
    ],
)
def test_what_asks_for_nothing_is_let_through(fields: dict[str, Any]) -> None:
    assert read(**fields).sampling == read().sampling


BAD = [
    ({"model": "gpt-9"}, 404, "model", "model_not_found"),
    ({"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
    ({"logprobs": True}, 400, "logprobs", "unsupported_parameter"),
    ({"response_format": {"type": "json_schema"}}, 400, "response_format", "unsupported_parameter"),
    ({"max_token": 5}, 400, "max_token", "unknown_parameter"),
    ({"temperature": "hot"}, 400, "temperature", "invalid_value"),
    ({"temperature": -1}, 400, "temperature", "invalid_value"),
    ({"n": 0}, 400, "n", "invalid_value"),
    ({"n": 1000}, 400, "n", "invalid_value"),
    ({"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
    ({"stop": [""]}, 400, "stop[0]", "invalid_value"),
    ({"stop": "x" * 1001}, 400, "stop", "invalid_value"),
    ({"stop": ["x" * 1001]}, 400, "stop[0]", "invalid_value"),
    ({"stream_options": {"include_usge": True}}, 400, "stream_options.include_usge", "unknown_parameter"),
    ({"messages": [{"role": "user", "content": "x", "contnt": "y"}]}, 400, "messages[0].contnt", "unknown_parameter"),
    ({"messages": [{"role": "user", "content": []}]}, 400, "messages[0].content", "invalid_value"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "txt": "y"}]}]},
        400,
        "messages[0].content[0].txt",
        "unknown_parameter",
    ),
    ({"messages": []}, 400, "messages", "invalid_value"),
    ({"messages": "hello"}, 400, "messages", "invalid_value"),
    ({"messages": [{"content": "x"}]}, 400, "messages[0].role", "missing_required_parameter"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0].content", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content", "invalid_value"),
    ({"messages": [{"role": "tool", "content": "x"}]}, 400, "messages[0].role", None),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        400,
        "messages[0].content[0].type",
        "unsupported_value",
    ),
]


@pytest.mark.parametrize(("fields", "status", "param", "code"), BAD)
def test_what_is_wrong_is_said_of_its_field(fields: dict[str, Any], status: int, param: str, code: str | None) -> None:
    with pytest.raises(Problem) as caught:
        read(**fields)
    assert (caught.value.status, caught.value.param, caught.value.code) == (status, param, code)
    said = json.loads(caught.value.body())["error"]
    assert said["param"] == param
    assert said["type"] == "invalid_request_error"
    assert "$" not in said["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b"{" * 5000, b"[" * 100_000, b'{"model": NaN}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        openai_requests.read_request(body, TERMS)
    assert caught.value.status == 400


def test_a_missing_field_is_named() -> None:
    with pytest.raises(Problem, match="messages is missing"):
        openai_requests.read_request(b'{"model": "student"}', TERMS)
    with pytest.raises(Problem, match="model is missing"):
        openai_requests.read_request(b'{"messages": [{"role": "user"}]}', TERMS)


def test_an_unknown_field_is_told_the_nearest() -> None:
    with pytest.raises(Problem, match="did you mean 'max_tokens'"):
        read(max_tokns=5)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from([*openai_requests._Request.__struct_fields__, *openai_requests._NEUTRAL, "user", "other"]), JSON
    )
)
def test_any_json_is_read_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(Problem):  # and no other exception
        assert read(**fields).sampling.max_tokens >= 1


def test_usage_counts_the_prompt_once() -> None:
    replies = [Reply(text="a", tokens_in=10, tokens_out=3), Reply(text="b", tokens_in=10, tokens_out=4)]
    assert openai_responses.usage_of(replies) == {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17}
