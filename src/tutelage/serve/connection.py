"""One connection to a client: a request that does not arrive whole in time is closed, so that nobody holds a place for ever."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20.0  # for a request's headers and body, from the connection or from its first byte

_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(H11Protocol):
    """uvicorn's HTTP over h11, with a clock on the asking. An answer may take as long as it takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is out; what may have come behind it is another request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Let the clock run as long as a request is on its way; between two, uvicorn has a clock of its own."""
        state, begun = self.conn.their_state, bool(self.conn.trailing_data[0])
        fresh = self.timeout_keep_alive_task is None  # no request has been answered yet, or another has begun
        if state is h11.SEND_BODY or (state is h11.IDLE and (begun or fresh)):
            self._clock = self._clock or self.loop.call_later(SECONDS, self._late)
        else:
            self._stop()

    def _stop(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None

    def _late(self) -> None:
        if not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_LATE)
            self.transport.close()
