"""What somebody may have put where no secret belongs: an error says what is wrong with it, and does not repeat it."""

import os
import re
from collections.abc import Iterable, Sequence

from tutelage import redaction

_WORD = re.compile(r"[^\s'\"`{}\[\]()<>,;:=?&@#|]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:-[a-z]{1,10})?")
_UNLIKELY = re.compile(r"[A-Za-z]{20,}|\d{9,}")  # a word longer than those of a config, a number that counts nothing
_MIXED = re.compile(r"[A-Za-z0-9+]{8,}")  # of letters and digits, such words are seldom names
_OPAQUE = re.compile(r"[A-Za-z0-9+]{16,}={0,2}")


def may_be_secret(text: str) -> bool:
    """Whether a text that somebody wrote may hold a secret; said of much that is none, so nothing is refused for it."""
    if redaction.holds_key(text):
        return True
    words = _WORD.findall(text)
    named = len(words) > 1 and any(map(redaction.is_secret_name, words))
    return named or any(map(_is_odd, words))


def _is_odd(word: str) -> bool:
    if _DATE.fullmatch(word):
        return False
    parts = _MIXED.findall(word)
    return bool(_UNLIKELY.search(word)) or any(map(_is_mixed, parts))


def _is_mixed(word: str) -> bool:
    return any(map(str.isdigit, word)) and any(map(str.isalpha, word))


def is_opaque(value: str) -> bool:
    """Whether a value is one long word of letters and digits, and so rather a secret than a name."""
    return bool(_OPAQUE.fullmatch(value)) and _is_mixed(value) and not redaction.is_open(value)


def told_apart(value: object) -> str:
    """A value as an error may repeat it: in full where it is short and plain, else by its kind alone."""
    if value is None or isinstance(value, bool | int | float):
        return f"{value!r}" if not may_be_secret(str(value)) else "a number"
    if isinstance(value, str):
        shown = value if len(value) <= 200 else f"{value[:200]}…"
        return "a text (not shown: it may be a secret)" if may_be_secret(value) else f"{shown!r}"
    return f"a {type(value).__name__}"


def without(message: str, words: Sequence[str]) -> str:
    """A message without those words of a command that are rather secrets than names; a path that is there is a name."""
    for part in _parts(words):
        if is_opaque(part) and not os.path.exists(part):
            message = message.replace(part, redaction.STRUCK)
    return message


def _parts(words: Sequence[str]) -> Iterable[str]:
    for word in words:
        yield from sorted({word, *_WORD.findall(word)}, key=len, reverse=True)
