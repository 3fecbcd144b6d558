"""How a process of ours is spoken to: lines of JSON in, lines of JSON out, and a silence that means that nobody is there."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

_encode = msgspec.json.Encoder().encode


class Child:
    """A process that this one has started and speaks with; it ends when this one does, however that goes.

    Everything that it says, and `None` when it has ended, is handed to `hear` by a thread. What libraries in it print goes
    into the file `log`.
    """

    def __init__(
        self,
        module: str,
        log: Path,
        hear: Callable[["Child", Any], None],
        kind: Any = dict,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._hear, self._decode = hear, msgspec.json.Decoder(kind).decode
        self._lock = threading.Lock()
        with log.open("ab") as said:  # a file: a pipe that nobody reads would hold the process up once it is full
            # In a session of its own: Ctrl-C reaches this process, which decides what becomes of the others.
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, message: Any) -> None:
        """Say something; one that is gone by now does not hear it."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            assert self.process.stdin is not None
            self.process.stdin.write(_encode(message) + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def said(self, lines: int = 1) -> str:
        """The last lines that it, or a library in it, printed."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    @property
    def how_it_ended(self) -> str:
        """Its exit code, or the signal that ended it."""
        code = self.process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(msgspec.DecodeError):  # cut off by its end
                self._hear(self, self._decode(line))
        self.process.wait()
        self._hear(self, None)


Heard = tuple[Child, Any]


def within(heard: "queue.Queue[Heard]", seconds: float) -> Iterator[Heard]:
    """What has been said by now; waits so long for the first of it."""
    with contextlib.suppress(queue.Empty):
        yield heard.get(timeout=seconds)
        while True:
            yield heard.get_nowait()


class Parent:
    """The process that has started this one."""

    def __init__(self) -> None:
        # What libraries print must not come between the lines.
        self._out: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._in: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._lock = threading.Lock()

    def tell(self, message: Any) -> None:
        """Say something; where nobody hears it any more, whoever reads the lines finds that out."""
        with self._lock, contextlib.suppress(OSError):
            self._out.write(_encode(message) + b"\n")
            self._out.flush()

    def lines(self, kind: Any = dict) -> Iterator[Any]:
        """What it says, until it is gone."""
        decode = msgspec.json.Decoder(kind).decode
        for line in self._in:
            yield decode(line)


def threads_each(processes: int) -> dict[str, str]:
    """How many of the machine's cores each of so many processes computes on, as their environment says it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given):
        cores = int(given)
    return {"OMP_NUM_THREADS": str(max(1, cores // processes))}


def end_all(children: Sequence[Child]) -> None:
    """End what still runs."""
    for one in children:
        one.kill()
