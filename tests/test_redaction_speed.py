"""Whatever a server sends, redaction takes time that grows with its size and no faster."""

import base64
import random

import pytest
from tests.pace import seconds_of

from tutelage import redaction

SHAPES = {
    "one letter": "a",
    "one digit": "7",
    "stars": "*",
    "two letters and stars": "ab*",
    "masked": "ab***",
    "dashes": "a-",
    "issuers": "sk-",
    "issuers underlined": "hf_",
    "issuers in a row": "sk-abcdefghijkl.",
    "tokens without points": "eyJ-",
    "tokens": "eyJabcdefgh.",
    "token words": "token=",
    "secret words": "x-secret_password:",
    "named": "api_key='",
    "spaces": " ",
    "spaces after a word": "token ",
    "bearers": "bearer ",
    "addresses": "://a",
    "users": "://a@",
    "queries": "?key=",
    "points": ".",
    "ellipses": "sk-ab..",
    "letters of others": "é",
    "slashes": "/",
    "percents": "%41",
    "amps": "&key=a",
}
TAILS = ["", "@", "***", "...", "=", " 7", "\ud800"]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", redaction._Register())
    redaction.know("sk-canary-7f3a9Qx81ZbWm4TtY0pL", 'p4ss"w/rd+Ö 77')


def seconds(text: str) -> float:
    return seconds_of(lambda: (redaction.redact(text), redaction.holds_key(text)))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_megabyte_takes_no_longer_than_it_must(shape: str) -> None:
    unit = SHAPES[shape]
    for tail in TAILS:
        # What grows with the square of the size shows at a twentieth already, and a test is not to take an hour for it.
        small = seconds(unit * (50_000 // len(unit)) + tail)
        assert small < 0.3, f"{shape} before {tail!r}: {small:.2f} s for 50 kB"
    large = seconds(f"token={unit * (1_000_000 // len(unit))}")
    assert large < 5


@pytest.mark.parametrize("mark", ["token", "bearer", "x", "eyJ", "sk-", "?key=", "://"])
@pytest.mark.parametrize("run", ["a", " ", "-", "=", "*", "_"])
def test_long_runs_between_marks(mark: str, run: str) -> None:
    assert seconds((mark + run * 500) * 2_000) < 5


def test_any_mixture() -> None:
    source = random.Random(0)
    parts = [*SHAPES.values(), "@", "...", "***", "Bearer", "token", "\n", "Zx81kdQ9"]
    for _ in range(20):
        unit = "".join(source.choices(parts, k=5))
        assert seconds(unit * (50_000 // len(unit))) < 0.5, unit


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a-sk-abcd...wxyz, sk-abcd…wxyz", "a-***, ***"),
        ("ab***cd***ef and a*** and ****ef", "****** and a*** and ***"),
        ("token=http://user:pass@host/w?key=abcd", "token=http://***@host/w?key=***"),
        ("token=abc7def?key=abcd", "token=***"),
        ("x: eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "x: ***"),
        ("a.eyJhbGciOiJI.eyJzdWIiOiIx.c2ln a.b.c.d", "a.*** a.b.c.d"),
    ],
)
def test_what_is_struck_is_the_same(message: str, shown: str) -> None:
    assert redaction.redact(message) == shown


@pytest.mark.parametrize("before", range(0, 60, 7))
def test_what_is_cut_short_ends_in_no_half_of_a_secret(before: int) -> None:
    """A server that knows where it is cut sends secrets that shrink, so that the end comes to be shown."""
    secret = "Zx81-kdQ9 mWv3/Lp" * 4
    redaction.know(secret)
    coded = base64.b64encode(secret.encode()).decode()
    for form in (secret, coded, secret.encode().hex()):
        told = redaction.told(" " * before + f"{form} " * 400)
        assert secret[:6] not in told
        assert form[:6] not in told
        assert len(told) <= 302
    assert redaction.told("x" * 100_000) == "x" * 300 + " …"
