"""A model that asks only for replies it does not have yet."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tutelage.errors import Interrupted
from tutelage.models.endpoint import Answer, Request
from tutelage.types import Chat, Reply, Sampling


class ReplyStore(Protocol):
    """Where replies are kept: `store.cache.ReplyCache`, or anything like it."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """The stored replies among these keys."""
        ...

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes) -> None:
        """Keep one reply with the request that brought it and the server's own bytes."""
        ...

    def pending(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> batch, for those among `keys` that wait in one."""
        ...

    def submitted(self, batch: str, keys: Sequence[str]) -> None:
        """These requests wait in a batch now."""
        ...

    def collected(self, batch: str) -> None:
        """A batch is over."""
        ...


class Forgetful:
    """A store that keeps nothing longer than the process."""

    def __init__(self) -> None:
        self._batches: dict[str, str] = {}

    def pending(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> batch."""
        return {key: self._batches[key] for key in keys if key in self._batches}

    def submitted(self, batch: str, keys: Sequence[str]) -> None:
        """Note a batch."""
        self._batches |= dict.fromkeys(keys, batch)

    def collected(self, batch: str) -> None:
        """Forget a batch."""
        self._batches = {key: held for key, held in self._batches.items() if held != batch}

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """Nothing."""
        return {}

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes) -> None:
        """Let go of a reply."""


class Asked(Protocol):
    """Whoever is asked for what is not stored: an `Endpoint`, or its batch form."""

    @property
    def name(self) -> str:
        """The identity in every key."""
        ...

    def ask(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """Yield `(index, answer)` as they come."""
        ...

    def stop(self) -> None:
        """Send nothing new; a running `ask` yields what is in flight and ends."""
        ...


_NOT_SENT = ("n", "flexible")


def request_of(model: str, chat: Chat, sampling: Sampling, sample: int) -> bytes:
    """Everything that decides a reply, as canonical JSON: model identity, messages, what is sent of the sampling, sample index."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": [[message.role, message.content] for message in chat.messages],
        "sampling": {name: getattr(sampling, name) for name in sampling.__struct_fields__ if name not in _NOT_SENT},
        "sample": sample,
    }
    return msgspec.json.encode(fields, order="deterministic")


def key_of(model: str, chat: Chat, sampling: Sampling, sample: int) -> str:
    """What a reply is stored under."""
    return hashlib.sha256(request_of(model, chat, sampling, sample)).hexdigest()


class Cached:
    """Answers from a store of replies; only what is missing goes to the endpoint, and is kept the moment it comes.

    Samples are keyed one by one, so asking for 8 after 4 pays for 4 more, and the first 4 stay the same. Failures
    are passed on but never kept. When the caller leaves early or asks to stop, what is in flight is awaited and kept.
    """

    def __init__(self, endpoint: Asked, store: ReplyStore, stopping: Callable[[], bool] = lambda: False) -> None:
        self.endpoint = endpoint
        self.store = store
        self.stopping = stopping
        self.name = endpoint.name

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield what is stored first, then each chat when its last sample has come."""
        rows = [[request_of(self.name, chat, sampling, sample) for sample in range(sampling.n)] for chat in chats]
        keys = [[hashlib.sha256(request).hexdigest() for request in row] for row in rows]
        stored = self.store.get_many([key for row in keys for key in row])
        replies = [[stored.get(key) for key in row] for row in keys]
        for index, row in enumerate(replies):
            if None not in row:
                yield index, [reply for reply in row if reply is not None]
        owed = [(i, sample) for i, row in enumerate(replies) for sample, reply in enumerate(row) if reply is None]
        if not owed:
            return
        missing = {i: sum(reply is None for reply in row) for i, row in enumerate(replies)}
        alike: dict[str, list[tuple[int, int]]] = {}  # two rationales with the same words make the same request
        for i, sample in owed:
            alike.setdefault(keys[i][sample], []).append((i, sample))
        for (first, asked), reply in self._ask([places[0] for places in alike.values()], chats, sampling, rows):
            for index, sample in alike[keys[first][asked]]:
                replies[index][sample] = reply
                missing[index] -= 1
                if missing[index] == 0:
                    yield index, [one for one in replies[index] if one is not None]

    def _ask(
        self,
        owed: Sequence[tuple[int, int]],
        chats: Sequence[Chat],
        sampling: Sampling,
        rows: Sequence[Sequence[bytes]],
    ) -> Iterator[tuple[tuple[int, int], Reply]]:
        """Ask for what is owed, keeping each reply before it is handed on."""

        def keep(place: int, answer: Answer) -> Reply:
            index, sample = owed[place]
            request = rows[index][sample]
            reply = msgspec.structs.replace(answer.reply, key=hashlib.sha256(request).hexdigest())
            if reply.finish != "error":
                self.store.put(reply.key, request, reply, answer.raw)
            return reply

        coming = self.endpoint.ask([Request(chats[i], sampling, sample) for i, sample in owed])
        try:
            for place, answer in coming:
                reply = keep(place, answer)
                yield owed[place], reply
                if self.stopping():
                    break
            if owed and self.stopping():
                raise Interrupted("stopped while the teacher was asked; every reply that came is kept")
        except (GeneratorExit, Interrupted):
            self.endpoint.stop()
            for place, answer in coming:
                keep(place, answer)
            raise
