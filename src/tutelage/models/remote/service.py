"""The service behind OpenAI's Batch API: asked with the same guards as for any reply, and nothing that it sends is believed."""

import asyncio
import queue
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from tutelage import redaction
from tutelage.errors import Interrupted
from tutelage.models.remote import received
from tutelage.models.remote.adapting import refusal
from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.lanes import SdkClient
from tutelage.models.remote.openai import OpenAICompatible
from tutelage.types import JsonObject

Found = TypeVar("Found")
Send = Callable[[SdkClient], Awaitable[bytes]]

OVER = {"completed", "failed", "expired", "cancelled"}
_AT_WORK = {"validating", "in_progress", "finalizing", "cancelling", "queued", "pending", "running"}
_LIST = 100  # batches a page, and so many pages
_PAGES = 10
_SLOW = 250_000  # bytes a second that a file comes at, or faster
_GRACE = 5.0  # seconds that somebody who wants to leave waits for the answer to a batch's creation
_LOOK = 0.2


class Unclear(Fault):
    """Whether a batch was made is not known: it was asked for, and no answer came that says so."""

    def __init__(self, fault: Fault) -> None:
        super().__init__("row", str(fault))


class Seen(NamedTuple):
    """A batch as the service tells of it: how far it is, the file of its replies, and how many they are."""

    status: str
    output: str = ""
    rows: int = 0


