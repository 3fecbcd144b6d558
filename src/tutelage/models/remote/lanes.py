"""Many requests at once through an SDK whose pool of connections is slow when it is large."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

# A client of an SDK, which only the dialect that opened it looks into. Not checked: an SDK is loaded
# at the first request, and two of the three may not be installed.
SdkClient = Any
Result = TypeVar("Result")
_WIDTH = 8  # requests at once through one client: its pool looks at every connection it has before each request


@dataclass
class _Lane:
    client: SdkClient
    busy: int = 0


class Lanes:
    """Clients of one server, opened as they are needed, each with few requests in flight."""

    def __init__(self, open_client: Callable[[], SdkClient]) -> None:
        self.open_client = open_client
        self._lanes = [_Lane(open_client())]  # the SDK is loaded before any request's time counts

    async def through(self, send: Callable[[SdkClient], Awaitable[Result]]) -> Result:
        """Send by a client that has room."""
        lane = next((lane for lane in self._lanes if lane.busy < _WIDTH), None)
        if lane is None:
            lane = _Lane(self.open_client())
            self._lanes.append(lane)
        lane.busy += 1
        try:
            return await send(lane.client)
        finally:
            lane.busy -= 1

    async def close(self, shut: Callable[[SdkClient], Awaitable[None]]) -> None:
        """Close every client."""
        for lane in self._lanes:
            await shut(lane.client)
