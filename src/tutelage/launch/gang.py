"""Training on several processes at once: all of them or none, begun again where one falls over."""

import queue
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from tutelage import errors
from tutelage.config import build
from tutelage.errors import ConfigError, Interrupted, LessonError, RunError, TutelageError
from tutelage.launch.channel import Heard, within
from tutelage.launch.hand import Hand, Hear
from tutelage.launch.rank import RankWord
from tutelage.training import checkpoints
from tutelage.training.halving import OutOfMemory, halve_until_it_fits
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject

_GRACE = 2.0  # seconds in which the others notice that one is gone, so that the one that fell first is named


class Died(Exception):
    """One of the processes ended without an outcome."""


class Crew(Protocol):
    """Starts the processes of a training."""

    @property
    def least(self) -> int:
        """How many there are, or the fewest with which it begins."""

    def start(
        self, job: TrainingJob, hear: Hear, stopping: Callable[[], bool]
    ) -> AbstractContextManager[Sequence[Hand]]:
        """All of them in the order of their ranks, ended when nobody needs them any more."""


class Gang(NamedTuple):
    """Processes that train one student, each with its share of every batch."""

    crew: Crew
    restarts: int  # how often in a row they begin again without having come any further

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        """Train; the student is that of one process but for rounding, and after a death that of processes that lived."""
        config = build(TrainingConfig, job.settings, "the training")
        check_batch(self.crew.least, config.batch)
        died: list[str] = []

        def attempt(less: TrainingConfig) -> JsonObject:
            given = msgspec.structs.replace(job, settings=less.model_dump(mode="json"))
            return self._until_done(given, callbacks, died)

        facts = halve_until_it_fits(attempt, config, self.crew.least)
        return facts | ({"deaths": len(died)} if died else {})

    def _until_done(self, job: TrainingJob, callbacks: Callbacks, died: list[str]) -> JsonObject:
        folder, in_vain = Path(job.folder) / "trainer", 0
        while True:
            before = checkpoints.last_whole(folder)
            try:
                return self._once(job, callbacks)
            except Died as death:
                died.append(str(death))
                if callbacks.stopping():
                    raise Interrupted(f"stopped; the training goes on at its last checkpoint ({death})") from None
                in_vain = 1 if checkpoints.last_whole(folder) != before else in_vain + 1
                if in_vain > self.restarts:
                    raise RunError(
                        f"the training ended {in_vain} times before it was done: {death}. What is finished is kept, and the same command "
                        "goes on"
                    ) from None

    def _once(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        heard: queue.Queue[Heard] = queue.Queue()
        with self.crew.start(job, lambda one, said: heard.put((one, said)), callbacks.stopping) as ranks:
            for one in ranks:
                one.tell(job)
            outcomes: dict[int, RankWord] = {}
            told = False
            while len(outcomes) < len(ranks):
                for hand, said in within(heard, 0.2):
                    rank = ranks.index(hand)
                    if said is None and rank not in outcomes:
                        raise Died(_first_fallen(ranks))
                    if said is None:
                        continue
                    if said.tick:
                        callbacks.progress(said.tick)
                        continue
                    outcomes[rank] = said
                    _raise_for(said, rank, len(ranks), hand.log)
                if callbacks.stopping() and not told:
                    told = True
                    for one in ranks:
                        one.tell({"stop": True})
            if outcomes[0].stopped:
                raise Interrupted(outcomes[0].stopped)
            machines = sorted({one.where for one in ranks} - {""})
            return outcomes[0].facts | ({"machines": machines} if machines else {})


def check_batch(size: int, batch: int) -> None:
    """Refuse a batch with fewer lessons than there are processes."""
    if batch < size:
        raise ConfigError(
            f"training.batch={batch} lessons a step cannot be shared by {size} processes: take a larger batch, or at most {batch} processes"
        )


def _first_fallen(ranks: Sequence[Hand]) -> str:
    """Which process fell, and how; one that something ended from outside before those that lost it."""
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and not all(one.is_over for one in ranks):
        time.sleep(0.05)
    ended = [(rank, one) for rank, one in enumerate(ranks) if one.is_over]
    rank, one = next((pair for pair in ended if pair[1].was_killed), ended[0])
    last = "" if one.was_killed or not one.said() else f": {one.said()}"
    where = f" on {one.where}" if one.where else ""
    return f"process {rank} of {len(ranks)}{where} ended with {one.how_it_ended}{last} (see {one.log})"


def _raise_for(said: RankWord, rank: int, size: int, log: Path) -> None:
    if said.memory:
        raise OutOfMemory(said.memory)
    if said.error:
        kind: Any = getattr(errors, said.kind, TutelageError)
        raise kind(said.error)
    if said.fault:
        raise LessonError(f"the training fell over in process {rank} of {size}: {said.fault} (see {log})")
