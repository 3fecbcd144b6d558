"""Answers while they are written: pieces of text that are never taken back, from any model."""

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, runtime_checkable

from msgspec.structs import replace

from tutelage.types import Chat, JsonObject, Model, Reply, Sampling

Piece = str | Reply  # more text of an answer; at its end the whole reply


@runtime_checkable
class Local(Model, Protocol):
    """A model on this machine: it can be loaded beforehand, knows how much it can hold, and shows an answer while it is written."""

    def loaded(self) -> object:
        """Load it now."""

    def context_left(self, chat: Chat) -> int:
        """How many tokens the answer to a chat may have."""

    def stream(
        self, chats: Sequence[Chat], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> Iterator[tuple[int, int, Piece]]:
        """Yield `(index, sample, piece)`."""


def conditions(model: Model) -> JsonObject:
    """What the rounding of a local model's answers depends on: device, precision, the sizes of its batches so far."""
    found: JsonObject = model.conditions() if hasattr(model, "conditions") else {}
    return found or next((known for part in parts_in(model) if (known := conditions(part))), {})


def remarks(model: Model) -> list[str]:
    """What there is to say of how a model made its answers: what was shortened, what goes a slower way; each once."""
    said: list[str] = model.remarks() if hasattr(model, "remarks") else []
    return [*said, *(line for part in parts_in(model) for line in remarks(part))]


def places(model: Model) -> list[JsonObject]:
    """Where a model's answers were made, if elsewhere than in this process."""
    own = [model.places()] if hasattr(model, "places") else []
    return [*own, *(one for part in parts_in(model) for one in places(part))]


def parts_in(model: Model) -> tuple[Model, ...]:
    """The models that a solver is made of; none for any other."""
    found: tuple[Model, ...] = getattr(model, "parts", ())
    return found


def token_counter(model: Model) -> Callable[[str], int] | None:
    """How many tokens a text is to a local model, as a function that needs no weights; None of a model that does not say."""
    found: Callable[[str], int] | None = getattr(model, "count_tokens", None)
    return found


def load_weights(model: Model) -> None:
    """Load what has weights now, and not at the first question."""
    if isinstance(model, Local):
        model.loaded()
    for part in parts_in(model):
        load_weights(part)


def is_independent(model: Model) -> bool:
    """Whether each request is answered by itself and its reply kept, as behind a network: then all are asked for at once."""
    parts = parts_in(model)
    return all(map(is_independent, parts)) if parts else bool(getattr(model, "independent", False))


def check_room(model: Model, chats: Sequence[Chat], sampling: Sampling, taught: bool = False) -> None:
    """Refuse chats that a local model cannot hold, before its weights are loaded; of others that is not known."""
    if hasattr(model, "check_room"):
        model.check_room(chats, sampling, taught)
    for part in parts_in(model):
        check_room(part, chats, sampling, taught)


def stream(
    model: Model, chats: Sequence[Chat], sampling: Sampling, seeds: Sequence[int] | None = None
) -> Generator[tuple[int, int, Piece], None, None]:
    """Yield `(index, sample, text)` as the answers are written, and `(index, sample, reply)` at the end of each.

    What is no `Local` model says each answer in one piece. `seeds` holds one for each chat, instead of the sampling's.
    """
    if isinstance(model, Local):
        yield from model.stream(chats, sampling, seeds)
        return
    for index, replies in _answers(model, chats, sampling, seeds):
        for sample, reply in enumerate(replies):
            if reply.text:
                yield index, sample, reply.text
            yield index, sample, reply


def _answers(
    model: Model, chats: Sequence[Chat], sampling: Sampling, seeds: Sequence[int] | None
) -> Iterator[tuple[int, list[Reply]]]:
    if len(set(seeds or [sampling.seed])) == 1:
        yield from model.answer(chats, replace(sampling, seed=seeds[0]) if seeds else sampling)
        return
    for index, (chat, seed) in enumerate(zip(chats, seeds or [], strict=True)):
        for _, replies in model.answer([chat], replace(sampling, seed=seed)):
            yield index, replies


class TextStream:
    """One answer while it is written; what it has said is always the beginning of what it will have said."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.said = ""

    def more(self, raw: str) -> str:
        """What can be said of the text so far, beyond what has been."""
        return self.rest(settled_text(raw, self.stops))

    def rest(self, text: str) -> str:
        """The end of a text, from where it has been said."""
        # Some tokenizers decode the bytes of a character once more when others follow; then nothing is said again.
        piece = text[len(self.said) :] if text.startswith(self.said) else ""
        self.said += piece
        return piece


def settled_text(raw: str, stops: Sequence[str]) -> str:
    """The part of a half-written text that stays, whatever comes: the whole is stripped and cut before its first stop.

    Held back are the bytes of a character that is not whole yet, space at the end, and what may become a stop.
    """
    text = raw.rstrip("\ufffd")
    return text[: len(text) - max((_begun(text, stop) for stop in stops), default=0)].strip()


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop, in time linear in the stop [Knuth, Morris, Pratt]."""
    fallback, size = _fallbacks(stop), 0
    for character in text[-len(stop) :]:
        while size and (size == len(stop) or stop[size] != character):
            size = fallback[size - 1]
        size += stop[size] == character
    return size


@functools.lru_cache
def _fallbacks(stop: str) -> list[int]:
    """For each beginning of a stop, the longest shorter one that it ends in."""
    sizes, size = [0], 0
    for place in range(1, len(stop)):
        while size and stop[size] != stop[place]:
            size = sizes[size - 1]
        size += stop[size] == stop[place]
        sizes.append(size)
    return sizes
