"""What a server sent, read without believing it: any bytes are a reply, or a fault like any other."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from tutelage.models.remote.dispatch import Fault
from tutelage.parsing import HALF
from tutelage.types import Finish, JsonObject, Reply

_BROKEN = "\ufffd"  # stands where a character was broken
_CUT = {"length", "max_tokens", "max_length", "model_length", "token_limit", "max_output_tokens"}
_WITHHELD = {"content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii", "error"}


class Read(NamedTuple):
    """A reply as it was read, with what the server says it took, whatever that is."""

    reply: Reply
    tokens_in: object = None
    tokens_out: object = None
    cached: object = None
    broken: int = 0  # characters that were replaced


def object_in(raw: bytes, what: str) -> JsonObject:
    """The bytes of a JSON object as its fields; raises a passing Fault where they are none."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = _loosely(raw, what)
    if not isinstance(found, dict):
        raise Fault("passing", f"the reply is no {what}: a JSON value of another kind")
    return found


def _loosely(raw: bytes, what: str) -> object:
    """What is JSON but for a broken character or a number that is none, as servers send it."""
    try:
        return json.loads(raw.decode("utf-8-sig", "replace"), parse_int=_whole)
    except RecursionError:
        raise Fault("passing", f"the reply is no {what}: nested too deep") from None
    except ValueError as error:
        raise Fault("passing", f"the reply is no {what}: {error}") from None


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 1000 else math.inf


def first_in(values: object, what: str) -> JsonObject:
    """The first of a list of objects; raises a passing Fault where there is none."""
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return values[0]
    raise Fault("passing", f"the reply has no {what}")


def inner(value: Mapping[str, object], name: str) -> JsonObject:
    """An object in a field; empty where there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def text_of(content: object, kinds: Sequence[str] = ("text", "output_text")) -> str:
    """The text of a content, which may be none, or a list of parts of many kinds."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list):
        return "".join(_part(part, kinds) for part in content)
    raise Fault("row", f"the reply's content is no text but a JSON value of another kind ({type(content).__name__})")


def _part(part: object, kinds: Sequence[str]) -> str:
    if isinstance(part, str):
        return part if "text" in kinds else ""
    if not isinstance(part, dict) or part.get("type", "text") not in kinds:
        return ""
    found = next((part[name] for name in (*kinds, "text") if name in part), "")
    return found if isinstance(found, str) else text_of(found) if isinstance(found, list) else ""


def string(value: object) -> str:
    """A value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def finish_of(reason: object) -> Finish:
    """How a reply ended; by a reason nobody knows it ended as by any other."""
    known = reason.lower() if isinstance(reason, str) else ""
    return "length" if known in _CUT else "error" if known in _WITHHELD else "eos" if known == "end_turn" else "stop"


def read(reply: Reply, raw: bytes, tokens_in: object, tokens_out: object, cached: object = None) -> Read:
    """A reply whose broken characters are replaced, and how many there were."""
    halves = {name: len(HALF.findall(getattr(reply, name))) for name in ("text", "thinking", "model", "error")}
    bytes_broken = 0 if _is_utf8(raw) else raw.decode("utf-8", "replace").count(_BROKEN) - raw.count(_BROKEN.encode())
    if any(halves.values()):
        mended = {name: HALF.sub(_BROKEN, getattr(reply, name)) for name, count in halves.items() if count}
        reply = msgspec.structs.replace(reply, **mended)
    return Read(reply, tokens_in, tokens_out, cached, sum(halves.values()) + bytes_broken)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