class Service:
    """A service of one endpoint. What passes is tried again, but for the making of a batch; all else raises Fault."""

    def __init__(self, endpoint: OpenAICompatible, stopping: Callable[[], bool]) -> None:
        self.endpoint = endpoint
        self.stopping = stopping

    def upload(self, content: bytes) -> str:
        """Send a file of requests; returns its name."""
        file = ("requests.jsonl", content, "application/jsonl")
        headers = {"Content-Type": "multipart/form-data"}

        def send(client: SdkClient) -> Awaitable[bytes]:
            body = {"purpose": "batch"}
            return client.post(  # type: ignore[no-any-return]
                "/files", body=body, files=[("file", file)], options={"headers": headers}, cast_to=bytes
            )

        read = lambda raw: _name(received.object_in(raw, "file"), "file")  # noqa: E731
        return self._asked(send, read, self.endpoint.limits.timeout + len(content) / _SLOW)

    def create(self, file: str, mark: str) -> str:
        """Make a batch that is known by a mark; returns its name. Raises Unclear where one may have been made: it is asked once."""
        body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        body |= {"metadata": {"tutelage": mark}}  # type: ignore[dict-item]
        limits, tries = self.endpoint.limits, 0
        while True:
            try:
                raw = self._once(
                    lambda client: client.post("/batches", body=body, cast_to=bytes), limits.timeout, _GRACE
                )
                return _name(received.object_in(raw, "batch"), "batch")
            except Fault as fault:
                tries += 1
                if fault.status == 429 and tries < limits.tries:
                    self._pause(fault, tries)
                elif fault.kind == "fatal" or (400 <= fault.status < 500 and fault.status not in (408, 409)):
                    raise
                else:
                    raise Unclear(fault) from None

    def find(self, mark: str) -> str | None:
        """The name of the batch with a mark, among those that the service lists; None where it is not among them."""
        after: JsonObject = {}
        for _ in range(_PAGES):
            options = {"params": {"limit": _LIST, **after}}

            def send(client: SdkClient, options: Mapping[str, object] = options) -> Awaitable[bytes]:
                return client.get("/batches", options=options, cast_to=bytes)  # type: ignore[no-any-return]

            page = self._asked(send, _page, self.endpoint.limits.timeout)
            rows = [row for row in page["data"] if isinstance(row, dict)]
            for row in rows:
                if received.inner(row, "metadata").get("tutelage") == mark:
                    return _name(row, "batch")
            last = rows[-1].get("id") if rows else None
            if page.get("has_more") is not True or not isinstance(last, str):
                return None
            after = {"after": last}
        return None

    def look(self, batch: str) -> Seen:
        """How far a batch is."""
        path = f"/batches/{quote(batch, safe='')}"
        return self._asked(lambda client: client.get(path, cast_to=bytes), _seen, self.endpoint.limits.timeout)

    def content(self, file: str, most: int) -> bytes:
        """A file of replies, which may be so many bytes."""
        from tutelage.models.remote import transport

        async def send(client: SdkClient) -> bytes:
            with transport.reading(most):
                found: bytes = await client.get(f"/files/{quote(file, safe='')}/content", cast_to=bytes)
                return found

        return self._asked(send, lambda raw: raw, self.endpoint.limits.timeout + most / _SLOW)

    def rest(self, seconds: float, left: str) -> None:
        """Wait, awake to a user who wants to leave; `left` is what is said then."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            if self.stopping():
                raise Interrupted(left)
            time.sleep(min(_LOOK, until - now))

    def _asked(self, send: Send, read: Callable[[bytes], Found], seconds: float) -> Found:
        """What is read of an answer; a broken one is as good as none, and is asked for as often as any."""
        tries = 0
        while True:
            try:
                return read(self._once(send, seconds))
            except Fault as fault:
                tries += 1
                if fault.kind not in ("passing", "busy") or tries >= self.endpoint.limits.tries:
                    raise
                self._pause(fault, tries)

    def _pause(self, fault: Fault, tries: int) -> None:
        limits = self.endpoint.limits
        wait = max(fault.after or 0.0, min(limits.longest, limits.backoff * 2**tries))
        self.rest(min(wait, limits.patience), _LEFT)

    def _once(self, send: Send, seconds: float, grace: float = 0.0) -> bytes:
        """One call, in a thread of its own: whoever waits here can be asked to leave, however slowly the answer comes."""
        answered: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                answered.put(asyncio.run(self._call(send, seconds)))
            except BaseException as error:  # handed over to the thread that asked
                answered.put(error)

        threading.Thread(target=work, daemon=True).start()
        while True:
            try:
                found = answered.get(timeout=_LOOK)
            except queue.Empty:
                grace -= _LOOK if self.stopping() else 0.0
                if grace < 0:
                    raise Interrupted(_LEFT) from None
            else:
                if isinstance(found, BaseException):
                    raise found
                return found

    async def _call(self, send: Send, seconds: float) -> bytes:
        import openai

        client = self.endpoint.open(self.endpoint.servers.addresses()[0])
        try:
            async with asyncio.timeout(seconds):
                return await send(client)
        except TimeoutError:
            raise Fault("passing", f"no whole answer within {seconds:.0f} s") from None
        except openai.APIStatusError as error:
            said = refusal(str(error.message), error.response.content)
            fault = self.endpoint.fault(error.status_code, said.message, error.response.headers)
            fault.status = error.status_code
            raise fault from None
        except openai.OpenAIError as error:
            raise self.endpoint.passing(error) from None
        finally:
            await self.endpoint.shut(client)


_LEFT = "left while the batch service was asked; what was sent to it is kept in mind, and the same command goes on"


def _name(found: Mapping[str, object], what: str, field: str = "id") -> str:
    """A name that is written down and is part of an address; raises a Fault for what can be none, or holds a key."""
    name = found.get(field)
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}", name):
        if not redaction.holds_key(name) and redaction.strike(name) == name:
            return name
        raise Fault("passing", f"the service names a {what} by what holds a key, and it is not kept")
    raise Fault("passing", f"the service names a {what} by what can be no name")


def _seen(raw: bytes) -> Seen:
    found = received.object_in(raw, "batch")
    status = found.get("status")
    if not isinstance(status, str) or status not in OVER | _AT_WORK:
        raise Fault("passing", "the service tells of no batch: how far it is, is missing or unknown")
    rows = received.inner(found, "request_counts").get("total")
    output = _name(found, "file", "output_file_id") if found.get("output_file_id") else ""
    return Seen(status, output, rows if type(rows) is int else 0)


def _page(raw: bytes) -> JsonObject:
    found = received.object_in(raw, "list of batches")
    if not isinstance(found.get("data"), list):
        raise Fault("passing", "the reply is no list of batches")
    return found
