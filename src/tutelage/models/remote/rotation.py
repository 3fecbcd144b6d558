"""Several servers of one model: a request goes to the one with the fewest in flight, and one that fails is left out for a while."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.lanes import Lanes, SdkClient
from tutelage.redaction import redact

Result = TypeVar("Result")
_FAILS = 2  # failures in a row after which a server is left out
_REST, _LONGEST = 1.0, 60.0  # seconds: the first time, and at the most


@dataclass
class _Server:
    url: str  # as it may be shown
    lanes: Lanes
    busy: int = 0
    failures: int = 0  # in a row
    left: float = 0.0  # when it was left out, the last time: what was sent before that says nothing new
    since: float = 0.0  # it may be asked from this moment on
    gone: bool = False  # for the rest of the call
    times: int = 0  # it was left out
    answered: int = 0

    @property
    def is_out(self) -> bool:
        return self.failures >= _FAILS


@dataclass
class Rotation:
    """The servers of a call.

    `say` is told which is left out and why, and which is back. A fault that says something of a server, and not of the
    request, comes out as "elsewhere" while there is another server that this request was not sent to, and as it is after that.
    """

    urls: Sequence[str]
    openers: Sequence[Callable[[], SdkClient]]
    say: Callable[[str], None]
    _tried: dict[int, set[int]] = field(default_factory=dict)  # request -> servers it failed at

    def __post_init__(self) -> None:
        self._servers = [_Server(url, Lanes(opener)) for url, opener in zip(self.urls, self.openers, strict=True)]

    async def through(self, index: int, send: Callable[[SdkClient], Awaitable[Result]]) -> Result:
        """Send a request by the server that is asked least of those that are well."""
        number = self._choose(index)
        server, begun = self._servers[number], asyncio.get_running_loop().time()
        server.busy += 1
        try:
            result = await server.lanes.through(send)
        except Fault as fault:
            raise self._failed(index, number, begun, fault) from None
        except asyncio.CancelledError:  # nothing came in time, which is said where the time was measured
            self._failed(index, number, begun, Fault("passing", "no reply in time"))
            raise
        else:
            self._well(index, server)
            return result
        finally:
            server.busy -= 1

    async def close(self, shut: Callable[[Any], Awaitable[None]]) -> None:
        """Close every client; where a server was left out, say what each did."""
        for server in self._servers:
            await server.lanes.close(shut)
        if any(server.times for server in self._servers):
            did = [f"{redact(one.url)} {one.answered} (left out {one.times}x)" for one in self._servers]
            self.say(f"answers by server: {', '.join(did)}")

    def _choose(self, index: int) -> int:
        now, tried = asyncio.get_running_loop().time(), self._tried.get(index, set())
        here = [number for number, server in enumerate(self._servers) if not server.gone]
        # One that was left out is asked for one reply when its time is over, before it is asked for more.
        ready = [one for one in here if self._servers[one].since <= now and not self._is_proving(one)]
        fresh = [number for number in ready if number not in tried]
        if not ready:
            return min(here, key=lambda number: self._servers[number].since)
        return min(fresh or ready, key=lambda number: (not self._servers[number].is_out, self._servers[number].busy))

    def _is_proving(self, number: int) -> bool:
        server = self._servers[number]
        return server.is_out and server.busy > 0

    def _failed(self, index: int, number: int, begun: float, fault: Fault) -> Fault:
        if len(self._servers) == 1 or fault.kind in ("row", "mended"):
            return fault
        server = self._servers[number]
        if fault.kind == "fatal":
            if all(one.gone for one in self._servers if one is not server):
                return fault
            if not server.gone:
                server.gone = True
                self._leave(server, f"from here on: {fault}")
            return Fault("elsewhere", str(fault))
        now = asyncio.get_running_loop().time()
        if begun >= server.left:
            server.failures += 1
            if server.is_out:
                rest = min(_LONGEST, _REST * 2 ** (server.failures - _FAILS))
                server.left, server.since = now, now + max(rest, min(fault.after or 0.0, _LONGEST))
                if server.failures == _FAILS:
                    self._leave(server, f"until it answers again: {fault}")
        tried = self._tried.setdefault(index, set())
        tried.add(number)
        if any(not one.gone and one.since <= now for other, one in enumerate(self._servers) if other not in tried):
            return Fault("elsewhere", str(fault))
        tried.clear()
        return fault

    def _leave(self, server: _Server, why: str) -> None:
        server.times += 1
        if server.times == 1:  # one that comes and goes is counted
            self.say(f"{redact(server.url)} is left out {why}")

    def _well(self, index: int, server: _Server) -> None:
        if server.is_out and server.times == 1:
            self.say(f"{redact(server.url)} answers again")
        server.failures, server.since = 0, 0.0
        server.answered += 1
        self._tried.pop(index, None)
