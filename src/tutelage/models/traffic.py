"""Sending many requests to a server that may be slow, busy or broken, without losing or repeating any.

One loop holds all requests of a call. It keeps a limit on requests in flight that adapts to the server, one shared
cool-down for everybody, and a heap of retries that are sent between new requests. Nothing here knows what a request is.
"""

import asyncio
import contextlib
import heapq
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

Result = TypeVar("Result")
FaultKind = Literal["passing", "busy", "row", "fatal"]


class Fault(Exception):
    """Why a request failed.

    "busy": the server asks for less (429, 503); "passing": a broken connection, a timeout, a 5xx; both are tried again.
    "row": this request can never succeed, others can. "fatal": none can (a wrong key, an unknown model).
    """

    def __init__(self, kind: FaultKind, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.after = after  # seconds the server asked to wait


class Refused(Exception):
    """Raised by the `admit` of a call: no further request may be sent."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How a server is treated. Times in seconds."""

    concurrency: int = 64  # most requests in flight
    begin: int = 32  # requests in flight at first
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout: float = 120.0  # of one attempt
    patience: float = 900.0  # of a request with all its attempts
    tries: int = 8
    backoff: float = 0.25  # the first wait is drawn from 0 to this, the next from 0 to twice this, …
    longest: float = 60.0  # wait
    silence: float = 30.0  # after which it says what it is waiting for


@dataclass(frozen=True)
class State:
    """What a call is doing, for a progress line."""

    done: int
    of: int
    in_flight: int
    retries: int
    limit: int
    waiting: str = ""  # for what, when nothing has come for a while


@dataclass
class _Job:
    index: int
    tokens: int
    first: float = 0.0  # when it was first sent
    tries: int = 0
    epoch: int = 0


@dataclass
class _Pace:
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
        if self.limits.requests_per_minute is not None or self.limits.tokens_per_minute is not None:
            self.sent.append((now, tokens))
            self.tokens += tokens


class Traffic(Generic[Result]):
    """One call: sends requests 0 … n - 1 with `send(index)` and hands each result or final fault to `deliver`."""

    def __init__(
        self,
        send: Callable[[int], Awaitable[Result]],
        deliver: Callable[[int, Result | Fault], None],
        limits: Limits,
        admit: Callable[[int], None] = lambda index: None,
        tell: Callable[[State], None] = lambda state: None,
        lost: Callable[[int], None] = lambda index: None,
    ) -> None:
        self.send = send
        self.deliver = deliver
        self.limits = limits
        self.admit = admit  # asked before each dispatch; raises Refused when it would cost too much
        self.tell = tell
        self.lost = lost  # told of an attempt that timed out, which the server may have worked on to the end
        self.stopped = False  # send nothing new; what is in flight comes home
        self.refused = False  # stopped because `admit` refused
        self.succeeded = False  # ever
        self.done = self.retries = 0
        self._limit = float(min(limits.begin, limits.concurrency))
        self._calm = True  # no congestion yet: the limit may double
        self._halved = float("-inf")  # when
        self._epoch = 0  # counts the congestions: requests sent before one say nothing new about it
        self._flying: dict[asyncio.Task[None], _Job] = {}
        self._again: list[tuple[float, int, _Job]] = []
        self._cool = 0.0  # nobody sends before this moment
        self._pace = _Pace(limits)
        self._fatal: BaseException | None = None

    async def run(self, sizes: Sequence[int]) -> None:
        """Send everything; `sizes` are the requests' tokens at the most. Raises the first fatal fault, once nothing is in flight."""
        self._woken = asyncio.Event()
        fresh = deque(_Job(index, tokens) for index, tokens in enumerate(sizes))
        watch = asyncio.create_task(self._watch(len(sizes)))
        try:
            while fresh or self._again or self._flying:
                if self.stopped or self._fatal:
                    self._drop(fresh)
                    if not self._flying:
                        break
                wait = self._dispatch(fresh)
                if self._flying or not self.stopped:
                    await self._sleep(wait)
        finally:
            watch.cancel()
            for task in self._flying:
                task.cancel()
            await asyncio.gather(*self._flying, return_exceptions=True)
        if self._fatal:
            raise self._fatal

    def stop(self) -> None:
        """Send nothing new. To be called on the loop's own thread."""
        self.stopped = True
        self._woken.set()

    def _drop(self, fresh: deque[_Job]) -> None:
        fresh.clear()
        self._again.clear()

    def _dispatch(self, fresh: deque[_Job]) -> float | None:
        """Send what may be sent now; returns how long to wait before there may be more, None for until something ends."""
        while not self.stopped and not self._fatal and (fresh or self._again):
            now = time.monotonic()
            if len(self._flying) >= int(self._limit):
                return None
            if self._cool > now:
                return self._cool - now
            due = self._again and self._again[0][0] <= now
            if not due and not fresh:
                return self._again[0][0] - now
            job = self._again[0][2] if due else fresh[0]
            if (pause := self._pace.wait(now, job.tokens)) > 0:
                return pause
            try:
                self.admit(job.index)
            except Refused:
                # What is in flight was counted at its worst; once it is home there may be room again.
                self.stopped = self.refused = not self._flying
                return None
            if due:
                heapq.heappop(self._again)
            else:
                fresh.popleft()
            self._launch(job, now)
        return None

    def _launch(self, job: _Job, now: float) -> None:
        job.first = job.first or now
        job.tries += 1
        job.epoch = self._epoch
        self._pace.note(now, job.tokens)
        task = asyncio.create_task(self._try(job))
        self._flying[task] = job
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._flying.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._fatal = self._fatal or task.exception()  # a mistake in our own code: it is raised as it is
        self._woken.set()

    async def _try(self, job: _Job) -> None:
        try:
            async with asyncio.timeout(self.limits.timeout):
                result = await self.send(job.index)
        except TimeoutError:
            self.lost(job.index)
            self._failed(job, Fault("passing", f"no reply within {self.limits.timeout:g} s"))
        except Fault as fault:
            self._failed(job, fault)
        else:
            self._grow()
            self.succeeded = True
            self.done += 1
            self.deliver(job.index, result)

    def _failed(self, job: _Job, fault: Fault) -> None:
        if fault.kind == "fatal":
            self._fatal = self._fatal or fault
            return
        now = time.monotonic()
        wait = self._backoff(job, fault)
        if fault.kind != "row":
            self._shrink(job, now + fault.after if fault.after else 0.0)
            if self.stopped:
                return  # it stays owed
            given_up = job.tries >= self.limits.tries or now + wait - job.first > self.limits.patience
            if not given_up:
                self.retries += 1
                heapq.heappush(self._again, (now + wait, job.index, job))
                return
            fault = Fault("row", f"{fault} (given up after {job.tries} tries in {now - job.first:.0f} s)")
            if not self.succeeded:  # nobody has ever had an answer: asking the others would take as long each
                self._fatal = self._fatal or Fault("fatal", str(fault))
                return
        self.done += 1
        self.deliver(job.index, fault)

    def _backoff(self, job: _Job, fault: Fault) -> float:
        """Full jitter [Brooker 2015], after what the server asked for."""
        most = min(self.limits.longest, self.limits.backoff * 2 ** (job.tries - 1))
        return (fault.after or 0.0) + random.uniform(0, most)

    def _grow(self) -> None:
        """Double each round trip until the first congestion, then one more each round trip."""
        self._limit = min(self._limit + (1 if self._calm else 1 / self._limit), float(self.limits.concurrency))

    def _shrink(self, job: _Job, until: float) -> None:
        """Halve once a congestion: requests that were in flight when it was noticed, or fail within a second, belong to it."""
        self._cool = max(self._cool, until)
        now = time.monotonic()
        if job.epoch == self._epoch and now - self._halved > 1.0:
            self._epoch += 1
            self._halved = now
            self._calm = False
            self._limit = max(1.0, self._limit / 2)

    async def _sleep(self, wait: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), wait)
        self._woken.clear()

    async def _watch(self, total: int) -> None:
        """Say how it goes, and after a silence what is waited for."""
        last, since = -1, time.monotonic()
        while True:
            now = time.monotonic()
            if self.done != last:
                last, since = self.done, now
            waiting = ""
            if now - since >= self.limits.silence:
                oldest = max((now - job.first for job in self._flying.values()), default=0.0)
                waiting = (
                    f"nothing came for {now - since:.0f} s: {len(self._flying)} in flight (oldest {oldest:.0f} s), "
                )
                waiting += f"{len(self._again)} to be tried again"
                waiting += f", cooling down {self._cool - now:.0f} s" if self._cool > now else ""
                since = now
            state = State(self.done, total, len(self._flying), self.retries, int(self._limit), waiting)
            self.tell(state)
            await asyncio.sleep(min(1.0, self.limits.silence))
