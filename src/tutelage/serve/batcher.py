"""Where requests wait: one worker owns the model and hands it those that can be answered together."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from tutelage.errors import ModelError
from tutelage.models.local.streaming import Local, Piece, stream
from tutelage.types import Chat, Model, Reply, Sampling

Event = tuple[int, Piece] | Exception  # a sample's next piece, or why there is no answer

_ROWS = 32  # answers written at once; more gain nothing on a CPU, and a stream would get slow
_LINGER = 0.02  # seconds: clients that were answered together ask again together


class Full(Exception):
    """Too many requests wait."""


class Closed(Exception):
    """The batcher takes, or answers, nothing more."""


class TooLong(Exception):
    """A prompt that passes, with the new tokens that are wanted, what the model can hold."""


class Unfit(Exception):
    """Messages that the model has no form for."""


@dataclass(eq=False)
class PendingRequest:
    """One request that waits, or is being answered. `tell` is called from the worker, until every sample has had its reply or once an error."""

    chat: Chat
    sampling: Sampling
    tell: Callable[[Event], None]
    flexible: bool = False  # max_tokens may shrink to what the model can hold
    left: bool = False  # the client has gone

    def __post_init__(self) -> None:
        self.owed = self.sampling.n

    def say(self, sample: int, piece: Piece) -> None:
        """Tell a piece."""
        self.owed -= isinstance(piece, Reply)
        if not self.left:
            self.tell((sample, piece))

    def fail(self, error: Exception) -> None:
        """Tell why there is no answer, unless there is one already."""
        if self.owed and not self.left:
            self.owed = 0
            self.tell(error)


class Batcher:
    """A queue of at most `most` requests before one model; all of it is safe to call from any thread."""

    def __init__(self, model: Model, most: int = 64) -> None:
        self.model = model
        self.most = most
        self._waiting: list[PendingRequest] = []
        self._changed = threading.Condition()
        self._closing = self._stopping = False
        self._worker = threading.Thread(target=self._work, name="model", daemon=True)

    @property
    def waiting(self) -> int:
        """How many requests wait, and are not in hand."""
        with self._changed:
            return sum(not job.left for job in self._waiting)

    def open(self) -> None:
        """Begin to answer."""
        self._worker.start()

    def hand_in(self, job: PendingRequest) -> None:
        """Queue a request; raises Full or Closed."""
        with self._changed:
            if self._closing or self._stopping:
                raise Closed
            self._waiting = [one for one in self._waiting if not one.left]
            if len(self._waiting) >= self.most:
                raise Full
            self._waiting.append(job)
            self._changed.notify()

    def stop(self) -> None:
        """Leave what is in hand unfinished; may be called by a signal."""
        self._stopping = True

    def close(self, patience: float | None = None) -> None:
        """Take nothing more, answer what is here, and wait for that."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._worker.join(patience)

    def _work(self) -> None:
        while jobs := self._take():
            fitting = [job for job in jobs if self._fits(job)]
            while fitting:  # a request that was shortened may be like the others no more
                alike = [job for job in fitting if _kind(job) == _kind(fitting[0])]
                fitting = [job for job in fitting if job not in alike]
                self._answer(alike)

    def _take(self) -> list[PendingRequest]:
        """The request that has waited longest and those that can share its batch; none when the batcher is closed."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._closing, _LINGER)
                self._waiting = [job for job in self._waiting if not job.left]
                if self._stopping:
                    for job in self._waiting:
                        job.fail(Closed())
                    return []
                if self._waiting or self._closing:
                    break
            taken = _fill([job for job in self._waiting if _kind(job) == _kind(self._waiting[0])])
            self._waiting = [job for job in self._waiting if job not in taken]
        return taken

    def _fits(self, job: PendingRequest) -> bool:
        """Whether the model can hold a request, which is shortened if it may be; if not, it is told."""
        if not isinstance(self.model, Local):
            return True
        try:
            room = self.model.context_left(job.chat)
        except ModelError as error:
            job.fail(Unfit(str(error)))
            return False
        except Exception as error:
            self._log(error)
            job.fail(error)
            return False
        wanted = 1 if job.flexible else job.sampling.max_tokens
        if room < wanted:
            job.fail(TooLong(f"the prompt leaves room for {max(room, 0)} new tokens of the {wanted} that are wanted"))
            return False
        job.sampling = replace(job.sampling, max_tokens=min(job.sampling.max_tokens, room))
        return True

    def _answer(self, jobs: Sequence[PendingRequest]) -> None:
        sampling, seeds = _kind(jobs[0]), [job.sampling.seed for job in jobs]
        coming = stream(self.model, [job.chat for job in jobs], sampling, seeds)
        try:
            for index, sample, piece in coming:
                jobs[index].say(sample, piece)
                if self._stopping or not any(job.owed and not job.left for job in jobs):
                    break
        except Exception as error:
            self._log(error)
            for job in jobs:
                job.fail(error)
        finally:
            coming.close()
        for job in jobs:
            job.fail(Closed())  # those that were left unfinished

    def _log(self, error: Exception) -> None:
        logging.getLogger("tutelage.serve").error("the model failed", exc_info=error)


def _kind(job: PendingRequest) -> Sampling:
    """What requests of one batch have in common: everything but the seed, which each has of its own."""
    return replace(job.sampling, seed=0)


def _fill(jobs: Sequence[PendingRequest]) -> list[PendingRequest]:
    """As many as a batch takes, and at least one."""
    rows = 0
    taken: list[PendingRequest] = []
    for job in jobs:
        rows += job.sampling.n
        if taken and rows > _ROWS:
            break
        taken.append(job)
    return taken
