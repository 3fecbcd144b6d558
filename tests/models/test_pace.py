"""Servers that refuse, played on a clock of their own: seconds pass at once, so that what is asserted is the same on any machine."""

import asyncio
import math
import random
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tutelage.models.remote.dispatch import Fault, Traffic
from tutelage.models.remote.pace import Limits


class _Clock(selectors.DefaultSelector):
    """Waits for nothing: the time that would have been waited has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        self.now += 1e-6 + (0.0 if found else timeout or 0.0)
        return found


def play(work: Callable[[Callable[[], float]], Awaitable[None]]) -> float:
    """Run `work(now)` on a loop whose time is played; returns the seconds it took there."""
    clock = _Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    random.seed(0)
    try:
        loop.run_until_complete(work(loop.time))  # type: ignore[arg-type]
    finally:
        loop.close()
    return clock.now


class Server:
    """Answers after `seconds`, or refuses, after `quick`, what `refuse(index, try, now)` says."""

    def __init__(
        self,
        refuse: Callable[[int, int, float], bool],
        seconds: float = 0.05,
        after: float | None = 1.0,
        quick: float | None = None,
    ) -> None:
        self.refuse, self.seconds, self.after = refuse, seconds, after
        self.quick = seconds if quick is None else quick
        self.tries: Counter[int] = Counter()
        self.answered: dict[int, float] = {}
        self.refused = self.open = self.most = 0
        self.given_up: list[int] = []

    def ask(self, count: int, **limits: Any) -> float:
        """Send so many requests; returns the seconds it took."""
        return play(lambda now: self.traffic(now, **limits).run([1] * count))

    def traffic(self, now: Callable[[], float], **limits: Any) -> Traffic[None]:
        """A call to this server."""

        async def send(index: int) -> None:
            self.tries[index] += 1
            self.open += 1
            self.most = max(self.most, self.open)
            refused = self.refuse(index, self.tries[index], now())
            await asyncio.sleep(self.quick if refused else self.seconds)
            self.open -= 1
            if refused:
                self.refused += 1
                raise Fault("busy", "HTTP 429", self.after)

        def deliver(index: int, result: Fault | None) -> None:
            self.answered[index] = now()
            self.given_up += [index] if result else []

        return Traffic(send, deliver, Limits(**limits))


class Bucket:
    """A token bucket: so many a second, and as many at once."""

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self.rate, self.burst = rate, rate if burst is None else burst
        self.full, self.since = self.burst, 0.0

    def __call__(self, index: int, attempt: int, now: float) -> bool:
        self.full = min(self.burst, self.full + (now - self.since) * self.rate)
        self.since = now
        if self.full < 1:
            return True
        self.full -= 1
        return False


def first_tries(index: int, attempt: int, now: float) -> bool:
    """A fifth of the requests, once each."""
    return attempt == 1 and index % 5 == 0


@pytest.mark.parametrize("concurrency", [8, 64, 300])
def test_scattered_refusals_hold_back_those_requests_alone(concurrency: int) -> None:
    server = Server(first_tries)
    seconds = server.ask(600, concurrency=concurrency)
    assert server.refused == 120
    assert not server.given_up
    # 720 answers of 0.05 s, and twice the refusal's second with its jitter; each stopping everybody would be 120 s.
    assert seconds < 3 * (720 * 0.05 / concurrency) + 2.5


def test_an_hour_asked_of_one_request_is_asked_of_one() -> None:
    server = Server(lambda index, attempt, now: index == 5 and attempt == 1, after=3600.0)
    server.ask(200, concurrency=4, patience=10_000.0)
    assert server.answered.pop(5) > 3600
    assert max(server.answered.values()) < 60


def test_everything_the_user_allows_is_in_flight_at_once() -> None:
    """A teacher takes ten seconds: a limit that had to grow would make of one round trip four."""
    server = Server(lambda *asked: False, seconds=10.0)
    assert server.ask(300, concurrency=300) == pytest.approx(10.0, abs=0.1)
    assert server.most == 300


@pytest.mark.parametrize("after", [1.0, None])
@pytest.mark.parametrize(("seconds", "quick"), [(0.05, 0.05), (0.05, 0.005), (2.0, 0.02)])
def test_a_rate_limit_is_found_and_kept(seconds: float, quick: float, after: float | None) -> None:
    server = Server(Bucket(50.0), seconds, after, quick)
    took = server.ask(3000, concurrency=64)
    assert not server.given_up
    assert server.refused < 0.1 * 3000
    best = 3000 / min(50.0, 64 / seconds)
    assert took < 1.4 * best


def test_a_server_that_takes_few_at_once_is_given_few() -> None:
    server = Server(lambda *asked: server.open > 8, seconds=2.0, quick=0.02)
    server.ask(1000, concurrency=64)
    assert not server.given_up
    assert server.refused < 0.15 * 1000


@pytest.mark.parametrize("after", [1.0, None])
@pytest.mark.parametrize("begins", [0.0, 1.0])
def test_a_server_that_is_down_is_left_alone_and_found_again(begins: float, after: float | None) -> None:
    server = Server(lambda index, attempt, now: begins <= now < begins + 3, after=after)
    took = server.ask(2000, concurrency=64)
    assert not server.given_up
    assert server.refused < 2 * 64  # what was in flight, and a few that looked
    assert took < begins + 3 + 10


def test_a_refusal_among_many_slows_nobody() -> None:
    server = Server(lambda index, attempt, now: index == 5 and attempt == 1, seconds=10.0)
    assert server.ask(640, concurrency=64) < 125


def test_what_is_put_otherwise_uses_up_no_tries() -> None:
    """A hundred are in flight when the server names the first of four fields that it does not take."""
    taken: set[int] = set()
    sent: list[tuple[int, int]] = []

    async def send(index: int) -> None:
        fields = {0, 1, 2, 3} - taken
        sent.append((index, len(fields)))
        await asyncio.sleep(0.05)
        if fields:
            taken.add(min(fields))
            raise Fault("mended", "HTTP 400: not this one")

    answered: list[int] = []

    def deliver(index: int, result: Fault | None) -> None:
        assert result is None
        answered.append(index)

    play(lambda now: Traffic(send, deliver, Limits(concurrency=100, tries=2)).run([1] * 300))
    assert sorted(answered) == list(range(300))
    # The first hundred come back for the first field; the others are found out by one request alone.
    assert len(sent) == 300 + 100 + 3


def until_it_ends(server: Server, ended: list[float]) -> Callable[[Callable[[], float]], Any]:
    """Two hundred requests of a run with 15 minutes of patience; when it ended is noted, however it did."""

    async def work(now: Callable[[], float]) -> None:
        try:
            await server.traffic(now, concurrency=24, patience=900.0).run([1] * 200)
        finally:
            ended.append(now())

    return work


@pytest.mark.parametrize("after", [1e9, math.inf, 50_000.0, 901.0])
def test_no_server_makes_anybody_wait_longer_than_the_patience(after: float) -> None:
    """Thirty are answered, then everybody is refused for longer than a run may wait: it ends when that is over."""
    server = Server(lambda index, attempt, now: len(server.answered) >= 30, after=after)
    ended = list[float]()
    with pytest.raises(Fault, match=r"HTTP 429 \(given up after \d tries in 90\d s\)"):
        play(until_it_ends(server, ended))
    assert 900 < ended[0] < 910


def test_a_server_that_asks_for_years_and_means_a_moment_is_asked_again() -> None:
    server = Server(lambda index, attempt, now: len(server.answered) >= 22 and server.refused < 18, after=1e9)
    assert server.ask(100, concurrency=24, patience=12.0) < 15
    assert len(server.given_up) <= 24  # as many as were in flight
    assert len(server.answered) == 100


@pytest.mark.parametrize("after", [30.0, 120.0, 400.0])
def test_waits_of_minutes_end_with_the_patience_too(after: float) -> None:
    server = Server(lambda index, attempt, now: len(server.answered) >= 30, after=after)
    ended = list[float]()
    with pytest.raises(Fault, match="given up after"):
        play(until_it_ends(server, ended))
    assert 900 < ended[0] < 1000
