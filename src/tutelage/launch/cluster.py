"""The Ray cluster that work goes to: one that somebody runs, or one of our own, which only this machine reaches and which ends with us."""

import atexit
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from tutelage.errors import ConfigError

_KNOCK = 10.0  # seconds in which an address must answer
_WAITS = (2.0, 10.0)  # seconds before it is asked again
_STORE = 128 * 2**20  # bytes that our own cluster keeps for what is sent; ours are small
_OURS = "of its own"
_lock = threading.Lock()
_joined: list[str] = []  # the cluster that this process is in, if it joined one


class Cluster(NamedTuple):
    """A cluster that this process has joined, and what it has."""

    ray: Any

    def machines(self) -> list[dict[str, Any]]:
        """The machines that are there now, as Ray tells of them."""
        return [one for one in self.ray.nodes() if one["Alive"]]

    def fits(self, wanted: Mapping[str, float]) -> int:
        """How many processes that want so much would fit if nothing else ran."""
        there = [one["Resources"] for one in self.machines()]
        return sum(int(min(has.get(kind, 0) // much for kind, much in wanted.items())) for has in there)

    @property
    def has_gpus(self) -> bool:
        """Whether any machine that is there now has a GPU."""
        return any(one["Resources"].get("GPU") for one in self.machines())

    def cores(self) -> int:
        """Those of the machine with the fewest, of the machines that have some."""
        return min((int(one["Resources"]["CPU"]) for one in self.machines() if one["Resources"].get("CPU")), default=1)

    def room(self) -> str:
        """What it has and what of it is free, for a reader."""
        has, free = self.ray.cluster_resources(), self.ray.available_resources()
        return ", ".join(f"{has.get(kind, 0):g} {kind}s, {free.get(kind, 0):g} of them free" for kind in ("CPU", "GPU"))


def join_cluster(address: str = "") -> Cluster:
    """Join a cluster at an address, or else the one that RAY_ADDRESS names, or else begin one on this machine.

    A process is in one cluster; one that its own program has joined is taken as it is.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError("--on ray needs Ray, which is not installed: pip install 'tutelage[ray]'") from error
    address = address or os.environ.get("RAY_ADDRESS", "")
    with _lock:
        if not ray.is_initialized():
            _hush(ray)
            _joined[:] = [address or _OURS]
            with _handlers_kept():
                _meet(ray, address) if address and address != "local" else _begin(ray)
        elif address and _joined and _joined != [address]:
            raise ConfigError(f"this process is in the Ray cluster {_joined[0]} already, and is sent to {address}")
    return Cluster(ray)


def _meet(ray: Any, address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and not port.isdecimal():
        raise ConfigError(f"Ray's address {address!r} must end with a port, as in ray://head:10001 or head:6379")
    try:
        if host:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()
        _join(ray, address)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        # Ray's client hands on what its server met: a heading, and a traceback whose last line is the reason.
        said = f"{lines[0]} {lines[-1].strip()}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
        raise ConfigError(
            f"no Ray cluster could be joined at {address}: {said}. Start one with `ray start --head`, or take --on ray for one of "
            "this machine's own"
        ) from error


def _join(ray: Any, address: str) -> None:
    """Join it; a cluster that answers and is still beginning is given time."""
    for wait in (*_WAITS, None):
        try:
            ray.init(address=address, log_to_driver=False, configure_logging=False)
            return
        except ConnectionAbortedError:  # the client's server answers before the cluster can begin a process for it
            if wait is None:
                raise
            time.sleep(wait)


def _begin(ray: Any) -> None:
    """Begin a cluster that listens on loopback, asks for a token, tells nobody of its use, and leaves nothing behind."""
    folder = tempfile.mkdtemp(prefix="tutelage-ray-")
    told = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as Ray has it on those systems: one machine, loopback alone
        "RAY_worker_niceness": "0",
        # It asks for a token by itself; this one is written nowhere.
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
    }
    os.environ.update(told)
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False  # it has read the environment when it was imported
    atexit.register(_end, ray, folder)
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=_STORE,
            _temp_dir=folder,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        _joined.clear()
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError(f"Ray could not begin a cluster on this machine: {said}") from error


def _hush(ray: Any) -> None:
    """Keep what Ray's machines say of themselves out of our output, which is for what we have to say: deaths are told by us."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray._private.worker.print_to_stdstream = lambda *said, **how: None


def _end(ray: Any, folder: str) -> None:
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Leave it to the command line what a signal does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
