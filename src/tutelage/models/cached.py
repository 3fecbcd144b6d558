"""A model that asks only for replies it does not have yet."""

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tutelage.errors import Interrupted
from tutelage.models import adapting
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

    def adapted(self, model: str) -> Mapping[str, str]:
        """What is known of a model that does not take every field: field -> its name there, or ""."""
        ...

    def adapt(self, model: str, field: str, known_as: str) -> None:
        """Keep such a finding."""
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

    def adapted(self, model: str) -> Mapping[str, str]:
        """Nothing: the endpoint knows as much."""
        return {}

    def adapt(self, model: str, field: str, known_as: str) -> None:
        """Forget a finding."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """Nothing."""
        return {}

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes) -> None:
        """Let go of a reply."""


class Asked(Protocol):
    """Whoever is asked for what is not stored: an `Endpoint`, or its batch form."""

    adapted: dict[str, str]

    def left_out(self, request: Request) -> tuple[str, ...]:
        """What of a request's sampling the model does not take."""
        ...

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


def request_of(model: str, chat: Chat, sampling: Sampling, sample: int, left_out: Sequence[str] = ()) -> bytes:
    """Everything that decides a reply, as canonical JSON: model identity, messages, what is sent of the sampling, sample index.

    What was wanted and could not be sent stands in `left_out`: a reply drawn at a temperature that the server chose is
    another than one drawn at the temperature that was asked for.
    """
    fields: dict[str, Any] = {
        "model": model,
        "messages": [[message.role, message.content] for message in chat.messages],
        "sampling": {name: getattr(sampling, name) for name in sampling.__struct_fields__ if name not in _NOT_SENT},
        "sample": sample,
        **({"left_out": list(left_out)} if left_out else {}),
    }
    return msgspec.json.encode(fields, order="deterministic")


def key_of(model: str, chat: Chat, sampling: Sampling, sample: int, left_out: Sequence[str] = ()) -> str:
    """What a reply is stored under."""
    return hashlib.sha256(request_of(model, chat, sampling, sample, left_out)).hexdigest()


class Cached:
    """Answers from a store of replies; only what is missing goes to the endpoint, and is kept the moment it comes.

    Samples are keyed one by one, so asking for 8 after 4 pays for 4 more, and the first 4 stay the same. Failures
    are passed on but never kept. When the caller leaves early, fails or asks to stop, what is in flight is awaited and kept:
    at once where it lets go of what `answer` returned, else when this is closed.
    """

    def __init__(
        self,
        endpoint: Asked,
        store: ReplyStore,
        stopping: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.endpoint = endpoint
        self.store = store
        self.stopping = stopping
        self.say = say  # what a user should know of how the model is asked
        self.name = endpoint.name
        self._asking: set[Generator[tuple[int, Reply], None, None]] = set()
        self._known: dict[str, str] = {}  # what the model does not take, as far as it is kept and said

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield what is stored first, then each chat when its last sample has come."""
        found = self.store.adapted(self.name)
        self.endpoint.adapted = {**found, **self.endpoint.adapted}
        self._remember(found)
        asked = [[Request(chat, sampling, sample) for sample in range(sampling.n)] for chat in chats]
        keys, replies = self._stored(asked)
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
        places = list(alike.values())
        coming = self._ask([asked[i][sample] for (i, sample), *_ in places])
        self._asking.add(coming)
        try:
            for place, reply in coming:
                for index, sample in places[place]:
                    replies[index][sample] = reply
                    missing[index] -= 1
                    if missing[index] == 0:
                        yield index, [one for one in replies[index] if one is not None]
        finally:
            coming.close()
            self._asking.discard(coming)

    def close(self) -> None:
        """Ask for nothing more, and keep what is in flight; an error may still hold on to a caller that was to do so."""
        while self._asking:
            self._asking.pop().close()

    def _stored(self, asked: Sequence[Sequence[Request]]) -> tuple[list[list[str]], list[list[Reply | None]]]:
        """The key of every request, and the stored reply: drawn as it was wanted, or else as the model lets it be drawn."""
        keys = [[self._key(request, ()) for request in row] for row in asked]
        stored = dict(self.store.get_many([key for row in keys for key in row]))
        if asked and asked[0] and (left_out := self.endpoint.left_out(asked[0][0])):
            lesser = {
                self._key(request, left_out): key
                for row, names in zip(asked, keys, strict=True)
                for request, key in zip(row, names, strict=True)
                if key not in stored
            }
            stored |= {lesser[key]: reply for key, reply in self.store.get_many(list(lesser)).items()}
        return keys, [[stored.get(key) for key in row] for row in keys]

    def _key(self, request: Request, left_out: Sequence[str]) -> str:
        return key_of(self.name, *request, left_out)

    def _ask(self, owed: Sequence[Request]) -> Generator[tuple[int, Reply], None, None]:
        """Ask for what is owed, keeping each reply before it is handed on."""
        coming = self.endpoint.ask(owed)
        try:
            for place, answer in coming:
                reply = self._keep(owed[place], answer)
                yield place, reply
                if self.stopping():
                    break
            if owed and self.stopping():
                raise Interrupted("stopped while the teacher was asked; every reply that came is kept")
        except (GeneratorExit, Exception):  # whatever ended it: what is in flight is paid for
            self.endpoint.stop()
            self._drain(owed, coming)
            raise

    def _drain(self, owed: Sequence[Request], coming: Iterator[tuple[int, Answer]]) -> None:
        """Keep what still arrives; one reply that cannot be kept does not cost the others."""
        with contextlib.suppress(Exception):  # what came first is what is said
            for place, answer in coming:
                with contextlib.suppress(Exception):
                    self._keep(owed[place], answer)

    def _keep(self, asked: Request, answer: Answer) -> Reply:
        self._remember(self.endpoint.adapted)  # before a reply is kept under it
        request = request_of(self.name, *asked, answer.left_out)
        reply = msgspec.structs.replace(answer.reply, key=hashlib.sha256(request).hexdigest())
        if reply.finish != "error":
            self.store.put(reply.key, request, reply, answer.raw)
        return reply

    def _remember(self, found: Mapping[str, str]) -> None:
        """Keep what the model turned out not to take, and say it once."""
        if len(found) == len(self._known):
            return
        for field, known_as in found.items():
            if field not in self._known:
                self._known[field] = known_as
                self.store.adapt(self.name, field, known_as)
                if not known_as:
                    self.say(adapting.line(self.name.partition("@")[0], field))
