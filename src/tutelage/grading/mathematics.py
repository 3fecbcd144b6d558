"""Answers of mathematics ("math"): read from boxes and dollars, compared by a process that can be killed."""

import atexit
import contextlib
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from functools import lru_cache

from tutelage.grading import expressions
from tutelage.grading.formulas import FORMULAS
from tutelage.grading.markers import pick
from tutelage.types import Question

PATIENCE = 1.9  # seconds for one answer, however many parts it has
_GRACE = 0.3  # of them, for a process that has given up to say so
_LATE = '"late"'  # what it says then
_STARTING = 60.0  # seconds for the process to be ready

# Powers and factorials that would fill the memory before they could be compared.
_TOWER = re.compile(r"\^\s*\{?\s*\d{6,}|!\s*!|\d{7,}\s*!|\^\s*\{?\s*[\w\\]+\s*\^\s*\{?\s*[\w\\]+\s*\^")


def read_math(text: str, question: Question) -> str | None:
    """The final expression, as LaTeX: in a box, or between dollars or on the line behind a marker."""
    return pick(text, FORMULAS)


def same_math(answer: str, question: Question) -> bool | None:
    """The same value, set, interval, matrix or line; None when that could not be decided in time."""
    return _same(answer, question.answer)


class _OutOfTime(Exception):
    """An answer has had its time."""


@lru_cache(maxsize=4096)  # samples of one question repeat each other, and a gold is audited before it is used
def _same(answer: str, gold: str) -> bool | None:
    until = 0.0

    def prove(what: str, a: str, b: str) -> bool | None:
        nonlocal until
        if _TOWER.search(a) or _TOWER.search(b):
            return None
        _PROVER.be_ready()  # starting it is not the answer's time
        until = until or time.monotonic() + PATIENCE
        return _PROVER(what, a, b, until - time.monotonic())

    try:
        return expressions.equal(answer, gold, prove)
    except (_OutOfTime, RecursionError):
        return None


class _Process:
    """The prover's process: started when it is first needed, killed when it takes too long, and started again."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()  # one question at a time, whoever asks

    def be_ready(self) -> None:
        """Start the process, unless it runs."""
        with self._lock, contextlib.suppress(OSError):
            if not self._running or self._running.poll() is not None:
                self._start()

    def __call__(self, what: str, a: str, b: str, seconds: float) -> bool | None:
        """Ask; None where it is not decided, `_OutOfTime` where no answer came in time."""
        with self._lock:
            if seconds <= _GRACE or self._running is None:
                raise _OutOfTime
            process = self._running
            assert process.stdin is not None
            try:
                # It gives up by itself a little before it is killed, unless it is within a function that is written in C.
                process.stdin.write(json.dumps([what, a, b, seconds - _GRACE]) + "\n")
                process.stdin.flush()
            except OSError:
                self._stop()
                return None
            line = self._line(process, seconds)
            if line is None or line.strip() == _LATE:
                raise _OutOfTime
            return _verdict(line)

    def _start(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._running = subprocess.Popen(
            [sys.executable, "-m", "tutelage.grading.prover"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the exam, which may still have answers to grade
        )
        if self._line(self._running, _STARTING) is None:
            raise OSError("the prover did not start")
        return self._running

    def _line(self, process: "subprocess.Popen[str]", seconds: float) -> str | None:
        """The next line, or None and the process killed."""
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if line:
            return line
        self._stop()
        return None

    def stop(self) -> None:
        """Kill the process, if it runs."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        process, self._running = self._running, None
        if process:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _verdict(line: str) -> bool | None:
    return {"true": True, "false": False}.get(line.strip())


_PROVER = _Process()
atexit.register(_PROVER.stop)
