"""A request and its answer, as they pass between whoever asks, the endpoint and the store."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from tutelage.models.remote import adapting
from tutelage.models.remote.received import Read
from tutelage.models.remote.usage import TokensSaid, Usage, usage
from tutelage.parsing import Unreadable, json_value
from tutelage.redaction import strike
from tutelage.types import Chat, Reply, Sampling


class Request(NamedTuple):
    """One reply that is wanted: a chat, how it is drawn, and which of the chat's samples it is."""

    chat: Chat
    sampling: Sampling
    sample: int

    @property
    def seed(self) -> int:
        """The seed to send: samples of one chat count up from the sampling's."""
        return self.sampling.seed + self.sample


class Answer(NamedTuple):
    """A reply and what the server sent, byte for byte, but for a secret that it sent back."""

    reply: Reply
    raw: bytes
    left_out: tuple[str, ...] = ()  # what of the sampling was not sent, since the model does not take it
    usage: Usage = Usage(0, 0)
    remarks: Mapping[str, str] = {}  # what a user should know of it, by what it is about


def take(request: Request, read: Read, raw: bytes, left_out: tuple[str, ...], system: str = "") -> Answer:
    """The answer to a request, from what was read of what the server sent.

    Tokens are those that can be right; secrets that were sent back are struck out; it is cut where the server would
    have ended it if it had been told.
    """
    remarks, reply = {}, read.reply
    said = TokensSaid(read.tokens_in, read.tokens_out, read.cached)
    spent = usage(said, request.chat, request.sampling, reply, system)
    if spent.doubt:
        remarks["usage"] = (
            f"the server says that a reply took {spent.doubt}, which cannot be right: what is not known of such replies is "
            "counted at the most that it can be"
        )
    if read.broken:
        remarks["broken"] = f"a reply came with {read.broken} broken characters; each such stands as U+FFFD (\ufffd)"
    texts = {name: strike(getattr(reply, name)) for name in ("text", "thinking", "model", "error")}
    clean = _struck(raw)
    if clean != raw or any(text != getattr(reply, name) for name, text in texts.items()):
        remarks["secret"] = "the server sent a key or password back in a reply; it is struck out"  # noqa: S105
    counts = {"tokens_in": spent.tokens_in, "tokens_out": spent.tokens_out, "tokens_cached": spent.cached}
    reply = replace(reply, **texts, **counts)
    if reply.finish == "stop" and not request.sampling.stop:  # nothing else could have ended it
        reply = replace(reply, finish="eos")
    if "stop" in left_out:
        reply = adapting.cut(reply, request.sampling)
    return Answer(reply, clean, left_out, spent, remarks)


def _struck(raw: bytes) -> bytes:
    """What a server sent without secrets, however the JSON writes their letters."""
    clean = strike(raw)
    if b"\\u00" not in clean:
        return clean
    try:
        plain = json.dumps(json_value(clean), ensure_ascii=False).encode("utf-8", "surrogatepass")
    except Unreadable:
        return clean
    struck = strike(plain)
    return clean if struck == plain else struck
