"""Work on several processes of this machine: a training is shared by all, questions are answered by whichever is free."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import setting
from tutelage.errors import ConfigError, nearest
from tutelage.launch.channel import Child, end_all, threads_each
from tutelage.launch.gang import Gang, check_batch
from tutelage.launch.hand import Hand, Hear
from tutelage.launch.orders import AnyWord
from tutelage.launch.rank import RankWord
from tutelage.launch.spread import Spread, spread
from tutelage.models.context import Context
from tutelage.models.local.devices import choose_device, device_count, held_to
from tutelage.models.opening import open_model
from tutelage.models.specs import Spec
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.types import JsonObject, Model

_MOST = 1024


class Processes:
    """`processes:N`: N processes, a GPU each where there are GPUs, else a share of the cores."""

    def __init__(self, count: str, restarts: int = 3, stall: int = 1800, shard: str = "auto") -> None:
        if not count.isdecimal() or not 1 <= int(count) <= _MOST:
            raise ConfigError(f"launcher processes:{count} must say how many, from 1 to {_MOST}, as in processes:8")
        self.count = int(count)
        self.restarts = restarts  # how often in a row a process is started again in vain
        self.stall = stall  # seconds of silence after which a process that answers is taken for dead
        self.shard = how_to_shard(shard)

    @property
    def least(self) -> int:
        """The fewest processes that a training has."""
        return self.count

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse what cannot be shared, before anything is asked of a teacher."""
        check_batches(self.count, config)

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        """Train in as many processes, each with its share of every batch."""
        wanted = str(job.student.get("device", "auto"))
        check_devices(self.count, wanted)
        return Gang(_Crew(self.count, self.shard, choose_device(wanted)), self.restarts).fit(job, callbacks)

    def open(self, spec: Spec, context: Context | None = None) -> Model:
        """Open a model; what of it has weights is in as many processes, each with all of them."""
        return open_model(spec, replace(context or Context(), local=self._fleet))

    def _fleet(self, spec: JsonObject) -> Model:
        devices = devices_each(self.count, spec)

        def start(number: int, log: Path, hear: Hear) -> Hand:
            told = {**threads_each(self.count), **devices(number), "TUTELAGE_ENGINE": str(number)}
            return Child("tutelage.launch.answerer", log, hear, AnyWord, told)

        return spread(spec, Spread(self.count, self.count, float(self.stall), self.restarts), start)


class _Crew(NamedTuple):
    least: int
    shard: str
    device: str

    @contextmanager
    def start(self, job: TrainingJob, hear: Hear, stopping: Callable[[], bool]) -> Iterator[list[Hand]]:
        meeting = Path(tempfile.mkdtemp(prefix="tutelage-"))
        ranks: list[Hand] = []
        try:
            for rank in range(self.least):
                log = Path(job.folder) / "trainer" / f"process-{rank}.log"
                told = {**_environment(rank, self.least), **in_shares(self.shard), **held_to(self.device)}
                told["TUTELAGE_MEETING"] = str(meeting / "meeting")
                ranks.append(Child("tutelage.launch.rank", log, hear, RankWord, told))
            yield ranks
        finally:
            end_all(ranks)
            shutil.rmtree(meeting, ignore_errors=True)


def _environment(rank: int, size: int) -> dict[str, str]:
    """What torch's and accelerate's own launchers tell a process; what they exchange does not leave the machine."""
    return {**over_loopback(), **ranked((rank, size), (rank, size)), **threads_each(size), "MASTER_ADDR": "127.0.0.1"}


def ranked(among_all: tuple[int, int], on_machine: tuple[int, int]) -> dict[str, str]:
    """Which of how many a process is, of all and of those on its machine."""
    numbers = dict(zip(("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), among_all + on_machine, strict=True))
    return {name: str(number) for name, number in numbers.items()}


def over_loopback() -> dict[str, str]:
    """What has processes of one machine meet on it alone, unless the user says otherwise."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    return {name: os.environ.get(name, loopback) for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")}


def how_to_shard(given: str) -> str:
    """Whether each process of a training holds a share of the student: "auto", "always" or "never"."""
    if given not in (known := ("auto", "always", "never")):
        raise ConfigError(f"launcher option shard={given!r} must be auto, always or never; {nearest(given, known)}")
    return given


def in_shares(how: str) -> dict[str, str]:
    """What tells a process whether the student is cut; on a CPU glibc shall give back at once what a layer no longer needs."""
    returns = {"MALLOC_MMAP_THRESHOLD_": os.environ.get("MALLOC_MMAP_THRESHOLD_", "500000")}
    return {"TUTELAGE_SHARD": how, **(returns if how == "always" else {})}


def check_batches(least: int, config: Mapping[str, Any]) -> None:
    """Refuse trainings whose batches cannot be shared."""
    for name in ("training", "later"):
        batch = setting(config, f"{name}.batch")
        if isinstance(batch, int):
            check_batch(least, batch)


def devices_each(count: int, spec: Mapping[str, Any]) -> Callable[[int], dict[str, str]]:
    """Which GPUs each of so many engines sees, as its environment says it; none is named where none is used."""
    each = int(spec.get("gpus", 1))
    wanted = "cuda" if spec["kind"] == "vllm" else str(spec.get("device", "auto"))
    check_devices(count, wanted, each)
    if (device := choose_device(wanted)) != "cuda":
        return lambda number: held_to(device)
    there = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]

    def mine(number: int) -> dict[str, str]:
        own = range(number * each, (number + 1) * each)
        return held_to(device) | {"CUDA_VISIBLE_DEVICES": ",".join(there[one] if there else str(one) for one in own)}

    return mine


def check_devices(count: int, wanted: str, each: int = 1) -> None:
    """Refuse more processes than there are GPUs, where GPUs are used."""
    device = choose_device(wanted)
    if device == "cpu":
        return
    there = device_count(device)
    if count * each > there:
        raise ConfigError(
            f"--on processes:{count} takes {each} of the machine's GPUs a process, and it has {there}: take "
            f"processes:{max(1, there // each)}, or device: cpu in the model's spec"
        )
