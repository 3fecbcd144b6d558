"""Training on several processes of this machine at once: all of them or none, begun again where one falls over."""

import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage import errors
from tutelage.config import build
from tutelage.errors import ConfigError, Interrupted, LessonError, RunError, TutelageError
from tutelage.launch.channel import Child, Heard, end_all, threads_each, within
from tutelage.launch.rank import RankWord
from tutelage.training import checkpoints
from tutelage.training.halving import OutOfMemory, halve_until_it_fits
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject

_GRACE = 2.0  # seconds in which the others notice that one is gone, so that the one that fell first is named


class _Died(Exception):
    """One of the processes ended without an outcome."""


class Gang(NamedTuple):
    """So many processes that train one student, each with its share of every batch."""

    size: int
    restarts: int  # how often in a row they begin again without having come any further

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        """Train; the student is that of one process but for rounding, and after a death that of processes that lived."""
        config = build(TrainingConfig, job.settings, "the training")
        check_batch(self.size, config.batch)

        died: list[str] = []

        def attempt(less: TrainingConfig) -> JsonObject:
            given = msgspec.structs.replace(job, settings=less.model_dump(mode="json"))
            return self._until_done(given, callbacks, died)

        facts = halve_until_it_fits(attempt, config, self.size)
        return facts | ({"deaths": len(died)} if died else {})

    def _until_done(self, job: TrainingJob, callbacks: Callbacks, died: list[str]) -> JsonObject:
        folder, in_vain = Path(job.folder) / "trainer", 0
        while True:
            before = checkpoints.last_whole(folder)
            try:
                return self._once(job, callbacks)
            except _Died as death:
                died.append(str(death))
                if callbacks.stopping():
                    raise Interrupted(f"stopped; the training goes on at its last checkpoint ({death})") from None
                in_vain = 1 if checkpoints.last_whole(folder) != before else in_vain + 1
                if in_vain > self.restarts:
                    raise RunError(
                        f"the training on {self.size} processes ended {in_vain} times before it was done: {death}. What is finished is "
                        "kept, and the same command goes on"
                    ) from None

    def _once(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        heard: queue.Queue[Heard] = queue.Queue()
        with self._started(job, heard) as ranks:
            outcomes: dict[int, RankWord] = {}
            told = False
            while len(outcomes) < self.size:
                for child, said in within(heard, 0.2):
                    rank = ranks.index(child)
                    if said is None and rank not in outcomes:
                        raise _Died(_first_fallen(ranks))
                    if said is None:
                        continue
                    if said.tick:
                        callbacks.progress(said.tick)
                        continue
                    outcomes[rank] = said
                    _raise_for(said, rank, self.size, child.log)
                if callbacks.stopping() and not told:
                    told = True
                    for child in ranks:
                        child.tell({"stop": True})
            if outcomes[0].stopped:
                raise Interrupted(outcomes[0].stopped)
            return outcomes[0].facts

    @contextmanager
    def _started(self, job: TrainingJob, heard: "queue.Queue[Heard]") -> Iterator[list[Child]]:
        meeting = Path(tempfile.mkdtemp(prefix="tutelage-"))
        ranks: list[Child] = []
        try:
            for rank in range(self.size):
                log = Path(job.folder) / "trainer" / f"process-{rank}.log"
                told = _environment(rank, self.size, meeting / "meeting")
                child = Child("tutelage.launch.rank", log, lambda one, said: heard.put((one, said)), RankWord, told)
                ranks.append(child)
                child.tell(job)
            yield ranks
        finally:
            end_all(ranks)
            shutil.rmtree(meeting, ignore_errors=True)


def check_batch(size: int, batch: int) -> None:
    """Refuse a batch with fewer lessons than there are processes."""
    if batch < size:
        raise ConfigError(
            f"training.batch={batch} lessons a step cannot be shared by {size} processes: take a larger batch or --on processes:{batch}"
        )


def _environment(rank: int, size: int, meeting: Path) -> dict[str, str]:
    """What torch's and accelerate's own launchers tell a process; what they exchange does not leave the machine."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    own = {name: os.environ.get(name, loopback) for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")}
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    told = {name: str(number) for name, number in numbers.items()}
    return {**own, **told, **threads_each(size), "TUTELAGE_MEETING": str(meeting), "MASTER_ADDR": "127.0.0.1"}


def _first_fallen(ranks: list[Child]) -> str:
    """Which process fell, and how; one that a signal ended before those that lost it."""
    until = time.monotonic() + _GRACE
    while time.monotonic() < until and any(one.process.poll() is None for one in ranks):
        time.sleep(0.05)
    ended = [(rank, one) for rank, one in enumerate(ranks) if one.process.poll() is not None]
    rank, one = next((pair for pair in ended if (pair[1].process.returncode or 0) < 0), ended[0])
    last = f": {one.said()}" if one.said() and (one.process.returncode or 0) > 0 else ""
    return f"process {rank} of {len(ranks)} ended with {one.how_it_ended}{last} (see {one.log})"


def _raise_for(said: RankWord, rank: int, size: int, log: Path) -> None:
    if said.memory:
        raise OutOfMemory(said.memory)
    if said.error:
        kind: Any = getattr(errors, said.kind, TutelageError)
        raise kind(said.error)
    if said.fault:
        raise LessonError(f"the training fell over in process {rank} of {size}: {said.fault} (see {log})")
