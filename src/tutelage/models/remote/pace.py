"""How fast a server may be asked: limits a user sets, and how many at once, learned from what the server refuses.

Nothing here sends, sleeps or looks at a clock, so that a test can play a server's part for hours in a moment.
"""

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

_FEW = 24  # answers that say something of a server, where fewer are in flight at once
_SMALL = 0.05  # a share of refusals that is not worth going slower for
_FADES = 0.98  # a round trip: what counts as refused whatever is asked is put to the test again by and by
_SLOW = 0.1  # growth a round trip, a second at least, where the server may be near its end
_SLACK = 0.01  # seconds that a late sender may catch up on
_TWO = 4  # answers among which two refusals are no chance
_SHARE = 0.1  # of a new answer in the mean of the answers' seconds
_LEAST = 0.01  # of a request in flight


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How a server is treated. Times in seconds."""

    concurrency: int = 64  # most requests in flight
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout: float = 120.0  # of one attempt
    patience: float = 900.0  # of a request with all its attempts
    tries: int = 8
    backoff: float = 0.25  # the first wait is drawn from 0 to this, the next from 0 to twice this, …
    longest: float = 60.0  # wait
    silence: float = 30.0  # after which it says what it is waiting for


@dataclass
class Minute:
    """At most so many requests and tokens in any sixty seconds."""

    limits: Limits
    sent: deque[tuple[float, int]] = field(default_factory=deque)
    tokens: int = 0

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until a request of this size may be sent."""
        while self.sent and self.sent[0][0] <= now - 60:
            self.tokens -= self.sent.popleft()[1]
        requests, most = self.limits.requests_per_minute, self.limits.tokens_per_minute
        if requests is not None and len(self.sent) >= requests:
            return self.sent[-requests][0] + 60 - now
        if most is not None and self.sent and self.tokens + tokens > most:
            return self.sent[0][0] + 60 - now
        return 0.0

    def note(self, now: float, tokens: int) -> None:
        """A request is sent."""
        if self.limits.requests_per_minute is not None or self.limits.tokens_per_minute is not None:
            self.sent.append((now, tokens))
            self.tokens += tokens


class Room:
    """How many requests may be in flight: all that the user allows, until the server refuses some.

    It looks at one round trip of answers at a time. Where half or more are refused, the server takes as many as it
    did not refuse, and everybody waits. Where fewer are, half as many at once must cure it, as it does when the load
    is the reason; if it does not, requests are refused whatever is asked, and going slower would only be slower.
    From the first refusals on requests are spread over the round trip: many servers count the second, not the minute.
    """

    def __init__(self, most: int, backoff: float = 0.25, longest: float = 60.0) -> None:
        self.most = float(most)
        self.limit = float(most)  # below one: less than one a round trip
        self.backoff, self.longest = backoff, longest
        self.epoch = 0  # counts the changes: what was sent before the last one says nothing about it
        self.free = 0.0  # nobody sends before this moment
        self.crowded = 0  # round trips in a row in which refusals were the rule
        self._safe = float(most)  # up to here the limit doubles in a round trip, above it grows slowly
        self._flying = self._good = self._bad = 0  # of this epoch; answers, of this round trip
        self._usual = 0.0  # the share that is refused whatever is asked
        self._crowd = (0.0, 0, 0)  # the last one: the limit then, and of its requests how many were sent and refused
        self._tried: tuple[float, float] | None = None  # the limit that was halved, and the share refused at it
        self._trip = 0.0  # seconds of a good answer, about

    def full(self, flying: int) -> bool:
        """Whether there is no room beside those in flight."""
        return flying >= math.ceil(self.limit)

    def sent(self, now: float) -> None:
        """A request is sent."""
        self._flying += 1
        if self.epoch:
            self.free = max(self.free, now - _SLACK) + self._trip / self.limit

    def answered(self, epoch: int, seconds: float) -> None:
        """A request of some epoch was answered well, after so many seconds."""
        self._trip += (seconds - self._trip) * (_SHARE if self._trip else 1.0)
        if epoch == self.epoch:
            self._flying, self._good = self._flying - 1, self._good + 1
            if self._bad <= self._tolerated() * self._size():
                slow = _SLOW * min(self._trip / min(self.limit, 1.0), 1.0)
                step = min(self.limit, 1.0) * (1.0 if self.limit < self._safe else slow)
                self.limit = min(self.limit + step, self.most)
            self._judge()

    def refused(self, epoch: int, now: float, after: float) -> None:
        """A request of some epoch was refused, for so many seconds or for none named."""
        if (
            self.crowded and epoch == self.epoch - 1 and not self._flying + self._good + self._bad
        ):  # it tells more of the crowd it was part of
            limit, sent, bad = self._crowd
            self._crowd = limit, sent, bad + 1
            self._take()
        if epoch != self.epoch:
            return
        self._flying, self._bad = self._flying - 1, self._bad + 1
        # Who has just waited need not see a whole round trip to know that it was not enough.
        if self._bad * 2 >= (max(self._good + self._bad, _TWO) if self.crowded else self._size()):
            crowd = self.limit, self._flying + self._good + self._bad, self._bad
            self.crowded = self.crowded + 1 if crowd[1] == crowd[2] else 1
            self._set(1.0)
            self._tried, self._crowd = None, crowd
            self._take()
            self.free = now + max(after, min(self.longest, self.backoff * 2 ** (self.crowded - 1)))
        else:
            self._judge()

    def _take(self) -> None:
        """Go on with what of a crowd was not refused, half of it at the most; where all was, one finds out when that is over."""
        limit, sent, bad = self._crowd
        if bad < sent:
            self.limit = self._safe = max(limit * min(0.5, 1 - bad / sent), _LEAST)
        else:
            self.limit, self._safe = min(limit, 1.0), max(limit / 2, self._safe if self.crowded > 1 else 0)

    def _size(self) -> int:
        return max(_FEW, int(self.limit))

    def _tolerated(self) -> float:
        return max(_SMALL, 1.5 * self._usual)

    def _judge(self) -> None:
        """Once a round trip is over in which less than half was refused, say what that means."""
        if self._good + self._bad < self._size():
            return
        share = self._bad / (self._good + self._bad)
        self._good = self._bad = self.crowded = 0
        self._usual *= _FADES
        if self._tried and self._tried[1] / 2 < share < self._tried[1] * 2:  # half the load, and as many are refused
            self._usual = max(share, self._tried[1])
            self._set(self._tried[0])
            self._tried = None
        elif share <= self._tolerated():
            self._tried = None
        elif self._tried is None or share > self._tried[1]:
            self._tried = (self.limit, share)
            self._set(self.limit / 2)
            self._safe = self.limit

    def _set(self, limit: float) -> None:
        self.limit = min(max(limit, _LEAST), self.most)
        self._flying = self._good = self._bad = 0
        self.epoch += 1


def seconds_to_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds: a number, or a date [RFC 9110, 10.2.3]; None without one."""
    value = headers.get("retry-after-ms")
    if value is not None:
        try:
            return max(0.0, float(value) / 1000)
        except ValueError:
            pass
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (TypeError, ValueError, OverflowError):
        return None
