"""Secrets are known by what they are and by how they look, in whatever form; nothing else is touched."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage import redaction
from tutelage.errors import ConfigError, ModelError
from tutelage.models.remote import hiding

SECRET = "tR7/q+Lm 'Ü2\"=zz9"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", redaction._Register())


@pytest.mark.parametrize(
    "form",
    [
        SECRET, quote(SECRET), quote(SECRET, safe=""), quote(SECRET, safe="").lower().replace("tr7", "tR7").replace("lm", "Lm"),
        json.dumps(SECRET)[1:-1], json.dumps(json.dumps(SECRET)[1:-1])[1:-1], repr(SECRET)[1:-1], SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(), base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)  # fmt: skip
def test_a_known_secret_is_struck_out_in_any_form(form: str) -> None:
    assert redaction.strike(f"so {form} it is") == f"so {form} it is"
    redaction.know(SECRET)
    assert redaction.strike(f"so {form} it is") == redaction.redact(f"so {form} it is") == "so *** it is"
    assert redaction.strike(f"so {form} it is".encode()) == b"so *** it is"


@given(st.binary(max_size=9), st.binary(max_size=9))
def test_wherever_it_stands_in_what_is_encoded(before: bytes, after: bytes) -> None:
    secret = "a-Secret-of-19-letters"
    redaction.know(secret)
    struck = redaction.strike(base64.b64encode(before + secret.encode() + after).decode())
    assert "***" in struck
    assert len(struck) <= 4 * (len(before + after) + 4)  # little is left but what stands beside it


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Incorrect API key provided: sk-very-********0001.", "Incorrect API key provided: ***."),
        ("the key sk-abcd...wxyz is bad", "the key *** is bad"),
        ("Authorization: Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbg", "Authorization: Bearer ***"),
        ("GET http://me:pass@word@host/v1?key=AIzaSyA1234&page=2", "GET http://***@host/v1?key=***&page=2"),
        ('{"api_key": "zx81k2m9"}', '{"api_key": "***"}'),
        ("token=ghp_abcdefghijkl0123", "token=***"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(message: str, shown: str) -> None:
    assert redaction.redact(message) == shown


@pytest.mark.parametrize(
    "message",
    [
        "the budget is spent: 56 calls, 560 + 112 tokens, $0.0008",
        "teacher.key: names the environment variable MY_KEY; max_tokens=512, tokens: 2000000",
        "basic arithmetic, a task-oriented risk-assessment-of-long-words, password: required",
        "runs/sk-demo/report.html and http://127.0.0.1:8000/v1, 2**3 = **8**",
        "hf:org/hf_model, Qwen/Qwen2.5-7B-Instruct-1M, 0123456789abcdef0123456789abcdef",
    ],
)
def test_what_does_not_is_left_as_it_is(message: str) -> None:
    redaction.know("EMPTY", "none", "ollama", "sk-no-key-required", "abc", None, "")
    redaction.know("apple", "password")  # words: out of messages, but not out of a lesson
    assert redaction.strike(f"{message} an apple, a password") == f"{message} an apple, a password"
    assert redaction.redact(message).replace("***: required", "password: required") == message


def test_what_is_hidden_is_the_same_each_time_and_known_to_this_process_alone() -> None:
    mark, other = redaction.hide("first-secret"), redaction.hide("second-secret")
    assert mark == redaction.hide("first-secret") != other
    assert redaction.reveal({"a": [mark, "plain"], "b": 3}) == {"a": ["first-secret", "plain"], "b": 3}
    assert redaction.redact("first-secret") == "***"
    with pytest.raises(redaction.Unknown, match="was taken out"):
        redaction.reveal("hidden-0123456789ab")


@pytest.mark.parametrize(
    ("url", "user", "query"),
    [
        ("http://u:p%40ss@h:80/v1", ("u", "p@ss"), {}),
        ("http://token-only@h/v1", ("token-only", ""), {}),
        ("http://u:${SECRET_OF_MINE}@h/v1", ("u", "of/mine@1"), {}),
        ("https://h/v1?api-version=2024-02-01&sig=a%2Fb&key=${SECRET_OF_MINE}", None,
         {"api-version": "2024-02-01", "sig": "a/b", "key": "of/mine@1"}),
        ("https://h/v1", None, {}),
    ],
)  # fmt: skip
def test_an_address_is_hidden_once_and_opened_as_it_was_meant(
    url: str, user: tuple[str, str] | None, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "of/mine@1")
    hidden = hiding.address(url)
    assert hiding.address(hidden) == hidden
    assert not {"p%40ss", "token-only", "a%2Fb"} & set(hidden.replace("@", ":").replace("=", ":").split(":"))
    opened = hiding.address_with_secrets(hidden)
    assert (opened.user, opened.query) == (user, query)
    assert "@" not in opened.url
    assert str(opened) == "Address(…)"


def test_fields_keep_what_is_no_secret() -> None:
    plain = {"reasoning_effort": "low", "stop_token": "</s>", "prompt_cache_key": "mine", "seed": 7, "logit_bias": {"50256": -1},
             "model": "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "provider": {"only": ["a"]}}  # fmt: skip
    assert hiding.hide_fields(plain) == plain
    secret = {
        "headers": {"X-Any": "abc"},
        "auth": {"user": "me", "number": 5, "on": True},
        "list": ["hf_abcdefghij0123456789"],
    }
    hidden = hiding.hide_fields(secret)
    assert hiding.hide_fields(hidden) == hidden != secret
    assert hidden["auth"]["on"] is True
    assert redaction.reveal(hidden) == secret


@pytest.mark.parametrize("kind", [ConfigError, ModelError])
def test_an_error_holds_no_secret_whoever_wrote_it(kind: type[Exception]) -> None:
    redaction.know(SECRET)
    assert str(kind(f"no {SECRET} at http://u:p@h")) == "no *** at http://***@h"
