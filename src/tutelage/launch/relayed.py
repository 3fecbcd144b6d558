"""A process on some machine of a Ray cluster, in the hand of whoever speaks with it from here."""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tutelage.errors import ConfigError
from tutelage.launch.cluster import Cluster
from tutelage.launch.relay import End, Relay, Spot, look_of, version_here
from tutelage.redaction import is_secret_name

_END = 2.0  # seconds in which a process is ended by its relay, before Ray ends both
# What of this environment other machines are told; keys are theirs to have.
_TOLD = ("GLOO_", "HF_", "NCCL_", "PYTHONHASHSEED", "PYTHONPATH", "PYTORCH_", "TOKENIZERS_", "TORCH_", "TRANSFORMERS_", "TUTELAGE_", "VLLM_")  # fmt: skip
_encode = msgspec.msgpack.Encoder().encode
_AT_ONCE = 8  # calls of a relay that do not wait for each other


class Relayed:
    """A process that a relay has started somewhere, or will when there is room; `kind` is what it says."""

    def __init__(
        self, cluster: Cluster, options: Mapping[str, Any], log: Path, hear: Callable[[Any, Any], None], kind: Any
    ) -> None:
        self.log = log
        self.is_waiting, self.is_over, self.was_killed = True, False, False
        self.how_it_ended = ""
        self.where = ""
        self._ray, self._hear = cluster.ray, hear
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._early: list[bytes] | None = []  # what it is told before it is there
        self._sent = 0
        self._lock = threading.Lock()
        self._said = ""
        # What becomes of it is decided here, and not by Ray.
        never = {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": _AT_ONCE}
        self._relay = cluster.ray.remote(**never, **options)(Relay).remote()

    def place(self, paths: Sequence[str], seconds: float) -> Spot:
        """Where it is, once it is anywhere. Raises `TimeoutError` and whatever Ray raises."""
        try:
            told = self._ray.get(self._relay.place.remote(list(paths)), timeout=seconds)
        except self._ray.exceptions.GetTimeoutError as error:
            raise TimeoutError(f"there was no room for it in {seconds:.0f} s") from error
        place = msgspec.msgpack.decode(told, type=Spot)
        self.where, self.is_waiting = place.name, False
        if place.version != version_here():
            raise ConfigError(
                f"machine {place.name} has {place.version}, and this one {version_here()}: install the same"
            )
        for path, seen in place.seen.items():
            if seen != look_of(Path(path)):
                what = "something else there" if seen else "nothing there"
                raise ConfigError(
                    f"machine {place.name} of the cluster finds {what} under {path}: runs and models must lie in folders that every "
                    "machine sees under the same name"
                )
        return place

    def begin(self, module: str, environment: Mapping[str, str]) -> None:
        """Start the process, and listen to it."""
        threading.Thread(target=self._live, args=(module, environment), daemon=True).start()

    def _live(self, module: str, environment: Mapping[str, str]) -> None:
        try:
            self._ray.get(self._relay.start.remote(module, os.getcwd(), {**_told(), **environment}))
            with self._lock:
                for message in self._early or []:
                    self._send(message)
                self._early = None
            while True:
                words, end = self._ray.get(self._relay.words.remote())
                for word in words:
                    self._hear(self, self._decode(word))
                if end:
                    self._ended(msgspec.msgpack.decode(end, type=End))
                    return
        except Exception as error:  # Ray has many, and what nobody understands is not to be trusted
            self.kill()  # where only the connection is gone, it may be there yet
            self._ended(End(_why(error), True, ""))

    def tell(self, message: Any) -> None:
        """Say something, without waiting until it is heard."""
        with self._lock:
            if self._early is None:
                self._send(_encode(message))
            else:
                self._early.append(_encode(message))

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(Exception):  # it is gone, which is heard where its words are
            self._relay.tell.remote(self._sent, message)
            self._sent += 1

    def kill(self) -> None:
        """End it, with all that it has started, wherever it is."""
        with contextlib.suppress(Exception):
            if not (self.is_waiting or self.is_over):
                self._ray.get(self._relay.end.remote(), timeout=_END)
        with contextlib.suppress(Exception):
            self._ray.kill(self._relay)

    def said(self, lines: int = 1) -> str:
        """The last lines that it printed, which are known when it has ended."""
        return "\n".join(self._said.strip().splitlines()[-lines:])

    def lose(self, error: Exception) -> None:
        """It has ended before it began."""
        self._ended(End(_why(error), True, ""))

    def _ended(self, end: End) -> None:
        self.how_it_ended, self.was_killed, self._said = end.how, end.was_killed, end.said
        # A training that is done has taken its folder away.
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"{end.said}\n")
        self.is_over = True
        self._hear(self, None)


def _told() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_TOLD) and not is_secret_name(name)}


def _why(error: Exception) -> str:
    """What a reader needs of an error of Ray's, which says much of an actor that ended."""
    said, kind = " ".join(str(error).split()), type(error).__name__
    if "ModuleNotFoundError" in said:
        return said[said.rindex("ModuleNotFoundError") :]
    if kind == "ActorUnavailableError" or "node has died" in said or "node was terminated" in said:
        return "the connection to its machine"
    if kind == "ActorDiedError":
        return f"what Ray had started for it: {said[-300:]}"
    return said[:500] or kind
