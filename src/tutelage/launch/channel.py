"""How a process of ours is spoken to: messages in, messages out, and an end that means that nobody is there."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tutelage.launch.hand import Hand
from tutelage.machine import threads

_encode = msgspec.msgpack.Encoder().encode  # JSON has no infinity, which a log-probability may be
_LAST = 2.0  # seconds in which what a process said last is heard
_SIZE = 8  # bytes in which the length of a message stands before it


def _framed(message: Any) -> bytes:
    content = _encode(message)
    return len(content).to_bytes(_SIZE) + content


def _messages(pipe: BinaryIO, kind: Any) -> Iterator[Any]:
    """Every message until the end of a pipe; one that is cut off by it is none. Raises `msgspec.MsgspecError`."""
    decode = msgspec.msgpack.Decoder(kind).decode
    while len(head := pipe.read(_SIZE)) == _SIZE:
        content = pipe.read(int.from_bytes(head))
        if len(content) < int.from_bytes(head):
            return
        yield decode(content)


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
        self._hear, self._kind = hear, kind
        self._told: queue.SimpleQueue[bytes] = queue.SimpleQueue()
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
        does = (self._listen, self._speak, self._await)
        self._listener, *others = (threading.Thread(target=one, daemon=True) for one in does)
        for thread in (self._listener, *others):
            thread.start()

    def tell(self, message: Any) -> None:
        """Say something, without waiting until it is heard: one that hangs, or is gone by now, does not hear it."""
        self._told.put(_framed(message))

    def kill(self) -> None:
        """End it at once, with all that it has started itself."""
        _end_session(self.process.pid)
        self.process.wait()

    def said(self, lines: int = 1) -> str:
        """The last lines that it, or a library in it, printed."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    where = ""
    is_waiting = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it."""
        return (self.process.returncode or 0) < 0

    @property
    def how_it_ended(self) -> str:
        """Its exit code, or the signal that ended it."""
        code = self.process.returncode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _speak(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while told := self._told.get():
                self.process.stdin.write(told)
                self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            for message in _messages(self.process.stdout, self._kind):  # type: ignore[arg-type]
                self._hear(self, message)
        except msgspec.MsgspecError:  # what says things that nobody understands is not to be trusted
            self.kill()

    def _await(self) -> None:
        """Tell of its end when it has ended, and not when its pipe has: what it has started may hold that."""
        self.process.wait()
        _end_session(self.process.pid)
        self._told.put(b"")  # nothing more is said to it
        self._listener.join(_LAST)
        self._hear(self, None)


def _end_session(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


Heard = tuple[Any, Any]  # a child and what it said, or None


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
        # Who has started it decides when it ends, and says so here; a machine that shuts down tells both.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._lock = threading.Lock()

    def tell(self, message: Any) -> None:
        """Say something; where nobody hears it any more, whoever reads the lines finds that out."""
        with self._lock, contextlib.suppress(OSError):
            self._out.write(_framed(message))
            self._out.flush()

    def messages(self, kind: Any = dict) -> Iterator[Any]:
        """What it says, until it is gone."""
        return _messages(self._in, kind)

    @staticmethod
    def leave() -> None:
        """End at once, with all that this process has started: nobody is there to do it."""
        _end_session(0)
        os._exit(1)


def threads_each(processes: int) -> dict[str, str]:
    """How many of the machine's cores each of so many processes computes on, as their environment says it."""
    return {"OMP_NUM_THREADS": str(max(1, threads() // processes))}


def end_all(hands: Sequence[Hand]) -> None:
    """End what still runs."""
    for one in hands:
        one.kill()
