"""OpenAI's Batch API behind the same seam: half the price, an answer within a day, and a restart loses nothing."""

import io
import json
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

from tutelage.errors import BudgetError, ModelError
from tutelage.models.remote import received
from tutelage.models.remote.answers import Answer, Request
from tutelage.models.remote.cached import key_of
from tutelage.models.remote.dispatch import Fault, Refused
from tutelage.models.remote.keeping import ReplyStore
from tutelage.models.remote.openai import OpenAICompatible, read_completion
from tutelage.models.remote.received import Read
from tutelage.models.remote.service import OVER, Service, Unclear

_MOST = 20_000  # requests a batch; the service takes 50,000
_ROW, _TOKEN = 4_096, 32  # bytes of a row of replies beside its text, and of a token of that, or fewer
_GONE = (404, 410)
_LOOKS = 3  # for a batch that may have been made
# What stands in the place of a batch's name while it has none that is known, and before one that was not there.
_MARKED, _MISSED = "?", "gone:"


class Batched:
    """Asks by batch, and asks the rows that a batch could not answer one by one.

    A request that is in a batch already, from a run that was killed while it waited, is waited for and not sent again.
    """

    counts_samples = False  # all that is wanted of a chat goes into one batch

    def __init__(
        self,
        endpoint: OpenAICompatible,
        store: ReplyStore,
        poll: float = 30.0,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint
        self.store = store
        self.poll = poll  # seconds between two looks
        self.stopping = stopping
        self.name = endpoint.name
        self._stopped = False
        self._service = Service(endpoint, lambda: self._stopped or self.stopping())

    @property
    def adapted(self) -> dict[str, str]:
        """What the model is known not to take."""
        return self.endpoint.adapted

    @adapted.setter
    def adapted(self, found: dict[str, str]) -> None:
        self.endpoint.adapted = found

    def left_out(self, request: Request) -> tuple[str, ...]:
        """What of a request's sampling the model does not take."""
        return self.endpoint.left_out(request)

    def stop(self) -> None:
        """Wait no longer: the service goes on, and the same command collects."""
        self._stopped = True
        self.endpoint.stop()

    def ask(self, requests: Sequence[Request]) -> Generator[tuple[int, Answer]]:
        """Yield the answers batch by batch, then those of the rows that were asked again one by one."""
        if not requests:
            return
        self.endpoint.check()
        left_out = [self.left_out(request) for request in requests]
        keys = [key_of(self.name, *request, left) for request, left in zip(requests, left_out, strict=True)]
        places = {key: place for place, key in enumerate(keys)}
        waiting = self._waiting(dict(zip(keys, requests, strict=True)))
        fresh = [place for place, key in enumerate(keys) if key not in waiting]
        self._reserve(requests)
        for start in range(0, len(fresh), _MOST):
            part = fresh[start : start + _MOST]
            batch = self._submit([(keys[place], requests[place]) for place in part])
            waiting |= {keys[place]: batch for place in part}
        left = set(range(len(requests)))
        for batch in dict.fromkeys(waiting.values()):
            mine = [key for key, held in waiting.items() if held == batch]
            for key, read, raw in self._collect(batch, [requests[places[one]] for one in mine], mine):
                place = places.get(key, -1)
                if place not in left:
                    continue  # somebody else's, or a second answer to one request
                if read is None:
                    self._count(place, requests[place], raw)
                    continue
                left.discard(place)
                found = self.endpoint.answer(requests[place], read, raw, left_out[place])
                self.endpoint.meter.settle(place, found.usage, found.reply.finish)
                yield place, found
            self.store.collected(batch)
        self.endpoint.meter.end()
        yield from self._again(requests, sorted(left))

    def _count(self, place: int, request: Request, raw: bytes) -> None:
        """A row that came and is no reply was paid for, too."""
        if spent := self.endpoint.spoiled(request, raw):
            self.endpoint.meter.settle(place, spent, "unreadable")

    def _again(self, requests: Sequence[Request], left: Sequence[int]) -> Iterator[tuple[int, Answer]]:
        """Ask the rows that failed one by one, unless the first shows that all were put wrongly: then by batch again."""
        known = dict(self.adapted)
        for _, found in self.endpoint.ask([requests[place] for place in left[:1]]):
            yield left[0], found
        rest = [requests[place] for place in left[1:]]
        for index, found in self.endpoint.ask(rest) if self.adapted == known else self.ask(rest):
            yield left[1:][index], found

    def _reserve(self, requests: Sequence[Request]) -> None:
        """A batch goes up whole or not at all: its worst case must fit into the budget."""
        meter = self.endpoint.meter
        try:
            for place, request in enumerate(requests):
                meter.reserve(place, request.chat, request.sampling)
        except Refused:
            meter.take_back(place)
            raise BudgetError(f"a batch of {len(requests)} requests does not fit: {meter.refusal()}") from None

    def _waiting(self, asked: Mapping[str, Request]) -> dict[str, str]:
        """The batches that earlier sessions left, by the requests in them; without those that turn out not to be there."""
        waiting = dict(self.store.pending(list(asked)))
        for batch in dict.fromkeys(waiting.values()):
            mine = [key for key, held in waiting.items() if held == batch]
            name = (
                self._recovered(batch, [asked[key] for key in mine]) if batch.startswith((_MARKED, _MISSED)) else batch
            )
            if name and name != batch:
                self.store.submitted(name, mine)
            elif not name:
                self.store.collected(batch)
            waiting = {key: name if held == batch else held for key, held in waiting.items() if held != batch or name}
        return waiting

    def _recovered(self, batch: str, requests: Sequence[Request]) -> str:
        """The name of a batch of which an earlier session did not know whether it is there; empty where it is not."""
        try:
            if batch.startswith(_MARKED):
                name = self._service.find(batch.removeprefix(_MARKED)) or ""
            else:
                name = batch.removeprefix(_MISSED)
                seen = self._service.look(name)
                if seen.status in OVER and seen.output:
                    self._service.content(seen.output, _room(requests, seen.rows))
        except Fault as fault:
            if fault.status not in _GONE or batch.startswith(_MARKED):
                raise self._failed(fault, f"{self._doubt(batch)}; nothing was sent again") from None
            name = ""
        if not name:
            was = (
                "was not made after all"
                if batch.startswith(_MARKED)
                else f"{batch.removeprefix(_MISSED)} is gone for good"
            )
            self._say(f"a batch {was}: its {len(requests)} requests are sent again")
        return name

    def _doubt(self, batch: str) -> str:
        """What is to be looked at where it is not clear whether a batch is there."""
        if batch.startswith(_MARKED):
            return (
                "whether a batch was made is not known: look at the provider's list for one with the metadata "
                f"tutelage={batch.removeprefix(_MARKED)} (the same command looks, too; batch=false asks one by one, and may pay twice)"
            )
        return f"whether batch {batch.removeprefix(_MISSED)} is there is not known: the same command looks again"

    def _failed(self, fault: Fault, more: str) -> ModelError:
        return ModelError(f"{self.name}: the batch service says {fault}. {more[:1].upper()}{more[1:]}")

    def _say(self, line: str) -> None:
        self.endpoint.say(f"{self.endpoint.kind}:{self.endpoint.model}: {line}")

    def _submit(self, rows: Sequence[tuple[str, Request]]) -> str:
        """Send requests as a batch; that it was asked for is written down before, should its name never come."""
        lines = []
        for key, request in rows:
            body = self.endpoint.body(request)
            lines.append({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body})
        content, keys = "\n".join(json.dumps(line) for line in lines).encode(), [key for key, _ in rows]
        mark = _MARKED + secrets.token_hex(8)
        try:
            file = self._service.upload(content)
            self.store.submitted(mark, keys)
            batch = self._service.create(file, mark.removeprefix(_MARKED))
        except Unclear as fault:
            batch = self._found(mark, fault)
        except Fault as fault:
            self.store.collected(mark)
            self.endpoint.meter.take_back(len(rows))
            raise self._failed(fault, "no batch was made") from None
        self.store.submitted(batch, keys)
        return batch

    def _found(self, mark: str, why: Fault) -> str:
        """A batch whose making brought no answer: it may be paid for, and is looked for instead of being made again."""
        try:
            for look in range(_LOOKS):
                if look:
                    self._service.rest(min(self.poll, _LOOKS), f"left; {self._doubt(mark)}")
                if batch := self._service.find(mark.removeprefix(_MARKED)):
                    self._say(
                        f"the answer to the making of a batch was lost; it is there, as {batch}, and is waited for"
                    )
                    return batch
        except Fault as fault:
            raise self._failed(why, f"{self._doubt(mark)}; the list says {fault}") from None
        raise self._failed(
            why,
            f"{self._doubt(mark)}; it is not in the list yet: the same command looks once more, and sends the requests again if "
            "it is still not there",
        )

    def _collect(
        self, batch: str, requests: Sequence[Request], keys: Sequence[str]
    ) -> Iterator[tuple[str, Read | None, bytes]]:
        """The answers of a batch, once it is over, and what came as one and is none; rows that were refused are left out."""
        at_work = f"left while batch {batch} is at work; it goes on without us, and the same command collects it"
        try:
            while (seen := self._service.look(batch)).status not in OVER:
                self._service.rest(self.poll, at_work)
            content = self._service.content(seen.output, _room(requests, seen.rows)) if seen.output else b""
        except Fault as fault:
            if fault.status not in _GONE:
                more = f"batch {batch} is kept in mind: the same command looks again (batch=false asks, and pays, one by one)"
                raise self._failed(fault, more) from None
            self.store.submitted(_MISSED + batch, keys)
            raise self._failed(
                fault,
                f"the service does not know batch {batch}, or its replies, any more. Look whether key and base_url are those "
                f"that it was sent with; if they are, run the same command again: if it is still gone, its {len(keys)} "
                "requests are sent again",
            ) from None
        for line in io.BytesIO(content):
            yield from self._row(line.strip())

    def _row(self, line: bytes) -> Iterator[tuple[str, Read | None, bytes]]:
        raw = b""
        try:
            row = received.object_in(line, "row of a batch")
            response, key = received.inner(row, "response"), received.string(row.get("custom_id"))
            if response.get("status_code") != 200:
                return
            raw = json.dumps(response.get("body")).encode()
            read = read_completion(raw, self.name)
        except (Fault, RecursionError):
            if raw:
                yield key, None, raw
            return
        yield key, read if read.reply.finish != "error" else None, raw


def _room(requests: Sequence[Request], rows: int) -> int:
    """The most bytes that the replies of a batch can be: these requests are in it, and what earlier sessions asked for beside."""
    from tutelage.models.remote.transport import MOST_BYTES

    each = max(_ROW + _TOKEN * request.sampling.max_tokens for request in requests)
    return MOST_BYTES + each * max(len(requests), min(rows, _MOST))
