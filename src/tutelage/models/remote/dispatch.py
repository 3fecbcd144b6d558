"""Sending many requests to a server that may be slow, busy or broken, without losing or repeating any.

One loop holds all requests of a call. It keeps a limit on requests in flight that adapts to the server (`pace.Room`), a
heap of retries that are sent between new requests, and one cool-down for everybody, for when most are refused: what a
server asks of one request it asks of that one. Nothing here knows what a request is.
"""

import asyncio
import contextlib
import heapq
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from tutelage.models.remote.pace import Limits, Minute, Room
from tutelage.redaction import told

Result = TypeVar("Result")
FaultKind = Literal["passing", "busy", "elsewhere", "mended", "row", "fatal"]
_PROBE = 1.0  # seconds in which a server refuses what it does not take


class Fault(Exception):
    """Why a request failed.

    "busy": the server asks for less (429, 503); "passing": a broken connection, a timeout, a 5xx; both are tried again.
    "elsewhere": one server of several failed, and the next try goes to another. "mended": it was put in a way that the server does not take, and the next try is put otherwise. "row": this request
    can never succeed, others can. "fatal": none can (a wrong key, an unknown model).
    """

    def __init__(self, kind: FaultKind, message: str, after: float | None = None) -> None:
        super().__init__(told(message))
        self.kind: FaultKind = kind
        self.after = after  # seconds the server asked to wait
        self.status = 0  # of HTTP, where whoever asked needs to know


