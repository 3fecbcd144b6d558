"""The HTTP client below each SDK: it goes where it was sent, reads no more than a reply can be, and unpacks nothing.

An SDK's own client follows a server to another host, key and prompt in hand, and reads whatever comes into memory.
"""

import contextlib
import functools
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import httpx2

from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.hiding import Address
from tutelage.redaction import told

MOST_BYTES = 32 << 20  # of a reply
_REFUSAL_BYTES = 64 << 10  # of what is said instead of one
_PLAIN = {"accept-encoding": "identity"}  # replies are small; what comes packed may be a thousand times its size


class Received(NamedTuple):
    """An answer as the server sent it; no status where none came."""

    status: int = 0
    content: bytes = b""
    headers: Mapping[str, str] = {}


_received: ContextVar[Received] = ContextVar("received")
_most: ContextVar[int] = ContextVar("most", default=MOST_BYTES)


def received() -> Received:
    """The last answer to the task that asks, whatever an SDK made of it."""
    return _received.get(Received())


@contextlib.contextmanager
def reading(most: int) -> Iterator[None]:
    """What the task asks for in here may be so many bytes: many replies come in one file."""
    token = _most.set(most)
    try:
        yield
    finally:
        _most.reset(token)


class Client(httpx2.AsyncClient):
    """A client of one server."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """Send a request and read the answer whole; raises Fault for one that nothing can be done with."""
        _received.set(Received())
        request.headers.update(_PLAIN)
        response = await super().send(request, **{**more, "stream": True, "follow_redirects": False})
        try:
            _received.set(Received(response.status_code, b"", response.headers))  # known, should the rest not come
            _look_at(response)
            content = await _read(response)
        finally:
            await response.aclose()
        _received.set(Received(response.status_code, content, response.headers))
        return httpx2.Response(response.status_code, headers=response.headers, content=content, request=request)


def _look_at(response: httpx2.Response) -> None:
    if 300 <= response.status_code < 400:
        try:
            target = response.request.url.join(response.headers.get("location", ""))
            where = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}{target.path}"
        except (httpx2.InvalidURL, ValueError):
            where = "what is no address"
        raise Fault(
            "fatal",
            f"HTTP {response.status_code}: the server sends on to {told(where, most=120)}, and neither key nor prompt "
            "follows; if it is there, change base_url",
        )
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise Fault(
            "passing", f"the reply came packed ({told(packed, most=20)}), which was not asked for, and is not read"
        )
    size = response.headers.get("content-length", "")
    if response.status_code < 400 and size.isdecimal() and int(size[:20]) > _most.get():
        raise _too_large()


async def _read(response: httpx2.Response) -> bytes:
    """The answer's bytes; of a refusal only the beginning, since nothing of it is kept."""
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if response.status_code >= 400 and len(content) > _REFUSAL_BYTES:
            return bytes(content[:_REFUSAL_BYTES])
        if len(content) > _most.get():
            raise _too_large()
    return bytes(content)


def _too_large() -> Fault:
    return Fault("row", f"the reply is larger than {_most.get() >> 20} MB, and is not read to its end")


@functools.cache
def trust() -> ssl.SSLContext:
    """The certificates that are trusted: reading them is slow, and once is enough."""
    return httpx2.create_ssl_context()


def client(address: Address) -> Client:
    """A client for one event loop."""
    return Client(verify=trust(), timeout=None, auth=address.user, params=address.query or None)
