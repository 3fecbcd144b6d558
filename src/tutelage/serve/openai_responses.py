"""What clients get: chat completions, whole and in chunks, and the list of models, as OpenAI shapes them."""

import time
import uuid
from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict

from tutelage.types import JsonObject, Reply

DONE = b"data: [DONE]\n\n"


def models(name: str, since: int) -> JsonObject:
    """The list of the one model there is."""
    return {"object": "list", "data": [model(name, since)]}


def model(name: str, since: int) -> JsonObject:
    """One model."""
    return {"id": name, "object": "model", "created": since, "owned_by": "tutelage"}


def usage_of(replies: Sequence[Reply]) -> dict[str, int]:
    """The tokens of one request: its prompt counts once, however many samples were drawn."""
    prompt, written = max(reply.tokens_in for reply in replies), sum(reply.tokens_out for reply in replies)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


class Completion:
    """One request's answer, whole or in chunks that share its id."""

    def __init__(self, name: str) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}

    def whole(self, replies: Sequence[Reply]) -> bytes:
        """All samples at once."""
        choices = [
            {
                "index": index,
                "message": _message(reply),
                "logprobs": None,
                "finish_reason": _reason(reply),
                **_of_solver(reply),
            }
            for index, reply in enumerate(replies)
        ]
        body = {**self._head, "object": "chat.completion", "choices": choices, "usage": usage_of(replies)}
        speakers = dict.fromkeys(name for reply in replies for name in _speakers(reply))
        if speakers:
            body["model"] = ", ".join(speakers)
        return msgspec.json.encode(body)

    def first(self, sample: int) -> bytes:
        """The chunk that opens a sample."""
        return self._chunk(sample, {"role": "assistant", "content": ""})

    def more(self, sample: int, text: str) -> bytes:
        """A chunk of text."""
        return self._chunk(sample, {"content": text})

    def last(self, sample: int, reply: Reply) -> bytes:
        """The chunk that closes a sample."""
        return self._chunk(sample, {}, _reason(reply), _of_solver(reply))

    def used(self, replies: Sequence[Reply]) -> bytes:
        """The chunk that counts the tokens."""
        return event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage_of(replies)})

    def _chunk(
        self, sample: int, delta: dict[str, str], finish: str | None = None, more: JsonObject | None = None
    ) -> bytes:
        choice = {"index": sample, "delta": delta, "logprobs": None, "finish_reason": finish, **(more or {})}
        return event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def _speakers(reply: Reply) -> list[str]:
    """Whose words a solver's reply is."""
    return [part.model for part in reply.parts if part.chosen]


def _of_solver(reply: Reply) -> JsonObject:
    """Who of a solver answered, how sure it was, what was done for it, and what should be known of how it came about."""
    if not reply.parts:
        return {}
    told = {
        "answered_by": _speakers(reply),
        "confidence": reply.confidence,
        "note": reply.note,
        "dollars": reply.dollars,
        "parts": [asdict(part) for part in reply.parts],
    }
    return {"tutelage": told}


def event(body: object) -> bytes:
    """One server-sent event."""
    return b"data: " + (body if isinstance(body, bytes) else msgspec.json.encode(body)) + b"\n\n"


def _reason(reply: Reply) -> str:
    """OpenAI knows one word for an answer that ended, by itself or at a stop text."""
    return "stop" if reply.finish == "eos" else reply.finish


def _message(reply: Reply) -> JsonObject:
    thinking = {"reasoning_content": reply.thinking} if reply.thinking else {}
    return {"role": "assistant", "content": reply.text, "refusal": None, **thinking}