class Refused(Exception):
    """Raised by the `admit` of a call: no further request may be sent."""


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
    last: float = 0.0  # and last
    tries: int = 0
    epoch: int = 0
    flying: bool = False


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
        self._room = Room(limits.concurrency, limits.backoff, limits.longest)
        self._flying: dict[asyncio.Task[None], _Job] = {}
        self._again: list[tuple[float, int, _Job]] = []
        self._minute = Minute(limits)
        self._probe: _Job | None = None  # finds out whether a request that was mended is taken now
        self._fatal: BaseException | None = None

    async def run(self, sizes: Sequence[int]) -> None:
        """Send everything; `sizes` are the requests' tokens at the most. Raises the first fatal fault, once nothing is in flight."""
        self._woken, self._now = asyncio.Event(), asyncio.get_running_loop().time
        self._well = self._now()  # when an answer came
        fresh = deque(_Job(index, tokens) for index, tokens in enumerate(sizes))
        watch = asyncio.create_task(self._watch(len(sizes)))
        try:
            # The loop only decides and waits; requests run as tasks of their own and wake it when they end (`_land`).
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
            # Reached with requests in flight only when this task itself was cancelled or failed.
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
            now = self._now()
            # From what holds everybody back to what holds one request back: the limit, the cool-down, the requests a minute.
            if self._room.full(len(self._flying)):
                return None
            if (pause := self._pause(now)) > 0:
                return pause
            due = self._again and self._again[0][0] <= now
            if not due and not fresh:
                return self._again[0][0] - now
            # A retry goes before a new request: it has waited longest, and its patience is running out.
            job = self._again[0][2] if due else fresh[0]
            if (pause := self._minute.wait(now, job.tokens)) > 0:
                return pause
            try:
                self.admit(job.index)
            except Refused:
                # What is in flight was counted at its worst; once it is home there may be room again.
                self.stopped = self.refused = not self._flying
                return None
            # Taken out only now: a request that any check above held back keeps its place.
            if due:
                heapq.heappop(self._again)
            else:
                fresh.popleft()
            self._launch(job, now)
        return None

    def _pause(self, now: float) -> float:
        """Seconds in which nobody sends."""
        probing = self._probe.last + _PROBE if self._probe and self._probe.flying else 0.0
        return max(self._room.free, probing) - now

    def _launch(self, job: _Job, now: float) -> None:
        job.first, job.last = job.first or now, now
        job.tries += 1
        # Which limit it is sent under: what comes back says nothing about a limit that was set in the meantime.
        job.epoch, job.flying = self._room.epoch, True
        self._minute.note(now, job.tokens)
        self._room.sent(now)
        task = asyncio.create_task(self._try(job))
        self._flying[task] = job
        task.add_done_callback(self._land)

    def _land(self, task: asyncio.Task[None]) -> None:
        self._flying.pop(task).flying = False
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
            self._room.answered(job.epoch, self._now() - job.last)
            self._probe, self._well = None, self._now()
            self.succeeded = True
            self.done += 1
            self.deliver(job.index, result)

    def _failed(self, job: _Job, fault: Fault) -> None:
        # What ends the call comes first, then what costs no try, then what says something of the server; only what is left
        # counts against this request.
        if fault.kind == "fatal":
            self._fatal = self._fatal or fault
            return
        now = self._now()
        if fault.kind == "elsewhere":
            job.tries -= 1
            self.retries += 1
            heapq.heappush(self._again, (now, job.index, job))
            return
        if fault.kind == "mended":
            self._put_otherwise(job, now)
            return
        if job is self._probe:
            self._probe = None
        if fault.kind != "row":
            after = fault.after or 0.0
            # Nobody waits longer for a server than for an answer: at the end of the patience it is asked once more.
            self._room.refused(job.epoch, now, min(after, max(self._well + self.limits.patience - now, 0.0)))
            if self._is_down(now, after):
                tried = f"given up after {self._room.crowded} tries in {now - self._well:.0f} s"
                self._fatal = self._fatal or Fault("fatal", f"{fault} ({tried})")
            # Not delivered, so it counts as not asked, and the next session asks it.
            if self.stopped or self._fatal:
                return  # it stays owed
            wait = self._backoff(job, fault)
            job.tries -= self._room.crowded > 0  # where everybody is refused it says nothing of this request
            given_up = job.tries >= self.limits.tries or now + wait - job.first > self.limits.patience
            if not given_up:
                self.retries += 1
                heapq.heappush(self._again, (now + wait, job.index, job))
                return
            fault = Fault("row", f"{fault} (given up after {job.tries} tries in {now - job.first:.0f} s)")
            if not self.succeeded:  # nobody has ever had an answer: asking the others would take as long each
                self._fatal = Fault("fatal", str(fault))
                return
        self.done += 1
        self.deliver(job.index, fault)

    def _is_down(self, now: float, after: float) -> bool:
        """Whether everybody was refused so often and so long that one request would have been given up.

        A server that asks for waits of minutes is not asked as often as others before that is clear.
        """
        patience = self.limits.patience if self.succeeded else 0.0
        often = self._room.crowded >= (1 if self.succeeded and after > self.limits.longest else self.limits.tries)
        return often and now - self._well > patience

    def _put_otherwise(self, job: _Job, now: float) -> None:
        """Send it again as it is put now, and no try is counted; the first such goes alone, as more may be refused."""
        job.tries -= 1
        if self._probe is None:
            self._probe = job
        heapq.heappush(self._again, (0.0 if job is self._probe else now, job.index, job))

    def _backoff(self, job: _Job, fault: Fault) -> float:
        """Full jitter [Brooker 2015], after what the server asked for."""
        most = min(self.limits.longest, self.limits.backoff * 2 ** (job.tries - 1))
        return (fault.after or 0.0) + random.uniform(0, most)

    async def _sleep(self, wait: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), wait)
        self._woken.clear()

    async def _watch(self, total: int) -> None:
        """Say how it goes, and after a silence what is waited for."""
        last, since = -1, self._now()
        while True:
            now = self._now()
            if self.done != last:
                last, since = self.done, now
            waiting = ""
            if now - since >= self.limits.silence:
                oldest = max((now - job.first for job in self._flying.values()), default=0.0)
                waiting = (
                    f"nothing came for {now - since:.0f} s: {len(self._flying)} in flight (oldest {oldest:.0f} s), "
                )
                waiting += f"{len(self._again)} to be tried again"
                waiting += f", cooling down {self._room.free - now:.0f} s" if self._room.free > now + 1 else ""
                since = now
            state = State(self.done, total, len(self._flying), self.retries, math.ceil(self._room.limit), waiting)
            self.tell(state)
            await asyncio.sleep(min(1.0, self.limits.silence))
