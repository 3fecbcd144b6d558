"""A secret is struck in forms that nobody writes it in, in linear time, and nothing else is touched."""

import base64
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage import encodings, redaction
from tutelage.runs.replies import ReplyCache
from tutelage.types import Reply

KEY = "sk-proj-4f/Xy+0Qw7=Tz19LmQk28"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    register = redaction._Register()
    register.environment = True
    monkeypatch.setattr(redaction, "_known", register)


def wrapped(text: str, width: int = 10, by: str = "\n") -> str:
    return by.join(text[at : at + width] for at in range(0, len(text), width))


FORMS: dict[str, Callable[[str], str]] = {
    "every character as %XX": lambda key: "".join(f"%{ord(one):02x}" for one in key),
    "that again": lambda key: quote("".join(f"%{ord(one):02X}" for one in key)),
    "escaped": lambda key: "".join(f"\\u{ord(one):04x}" for one in key),
    "escaped twice": lambda key: json.dumps("".join(f"\\u{ord(one):04X}" for one in key))[1:-1],
    "as Python": lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    "numbers of HTML": lambda key: "".join(f"&#{ord(one)};" for one in key),
    "the same in hexadecimal": lambda key: "".join(f"&#x{ord(one):x};" for one in key),
    "HTML in HTML": lambda key: "".join(f"&amp;#{ord(one)};" for one in key),
    "large": str.upper,
    "small": str.lower,
    "hex with spaces": lambda key: key.encode().hex(" "),
    "hex with colons": lambda key: key.encode().hex(":").upper(),
    "base64 in lines": lambda key: wrapped(base64.b64encode(key.encode()).decode()),
    "base64 in lines of JSON": lambda key: json.dumps(wrapped(base64.b64encode(key.encode()).decode(), 8, "\r\n"))[1:-1],
    "base64 of UTF-16": lambda key: base64.b64encode(key.encode("utf-16-le")).decode(),
    "base64 of base64": lambda key: base64.b64encode(base64.b64encode(key.encode())).decode(),
    "base32": lambda key: base64.b32encode(key.encode()).decode(),
    "base32, small": lambda key: base64.b32encode(b"x" + key.encode()).decode().lower(),
    "base85": lambda key: base64.b85encode(key.encode()[: len(key) // 4 * 4]).decode(),
    "ascii85": lambda key: base64.a85encode(key.encode()[: len(key) // 4 * 4]).decode(),
    "NUL": "\0".join,
    "NUL in JSON": "\\u0000".join,
    "spaces": " ".join,
    "lines": "\n".join,
    "lines in JSON": "\\n".join,
    "no width": "\u200b".join,
    "no width in JSON": "\\u200b".join,
    "colours": "\x1b[31m".join,
    "colours in JSON": "\\u001b[1;31m".join,
    "a tag inside": lambda key: f"{key[:9]}<think>{key[9:]}",
    "backwards": lambda key: key[::-1],
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("key", [KEY, 'p4ss"w/rd+Ö 77', "Zx81kdQ9mWv3LpTy70cc"])
def test_a_secret_is_struck_in_an_odd_form(name: str, key: str) -> None:
    if "Ö" in key and name in ("base85", "ascii85", "small"):
        key = key.replace("Ö", "O")
    form = FORMS[name](key)
    text = f"so {form} it is, 100 % of {{it}} &amp; \\n more"
    assert redaction.strike(text) == text
    redaction.know(key)
    for told in (redaction.strike(text), redaction.redact(text), redaction.strike(text.encode()).decode()):
        assert "***" in told
        assert told.startswith("so ")
        assert told.endswith(" it is, 100 % of {it} &amp; \\n more")
        assert len(told) < len("so *** it is, 100 % of {it} &amp; \\n more") + 8 + ("base85" in name) * 10


@given(st.text(), st.text())
def test_all_else_stays_as_it_is(before: str, after: str) -> None:
    redaction.know(KEY, "correcthorsebatterystaple", "Hunter2!")
    assert redaction.strike(before + after) == before + after
    told = redaction.strike(f"{before}|{KEY.upper()}|{after}")
    assert told == f"{before}|***|{after}"


@pytest.mark.parametrize("lesson", [
    "The correct horse, battery: staple. THE NEXT DAY 12 people came at 7:30, so 12 + 7 = 19.",
    "a-next-day-12 and A NEXT DAY", "\\frac{1}{2} \\nabla \\u{x} &copy; 50% 25%25 %zz \\\\x",
])  # fmt: skip
def test_a_word_that_somebody_took_for_a_password_is_left_in_a_lesson(lesson: str) -> None:
    redaction.know("correcthorsebatterystaple", "thenextday", "horse-battery", "12people")
    assert redaction.strike(lesson) == lesson


@pytest.mark.parametrize("piece", [
    "s", "sk-proj-4f", "\\", "\\\\u", "%25", "&amp;", "&#", "&#0", "<", "<a", "\x1b[", "\x1b[1;", " ", "\0", "s ", "\\n", "a", "%73",
])  # fmt: skip
def test_the_time_is_linear(piece: str) -> None:
    redaction.know(KEY, "s" * 20 + "1", "a1" * 20)

    def seconds(count: int) -> float:
        text = piece * (count // len(piece))
        begun = time.process_time()
        redaction.strike(text + KEY.upper())
        return time.process_time() - begun

    assert seconds(400_000) < 30 * max(seconds(40_000), 0.02)


def test_what_a_reply_came_in_is_not_kept_where_it_holds_a_secret_in_pieces(tmp_path: pytest.TempPathFactory) -> None:
    redaction.know(KEY)
    store = ReplyCache(tmp_path / "r.sqlite")  # type: ignore[operator]
    asked = b'{"model": "m", "messages": [["user", "?"]]}'
    raw = json.dumps({"content": f"it is {KEY[:12]}<think>well, well</think>{KEY[12:]}"}).encode()
    store.put("k", asked, Reply(text=f"it is {KEY}", thinking="well, well"), raw)
    store.put("other", asked, Reply(text="yes"), b"yes")
    kept = {row.key: row for row in store.rows()}
    assert kept["k"].reply.text == "it is ***"
    assert kept["k"].raw == b""
    assert kept["other"].raw == b"yes"


@given(
    st.text(alphabet='\\\\"/\n;<a'),
    st.text(alphabet='\\\\"/u0x\n&#;%<a'),
    st.sampled_from(["backwards", "escaped", "large", "lines"]),
)
@pytest.mark.parametrize("key", [KEY, '"p4ss"w/rd+77', "/Zx81kdQ9mWv3L"])
def test_what_was_json_is_json(key: str, before: str, after: str, name: str) -> None:
    redaction.know(key)
    for text in (before + FORMS[name](key) + after, before + key + after):
        told = json.dumps({"a": text}).replace("/", "\\/")
        assert "***" in json.loads(redaction.strike(told.encode()))["a"]


def test_forms_are_made_of_what_is_random_enough_alone() -> None:
    assert encodings.forms_of("correcthorsebatterystaple") == encodings.forms_of("Hunter2") == []
    assert len(encodings.forms_of(KEY)) < 60
