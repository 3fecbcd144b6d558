"""A model that asks only for replies it does not have yet."""

import contextlib
import hashlib
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from tutelage.errors import Interrupted
from tutelage.models.remote import adapting
from tutelage.models.remote.answers import Answer, Request
from tutelage.models.remote.keeping import ReplyStore
from tutelage.types import Chat, JsonObject, Reply, Sampling


class Asker(Protocol):
    """Whoever is asked for what is not stored: an `Endpoint`, or its batch form."""

    adapted: dict[str, str]

    def left_out(self, request: Request) -> tuple[str, ...]:
        """What of a request's sampling the model does not take."""
        ...

    @property
    def name(self) -> str:
        """The identity in every key."""
        ...

    def ask(self, requests: Sequence[Request]) -> Generator[tuple[int, Answer]]:
        """Yield `(index, answer)` as they come."""
        ...

    def stop(self) -> None:
        """Send nothing new; a running `ask` yields what is in flight and ends."""
        ...


_NOT_SENT = ("n", "flexible", "first")
_LOOK = 0.3  # seconds between two looks at what another process asks for


def request_of(model: str, chat: Chat, sampling: Sampling, sample: int, left_out: Sequence[str] = ()) -> bytes:
    """Everything that decides a reply, as canonical JSON: model identity, messages, what is sent of the sampling, sample index.

    What was wanted and could not be sent stands in `left_out`: a reply drawn at a temperature that the server chose is
    another than one drawn at the temperature that was asked for.
    """
    fields: JsonObject = {
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
    at once where it lets go of what `answer` returned, else when this is closed. What another process is asking for
    already is not asked for twice: its reply is waited for.
    """

    independent = True  # each request is answered by itself, whatever it is asked for together with

    def __init__(
        self,
        endpoint: Asker,
        store: ReplyStore,
        stopping: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.endpoint = endpoint
        self.store = store
        self.stopping = stopping
        self.say = say  # what a user should know of how the model is asked
        self.name = endpoint.name
        # It can be asked for later samples alone, unless each time that it is asked takes a batch's hours.
        self.counts_samples: bool = getattr(endpoint, "counts_samples", True)
        self._coming: list[
            Generator[tuple[str, Reply]]
        ] = []  # what is being asked, for callers that have not come to its end
        self._known: dict[str, str] = {}  # what the model does not take, as far as it is kept and said

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield what is stored first, then each chat when its last sample has come."""
        # First what earlier sessions learnt about the model: a reply that was drawn without a field is stored under another key.
        found = self.store.adapted(self.name)
        self.endpoint.adapted = {**found, **self.endpoint.adapted}
        self._remember(found)
        first = sampling.first or 0
        asked = [[Request(chat, sampling, first + sample) for sample in range(sampling.n)] for chat in chats]
        keys, replies = self._stored(asked)
        # All that is stored goes out before anything is asked, so that a caller who only reads back never waits.
        for index, row in enumerate(replies):
            if None not in row:
                yield index, [reply for reply in row if reply is not None]
        owed = [(i, sample) for i, row in enumerate(replies) for sample, reply in enumerate(row) if reply is None]
        if not owed:
            return
        # By chat, how many samples have not come: the chat is yielded when it reaches 0.
        missing = {i: sum(reply is None for reply in row) for i, row in enumerate(replies)}
        alike: dict[str, list[tuple[int, int]]] = {}  # two rationales with the same words make the same request
        for i, sample in owed:
            alike.setdefault(keys[i][sample], []).append((i, sample))
        wanted = {key: asked[index][sample] for key, ((index, sample), *_) in alike.items()}
        coming = self._missing(wanted)
        self._coming.append(coming)
        try:
            for key, reply in coming:
                for index, sample in alike[key]:
                    replies[index][sample] = reply
                    missing[index] -= 1
                    if missing[index] == 0:
                        yield index, [one for one in replies[index] if one is not None]
        finally:
            # Also where the caller leaves: closing is what awaits and keeps the replies in flight (`_ask`).
            coming.close()
            if coming in self._coming:
                self._coming.remove(coming)

    def close(self, patient: bool = True) -> None:
        """End what is still being asked, as when its caller has failed: what is in flight is awaited and kept.

        Without patience nothing more is sent, and nothing is waited for.
        """
        while self._coming:
            coming = self._coming.pop()
            if patient:
                coming.close()
            else:
                with contextlib.suppress(KeyboardInterrupt, StopIteration):
                    coming.throw(KeyboardInterrupt())

    def _missing(self, wanted: Mapping[str, Request]) -> Generator[tuple[str, Reply]]:
        """Yield `(key, reply)` for all that is wanted, whether this process asks for it or another one does."""
        left, told = dict(wanted), False
        while left:
            # A claim is what keeps two processes from paying for one reply; it is let go of whatever happens, and at the latest
            # when the process ends.
            mine = self.store.claim(list(left))
            try:
                # Looked up once it is claimed: it may have come since it was looked for.
                found = self._found(left)
                yield from found.items()
                asked = [key for key in left if key in mine and key not in found]
                for place, reply in self._ask([left[key] for key in asked]) if asked else ():
                    yield asked[place], reply
            finally:
                self.store.release(sorted(mine))
            # Left are those that another process claimed. When it has them they are found; when it died they can be claimed.
            left = {key: request for key, request in left.items() if key not in mine and key not in found}
            if left and not told:
                told = True
                self.say(f"{len(left)} replies are being asked for by another process; they are waited for")
            if left and not mine:
                self._pause()

    def _pause(self) -> None:
        """Wait for another process, awake to a user who wants to leave."""
        if self.stopping():
            raise Interrupted("stopped while another process was asking the teacher; what it is sent is kept")
        time.sleep(_LOOK)

    def _found(self, wanted: Mapping[str, Request]) -> dict[str, Reply]:
        """What is stored by now, under the keys it is wanted by."""
        self.endpoint.adapted = {**self.store.adapted(self.name), **self.endpoint.adapted}
        keys, replies = self._stored([[request] for request in wanted.values()])
        return {key: reply for (key,), (reply,) in zip(keys, replies, strict=True) if reply is not None}

    def _stored(self, asked: Sequence[Sequence[Request]]) -> tuple[list[list[str]], list[list[Reply | None]]]:
        """The key of every request, and the stored reply: drawn as it was wanted, or else as the model lets it be drawn."""
        # A reply drawn exactly as wanted is the better one, so its key is looked up first and wins.
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
            # Kept before it is yielded: the caller may not come back for the next one.
            for place, answer in coming:
                reply = self._keep(owed[place], answer)
                yield place, reply
                if self.stopping():
                    break
            if owed and self.stopping():
                raise Interrupted("stopped while the teacher was asked; every reply that came is kept")
        # GeneratorExit is a caller that let go; a break above ends in Interrupted and comes here too.
        except (GeneratorExit, Exception):  # whatever ended it: what is in flight is paid for
            self.endpoint.stop()
            self._drain(owed, coming)
            raise
        except KeyboardInterrupt as leaving:  # the user will not wait, and neither shall who asks
            coming.throw(leaving)

    def _drain(self, owed: Sequence[Request], coming: Iterator[tuple[int, Answer]]) -> None:
        """Keep what still arrives; one reply that cannot be kept does not cost the others."""
        with contextlib.suppress(Exception):  # what came first is what is said
            for place, answer in coming:
                with contextlib.suppress(Exception):
                    self._keep(owed[place], answer)

    def _keep(self, asked: Request, answer: Answer) -> Reply:
        # The key says how the reply was drawn: more may have been left out than was known when it was looked up.
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
