"""What of a request a model does not take: read from its refusals, left out, remembered and said."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from tutelage.parsing import Unreadable, json_value
from tutelage.types import Reply, Sampling

# The fields of a sampling that a request can go without, by the names servers have for them. Where a refusal names
# several ("temperature and top_p cannot both be specified"), the first of these goes.
_NAMES = {
    "top_k": r"top_k|topK",
    "top_p": r"top_p|topP",
    "stop": r"stop|stop_sequences|stopSequences",
    "seed": r"seed|random_seed",
    "temperature": r"temperature",
}
_NEUTRAL = {"top_p": 1.0}  # as good as left out
_REFUSAL = re.compile(
    r"unsupported|incompatible|immutable|extraneous|deprecated|cannot both|extra.(?:inputs|fields|forbidden)"
    r"|(?:not|n't) (?:yet |currently |be )?(?:support|permit|allow|accept|recogni|available|configurable|a valid (?:param|field|arg))"
    r"|un(?:recogni[sz]ed|known|expected)|only the default|only \S+ is (?:allowed|supported|accepted)"
    r"|may only be|must be (?:unset|omitted|\d)",
    re.IGNORECASE,
)
# A number that is out of range is the user's own, who should hear of it.
_RANGE = re.compile(
    r"[<>]|\b(?:between|in range|the range|above|below|greater|less|higher|lower|at most|at least|maximum|minimum"
    r"|positive|non-negative|too (?:long|large|many|high|low|small))\b",
    re.IGNORECASE,
)
_WORD = r"(?:parameters?|arguments?|fields?|keys?|propert(?:y|ies)|options?|settings?|supplied|names?|per-request)"
_TEXTS = ("message", "error", "msg", "detail", "description", "raw", "reason", "code", "type")
_NAMED = ("param", "parameter", "field", "loc")
_DEPTH = 8  # a proxy's error holds its server's, which may hold another


class Refusal(NamedTuple):
    """Why a request was refused: what is shown of it, all its words, and the parameters it names in fields for that."""

    message: str
    words: str = ""
    named: tuple[str, ...] = ()


def refusal(message: str, body: bytes = b"") -> Refusal:
    """A refusal from its message and its body, which may hold JSON in the text of JSON; both are cut where they are shown."""
    body = body[: 1 << 16]
    try:
        found = json_value(body)
    except Unreadable:
        found = {"message": body.decode("utf-8", "replace")} if body else {}
    parts = list(_parts(found))
    texts = list(dict.fromkeys(text for kind, text in parts if kind in _TEXTS and text))
    told = [text for kind, text in parts if kind not in (*_NAMED, "code", "type") and text and text not in message]
    shown = message if any(text in message for text in texts if " " in text) else " ".join([message, *told[:2]])
    named = tuple(dict.fromkeys(text for kind, text in parts if kind in _NAMED and text))
    return Refusal(shown, "\n".join([message, *texts]), named)


def _parts(value: object, name: str = "message", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Every text in a refusal, with the name of the field that it stands in."""
    if depth > _DEPTH:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _parts(inner, key if key in (*_TEXTS, *_NAMED) else "", depth + 1)
    elif isinstance(value, list) and name == "loc":
        yield name, str(value[-1]) if value else ""
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _parts(inner, name, depth + 1)
    elif isinstance(value, str):
        yield name, value
        start = min((place for mark in "{[" if (place := value.find(mark)) >= 0), default=-1)
        if start >= 0:
            try:
                yield from _parts(json_value(value[start:]), "", depth + 1)
            except Unreadable:
                return


def refused(said: Refusal, sent: Mapping[str, object]) -> str:
    """Which of the fields that were sent a refusal says the model does not take; empty if it says something else."""
    refuses, ranged = bool(_REFUSAL.search(said.words)), bool(_RANGE.search(said.words))
    for field, names in _NAMES.items():
        neutral = field in _NEUTRAL and sent.get(field) == _NEUTRAL[field]
        if field not in sent or not (neutral if ranged else refuses):
            continue
        if said.named:
            found = any(re.fullmatch(names, re.split(r"[.\[\]/]+", name.strip(".[]/"))[-1]) for name in said.named)
        else:
            found = bool(re.search(_mention(field, names), said.words, re.MULTILINE))
        if found:
            return field
    return ""


def _mention(field: str, names: str) -> str:
    """How a field is spoken of: in quotes, beside a word for it, or last. "stop" and "seed" are words of their own."""
    forms = [
        rf"['\"`\[](?:{names})['\"`\]]",
        rf"{_WORD}[: ]+(?:{names})\b",
        rf"\b(?:{names}) (?:field|parameter|argument)\b",
    ]
    forms += [rf": (?:{names})\.?$", rf"(?:^|[.>:] ?)(?:{names}): (?i:extra|unknown|unexpected)"]
    forms += [] if field in ("stop", "seed") else [rf"\b(?:{names})\b"]
    return "|".join(forms)


def line(model: str, field: str) -> str:
    """What a user should know of a field that is left out."""
    effect = {
        "seed": "asking again would bring other replies",
        "stop": "replies are cut here",
    }.get(field, "replies are drawn at the server's own")
    return f"{model} does not take {field}: it is left out, and {effect}"


def cut(reply: Reply, sampling: Sampling) -> Reply:
    """A reply as it would have ended at the first stop string, had the server been told."""
    ends = [place for stop in sampling.stop if (place := reply.text.find(stop)) >= 0]
    return replace(reply, text=reply.text[: min(ends)], finish="stop") if ends else reply
