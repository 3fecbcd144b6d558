"""OpenAI's Batch API behind the same seam: half the price, an answer within a day, and a restart loses nothing."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from tutelage.errors import BudgetError, Interrupted, ModelError
from tutelage.models import received
from tutelage.models.answers import Answer, Request
from tutelage.models.cached import key_of
from tutelage.models.http import OpenAICompatible, read_completion
from tutelage.models.keeping import ReplyStore
from tutelage.models.received import Read
from tutelage.models.traffic import Fault, Refused
from tutelage.redaction import told

_MOST = 20_000  # requests a batch; the service takes 50,000
_OVER = {"completed", "failed", "expired", "cancelled"}


class Batched:
    """Asks by batch, and asks the rows that a batch could not answer one by one.

    A request that is in a batch already, from a run that was killed while it waited, is waited for and not sent again.
    """

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
        client = self.endpoint.open_plain()
        left_out = [self.left_out(request) for request in requests]
        keys = [key_of(self.name, *request, left) for request, left in zip(requests, left_out, strict=True)]
        places = {key: place for place, key in enumerate(keys)}
        waiting = dict(self.store.pending(keys))
        fresh = [place for place, key in enumerate(keys) if key not in waiting]
        self._reserve(requests)
        for start in range(0, len(fresh), _MOST):
            part = fresh[start : start + _MOST]
            batch = self._submit(client, [(keys[place], requests[place]) for place in part])
            self.store.submitted(batch, [keys[place] for place in part])
            waiting |= {keys[place]: batch for place in part}
        left = set(range(len(requests)))
        for batch in dict.fromkeys(waiting.values()):
            for key, read, raw in self._collect(client, batch):
                if key in places and places[key] in left:  # else somebody else's, or a second answer to one request
                    place = places[key]
                    left.discard(place)
                    found = self.endpoint.answer(requests[place], read, raw, left_out[place])
                    self.endpoint.meter.settle(place, found.usage, found.reply.finish)
                    yield place, found
            self.store.collected(batch)
        self.endpoint.meter.end()
        yield from self._again(requests, sorted(left))

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

    def _submit(self, client: Any, rows: Sequence[tuple[str, Request]]) -> str:
        lines = []
        for key, request in rows:
            body = self.endpoint.body(request)
            lines.append({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body})
        content = "\n".join(json.dumps(line) for line in lines).encode()
        with _told(self.endpoint):
            file = client.files.create(file=("requests.jsonl", content), purpose="batch")
            made = client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
        return str(made.id)

    def _collect(self, client: Any, batch: str) -> Iterator[tuple[str, Read, bytes]]:
        """The answers of a batch, once it is over; rows without a good one are left out."""
        while True:
            with _told(self.endpoint):
                seen = client.batches.retrieve(batch)
            if seen.status in _OVER:
                break
            self._wait(batch)
        if seen.output_file_id:
            with _told(self.endpoint):
                content = client.files.content(seen.output_file_id).content
            for line in content.splitlines():
                try:
                    row = received.fields(line, "row of a batch")
                    response = received.inner(row, "response")
                    raw = json.dumps(response.get("body")).encode()
                    read = read_completion(raw, self.name) if response.get("status_code") == 200 else None
                except (Fault, RecursionError):
                    continue
                if read and read.reply.finish != "error":
                    yield received.string(row.get("custom_id")), read, raw

    def _wait(self, batch: str) -> None:
        """Sleep until the next look, awake to a user who wants to leave."""
        until = time.monotonic() + self.poll
        while time.monotonic() < until:
            if self._stopped or self.stopping():
                raise Interrupted(
                    f"left while batch {batch} is at work; it goes on without us, and the same command collects it"
                )
            time.sleep(min(0.2, self.poll))


class _told:
    """The SDK's errors as ours."""

    def __init__(self, endpoint: OpenAICompatible) -> None:
        self.endpoint = endpoint

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        import openai

        if isinstance(error, openai.OpenAIError):
            raise ModelError(f"{self.endpoint.name}: the batch service says {told(error)}") from None
