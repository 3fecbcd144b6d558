"""Work on the machines of a Ray cluster: the processes are those of `processes:N`, wherever there is room for them."""

import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.errors import ConfigError, Interrupted, RunError, TutelageError
from tutelage.launch.channel import end_all
from tutelage.launch.cluster import Cluster, join_cluster
from tutelage.launch.gang import Died, Gang
from tutelage.launch.hand import Hand, Hear
from tutelage.launch.orders import AnyWord, Failed
from tutelage.launch.processes import check_batches, how_to_shard, in_shares, over_loopback, ranked
from tutelage.launch.rank import RankWord
from tutelage.launch.relay import Spot
from tutelage.launch.relayed import Relayed
from tutelage.launch.spread import Spread, spread
from tutelage.models.context import Context
from tutelage.models.local.devices import held_to
from tutelage.models.opening import open_model
from tutelage.models.specs import Spec
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.types import JsonObject, Model

_COUNT = re.compile(r"(\d+)(?:-(\d+))?")
_MOST = 1024
_FEWER = 30.0  # seconds after which a training that may begin with fewer processes does


class Ray:
    """`ray:N`: N processes on the machines of a Ray cluster, a GPU each where there are GPUs; `ray`: as many as there is room for."""

    def __init__(
        self,
        given: str = "",
        count: str = "",
        address: str = "",
        restarts: int = 3,
        stall: int = 1800,
        wait: int = 600,
        shard: str = "auto",
    ) -> None:
        if given.startswith("//"):
            address = f"ray:{given}"
        elif given:
            count = given
        found = _COUNT.fullmatch(count or f"1-{_MOST}")
        self.least, self.most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= self.least <= self.most <= _MOST:
            raise ConfigError(
                f"launcher ray:{count} must say how many, from 1 to {_MOST}, as in ray:8, ray:2-8 or "
                "ray://head:10001?count=2-8"
            )
        self.address = address
        self.restarts = restarts  # how often in a row a process is started again in vain
        self.stall = stall  # seconds of silence after which a process that answers is taken for dead
        self.wait = wait  # seconds that work waits for room in the cluster
        self.shard = how_to_shard(shard)

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse what cannot be shared and a cluster that is not there, before anything is asked of a teacher."""
        check_batches(self.least, config)
        join_cluster(self.address)

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> JsonObject:
        """Train in as many processes, each with its share of every batch."""
        cluster = join_cluster(self.address)
        wanted = _wanted(cluster, str(job.student.get("device", "auto")))
        crew = _Crew(cluster, wanted, self.least, self.most, float(self.wait), self.shard)
        return Gang(crew, self.restarts).fit(job, callbacks)

    def open(self, spec: Spec, context: Context | None = None) -> Model:
        """Open a model; what of it has weights is in as many processes, each with all of them."""
        return open_model(spec, replace(context or Context(), local=self._fleet))

    def _fleet(self, spec: JsonObject) -> Model:
        cluster = join_cluster(self.address)
        each = int(spec.get("gpus", 1))
        wanted = _wanted(cluster, "cuda" if spec["kind"] == "vllm" else str(spec.get("device", "auto")), each)
        count = max(self.least, min(self.most, _room(cluster, wanted)))
        sharing = max(1, -(-count // max(1, len(cluster.machines()))))
        paths = _paths(spec)

        def start(number: int, log: Path, hear: Hear) -> Hand:
            hand = Relayed(cluster, {**_options(wanted), "scheduling_strategy": "SPREAD"}, log, hear, AnyWord)
            told = {**_threads(cluster, sharing), **_held(wanted), "TUTELAGE_ENGINE": str(number)}
            threading.Thread(target=self._place, args=(cluster, hand, hear, paths, told), daemon=True).start()
            return hand

        return spread(spec, Spread(count, sharing, float(self.stall), self.restarts), start)

    def _place(self, cluster: Cluster, hand: Relayed, hear: Hear, paths: list[str], told: Mapping[str, str]) -> None:
        """Start an engine where there is room for it."""
        try:
            hand.place(paths, self.wait)
            hand.begin("tutelage.launch.answerer", told)
        except TutelageError as error:  # of the user's: no other engine could mend it
            hear(hand, Failed(kind=type(error).__name__, message=str(error)))
        except TimeoutError as error:
            hand.lose(TimeoutError(f"{error}: the cluster has {cluster.room()}"))
        except Exception as error:  # Ray has many
            hand.lose(error)


class _Crew(NamedTuple):
    """The processes of a training: all of them get room at once, or none does."""

    cluster: Cluster
    wanted: Mapping[str, float]
    least: int
    most: int
    wait: float
    shard: str

    @contextmanager
    def start(self, job: TrainingJob, hear: Hear, stopping: Callable[[], bool]) -> Iterator[list[Hand]]:
        ray = self.cluster.ray
        group, size = self._room(stopping)
        proof = Path(job.folder) / "trainer" / f"seen-{secrets.token_hex(4)}"
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.write_text(proof.name, encoding="utf-8")
        ranks: list[Relayed] = []
        try:
            logs = [Path(job.folder) / "trainer" / f"process-{rank}.log" for rank in range(size)]
            places = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy
            ranks += [
                Relayed(self.cluster, {**_options(self.wanted), "scheduling_strategy": places(group, number)}, log, hear, RankWord)
                for number, log in enumerate(logs)
            ]  # fmt: skip
            paths = [str(proof.absolute()), str(Path(job.lessons).absolute()), *_paths(job.student)]
            found = [_placed(one, paths, self.wait) for one in ranks]
            # Processes of one machine meet at a file: a port would be open to others.
            meeting = f"{proof.absolute()}-meeting" if len({spot.node for spot in found}) == 1 else ""
            for one, told in zip(ranks, _environments(self.cluster, found), strict=True):
                more = {**in_shares(self.shard), **_held(self.wanted), "TUTELAGE_MEETING": meeting}
                one.begin("tutelage.launch.rank", {**told, **more})
            yield list(ranks)
        finally:
            end_all(ranks)
            ray.util.remove_placement_group(group)
            for file in (proof, proof.with_name(f"{proof.name}-meeting")):
                file.unlink(missing_ok=True)

    def _room(self, stopping: Callable[[], bool]) -> tuple[Any, int]:
        """Room for as many as there is room for; for fewer than `least` there is none."""
        ray, begun = self.cluster.ray, time.monotonic()
        size = max(self.least, min(self.most, _room(self.cluster, self.wanted)))
        while True:
            group = ray.util.placement_group([dict(self.wanted)] * size, strategy="PACK")
            until = time.monotonic() + (_FEWER if size > self.least else self.wait)
            while time.monotonic() < until and not stopping():
                if group.wait(timeout_seconds=1):
                    return group, size
            ray.util.remove_placement_group(group)
            if stopping():
                raise Interrupted("stopped before there was room in the cluster")
            if size == self.least:
                raise RunError(
                    f"there was no room for {size} processes in {time.monotonic() - begun:.0f} s: the cluster has {self.cluster.room()}. "
                    "What is finished is kept, and the same command goes on"
                )
            size = max(self.least, size - 1)


def _placed(hand: Relayed, paths: list[str], seconds: float) -> Spot:
    try:
        return hand.place(paths, seconds)
    except TutelageError:
        raise
    except Exception as error:  # Ray has many
        raise Died(f"a process ended before it began: {error}") from error


def _wanted(cluster: Cluster, device: str, each: int = 1) -> dict[str, float]:
    """What a process asks Ray for; whether a device is there is known where it runs."""
    if device.startswith("cuda") or (device == "auto" and cluster.has_gpus):
        return {"CPU": 1.0, "GPU": float(each)}
    return {"CPU": 1.0}


def _held(wanted: Mapping[str, float]) -> dict[str, str]:
    """A process that was given a GPU computes on it or not at all."""
    return held_to("cuda" if "GPU" in wanted else "cpu")


def _options(wanted: Mapping[str, float]) -> dict[str, float]:
    return {"num_cpus": wanted["CPU"], "num_gpus": wanted.get("GPU", 0)}


def _room(cluster: Cluster, wanted: Mapping[str, float]) -> int:
    """How many processes there may be: as many as GPUs allow, or a machine each, with all of its cores."""
    if "GPU" in wanted:
        return cluster.fits(wanted)
    return sum(1 for one in cluster.machines() if one["Resources"].get("CPU"))


def _threads(cluster: Cluster, sharing: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(max(1, cluster.cores() // sharing))}


def _paths(spec: JsonObject) -> list[str]:
    """The files and folders that a spec names; its kind is none, and what is cached is each machine's own."""
    named = [
        value for name, value in spec.items() if name not in ("kind", "cache") and isinstance(value, str) and value
    ]
    return [str(Path(value).absolute()) for value in named if os.path.exists(value)]


def _environments(cluster: Cluster, places: list[Spot]) -> list[dict[str, str]]:
    """What torch's and accelerate's own launchers tell a process; ranks are in the order of `places`."""
    first, on = places[0], Counter(place.node for place in places)
    # Processes of a machine see each other's GPUs, over which what they exchange is sent directly.
    gpus = {node: [gpu for place in places if place.node == node for gpu in place.gpus] for node in on}
    so_far: Counter[str] = Counter()
    told = []
    for rank, place in enumerate(places):
        own = ranked((rank, len(places)), (so_far[place.node], on[place.node]))
        so_far[place.node] += 1
        seen = {"CUDA_VISIBLE_DEVICES": ",".join(gpus[place.node])} if place.gpus else {}
        alone = over_loopback() if first.address.startswith("127.") else {}
        meets = {"MASTER_ADDR": first.address, "MASTER_PORT": str(first.port)}
        told.append({**alone, **own, **meets, **seen, **_threads(cluster, on[place.node])})
    return told
