"""What stands on a machine of a cluster between whoever gives orders and a process of ours, which is the one of `processes:N`."""

import hashlib
import os
import platform
import queue
import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tutelage import __version__
from tutelage.launch.channel import Child

_LOOKS, _LOOK = 64, 1 << 16  # parts of a file that are read to know it again, and bytes of each
_LINES = 500  # of what a process printed that are told at its end
_PATIENCE = 20.0  # seconds after which it is said that nothing was said, which shows that the relay lives


class Spot(Struct, frozen=True):
    """A machine as a process of ours on it finds it."""

    node: str  # Ray's name for it
    name: str
    address: str
    port: int  # one that was free a moment ago
    gpus: list[str]  # that Ray has given to this process
    version: str  # of Python and of this package
    seen: dict[str, str]  # of each path that was asked for what it looks like there


class End(Struct, frozen=True):
    """How a process ended."""

    how: str
    was_killed: bool
    said: str  # the end of its log


class Relay:
    """An actor of Ray, which starts a process of ours on its machine, hands on what is said, and ends with it.

    What it is given and returns are bytes and texts, so that nobody unpickles what a model has said.
    """

    def __init__(self) -> None:
        self._words: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._folder = Path(tempfile.mkdtemp(prefix="tutelage-relay-"))
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._early: dict[int, bytes] = {}
        self._heard = 0

    def place(self, paths: Sequence[str]) -> bytes:
        """Where it is, and what the paths are there, as an encoded `Spot`."""
        import ray

        here = ray.get_runtime_context()
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        place = Spot(
            here.get_node_id(),
            socket.gethostname(),
            str(ray.util.get_node_ip_address()),  # type: ignore[no-untyped-call]
            port,
            [str(one) for one in here.get_accelerator_ids().get("GPU", [])],
            version_here(),
            {path: look_of(Path(path)) for path in paths},
        )
        return msgspec.msgpack.encode(place)

    def start(self, module: str, folder: str, environment: Mapping[str, str]) -> None:
        """Start a process in a folder, where this machine has it."""
        if os.path.isdir(folder):
            os.chdir(folder)
        self._child = Child(module, self._folder / "log", self._hear, msgspec.Raw, environment)

    def tell(self, number: int, message: bytes) -> None:
        """Hand on what it is told, in the order of the numbers from 0 on, in whichever order they come."""
        with self._lock:
            self._early[number] = message
            while self._child and (following := self._early.pop(self._heard, None)) is not None:
                self._heard += 1
                self._child.tell(msgspec.Raw(following))

    def words(self) -> tuple[list[bytes], bytes]:
        """What it has said since the last time, once it has said something; and an encoded `End` when it has ended."""
        found: list[bytes] = []
        try:
            while (word := self._words.get(timeout=0 if found else _PATIENCE)) is not None:
                found.append(word)
        except queue.Empty:
            return found, b""
        return found, msgspec.msgpack.encode(self._how_it_ended())

    def end(self) -> None:
        """End the process."""
        if self._child:
            self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hear(self, child: Child, said: msgspec.Raw | None) -> None:
        self._words.put(None if said is None else bytes(said))

    def _how_it_ended(self) -> End:
        assert self._child
        return End(self._child.how_it_ended, self._child.was_killed, self._child.said(_LINES))


def version_here() -> str:
    """What must be the same wherever a run's processes are."""
    return f"Python {'.'.join(platform.python_version_tuple()[:2])} with tutelage {__version__}"


def look_of(path: Path) -> str:
    """What a file or folder looks like: a digest of its files' names, sizes and parts; nothing where there is none.

    Parts from all over a file are read, and not all of it: two trainings of one student differ in nearly every part of it.
    """
    if not path.exists():
        return ""
    digest = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in (one for one in files if one.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path)}\0{size}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as content:
            for look in range(_LOOKS if size > _LOOKS * _LOOK else 1):
                content.seek(look * size // _LOOKS)
                digest.update(content.read(_LOOK if size > _LOOKS * _LOOK else size))
    return digest.hexdigest()
