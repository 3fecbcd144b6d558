"""What a reply took: what the server says where that can be so, else what was sent and received, as it can be seen here."""

import re
from typing import NamedTuple, TypeGuard

from tutelage.redaction import told
from tutelage.types import Chat, Reply, Sampling

_RUN = re.compile(r"(.)\1{7,}", re.DOTALL)  # one token may be a long run of one character
_BYTES = 32  # of the longest tokens of any language, on average over a text
_USUAL = 8  # characters of a token, or fewer
_MORE_IN, _MORE_OUT = 100_000, 1_000_000  # what a server may add to a prompt, and a model may think, unasked


class TokensSaid(NamedTuple):
    """The tokens that a server says it read and wrote, whatever stands there: a number, nothing, or what can be none."""

    read: object
    written: object
    cached: object = None  # of those that were read, those from the server's own cache of prompts


class Usage(NamedTuple):
    """Tokens of one reply, never less than nothing. What is not known is counted at the most that it can be."""

    tokens_in: int
    tokens_out: int
    known_in: bool = True
    known_out: bool = True
    doubt: str = ""  # what the server said that cannot be right
    cached: int = 0  # of those that were read


def worst_input(chat: Chat, system: str = "") -> int:
    """The most tokens a chat can be: no tokenizer makes more than one of a byte, and a few frame each message."""
    return sum(len(message.content.encode()) + 8 for message in chat.messages) + len(system.encode()) + 16


def least(text: str) -> int:
    """The least tokens that a text can be."""
    squeezed = _RUN.sub(r"\1", text)
    return -(-len(squeezed.encode("utf-8", "replace")) // _BYTES)


def usage(said: TokensSaid, chat: Chat, sampling: Sampling, reply: Reply, system: str = "") -> Usage:
    """The tokens of a reply, from what the server said of those that it read and wrote."""
    sent = sum(len(message.content) for message in chat.messages) + len(system)
    read, written, _ = said
    if _is_usual(read, sent) and _is_usual(written, len(reply.text) + len(reply.thinking)):
        return Usage(read, written, cached=_cached(said.cached, read))
    least_in = sum(least(message.content) for message in chat.messages) + least(system)
    least_out = least(reply.text) + least(reply.thinking)
    if not any(said) and all(isinstance(one, int | None) and not isinstance(one, bool) for one in said):
        return Usage(least_in, least_out, known_in=False, known_out=False)  # nothing was said
    tokens_in, known_in = _believed(read, least_in, 10 * worst_input(chat, system) + _MORE_IN)
    tokens_out, known_out = _believed(written, least_out, 10 * sampling.max_tokens + _MORE_OUT)
    doubts = [
        f"{_short(value)} tokens {what}"
        for value, found, what in ((read, tokens_in, "read"), (written, tokens_out, "written"))
        if (value is not None and value != found) or isinstance(value, bool)
    ]
    return Usage(tokens_in, tokens_out, known_in, known_out, " and ".join(doubts), _cached(said.cached, tokens_in))


def _cached(said: object, read: int) -> int:
    """How many of the tokens that were read came from a cache: what was said where that can be so, else none."""
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= read else 0


def unread(chat: Chat, sampling: Sampling, system: str, written: bool) -> Usage:
    """The tokens of a reply that could not be read: the most that was sent, and where it was a reply that was written."""
    return Usage(worst_input(chat, system), sampling.max_tokens if written else 0)


def _is_usual(said: object, characters: int) -> TypeGuard[int]:
    """Whether a number needs no closer look: it is about what a text of so many characters takes."""
    return type(said) is int and characters // _USUAL < said <= 4 * characters + 100


def _believed(said: object, at_least: int, at_most: int) -> tuple[int, bool]:
    """A number of tokens, and whether it is known: one that is too low is known to be no less than what can be seen."""
    if isinstance(said, float) and said.is_integer():
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= at_most:
        return at_least, False
    return max(said, at_least), True


def _short(value: object) -> str:
    return told(repr(value), most=30) if isinstance(value, int | float | str | bool) else f"a {type(value).__name__} of"


def total(*parts: object) -> object:
    """The sum of the parts that were said, or the one of them that cannot be right; None where none was said."""
    said = [part for part in parts if part is not None]
    odd = next((part for part in said if type(part) is not int or part < 0), None)
    if odd is not None or not said:
        return odd
    return sum(part for part in said if type(part) is int)
