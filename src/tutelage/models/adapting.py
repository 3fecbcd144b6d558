"""What of a request a model does not take: read from its refusals, left out, remembered and said."""

import re
from collections.abc import Collection

from msgspec.structs import replace

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
_REFUSAL = re.compile(
    r"unsupported|not (?:be )?(?:support|permit|allow|accept|recogni|available)|un(?:recogni[sz]ed|known|expected)"
    r"|cannot both|deprecated|extra.(?:inputs|forbidden)",
    re.IGNORECASE,
)


def refused(message: str, param: str | None, sent: Collection[str]) -> str:
    """Which of the fields that were sent a refusal says the model does not take; empty if it says something else."""
    if not _REFUSAL.search(message):
        return ""
    for field, names in _NAMES.items():
        # In quotes, or behind "parameter:": "stop" and "seed" are words of their own.
        named = rf"['\"`.](?:{names})['\"`]|(?:parameters?|arguments?|fields?|supplied)[: ]+(?:{names})\b"
        plain = "" if field in ("stop", "seed") else rf"|\b(?:{names})\b"
        if field in sent and (re.fullmatch(names, param) if param else re.search(named + plain, message)):
            return field
    return ""


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
