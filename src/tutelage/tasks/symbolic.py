"""Answers of mathematics ("math"): read from boxes and dollars, compared by a process that can be killed."""

import atexit
import contextlib
import json
import os
import re
import select
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise

from tutelage.tasks import expressions, numerals
from tutelage.tasks.markers import pick
from tutelage.types import Question

PATIENCE = 2.0  # seconds for one comparison
_STARTING = 60.0  # seconds for the process to be ready

_MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_JOINED = re.compile(r"\s*(?:,|;|and|or|,\s*and)\s*")
# Powers and factorials that would fill the memory before they could be compared.
_TOWER = re.compile(r"\^\s*\{?\s*\d{6,}|!\s*!|\d{7,}\s*!|\^\s*\{?\s*[\w\\]+\s*\^\s*\{?\s*[\w\\]+\s*\^")


def read_math(text: str, question: Question) -> str | None:
    """The final expression, as LaTeX: in a box, or between dollars or on the line behind a marker."""
    return pick(text, _first, _last)


def _first(part: str) -> str | None:
    found = list(_MATH.finditer(part))
    if found:
        run = [found[0]]  # "$2$, $3$ and $5$" is one answer
        for before, after in pairwise(found):
            if not _JOINED.fullmatch(part, before.end(), after.start()):
                break
            run.append(after)
        return expressions.normal(", ".join(next(filter(None, one.groups())) for one in run)) or None
    line = next((line for line in part.splitlines() if line.strip(" *:")), "").strip(" *:")
    line = re.split(r"\.\s|\s(?:because|since|where|which)\b", line)[0]
    shown = expressions.normal(line)
    # A sentence is no answer; a word ("even"), or anything with a digit or a command, may be one.
    plain = len(shown.split()) > 3 and not re.search(r"[\d\\=]", shown)
    return None if not shown or plain else shown


def _last(text: str) -> str | None:
    found = _MATH.findall(text)
    if found:
        return expressions.normal(next(filter(None, found[-1]))) or None
    number = numerals.last_number(text)
    return number if isinstance(number, str) else None


def same_math(answer: str, question: Question) -> bool | None:
    """The same value, set, interval, matrix or line; None when that could not be decided in time."""
    return _same(answer, question.answer)


@lru_cache(maxsize=4096)  # samples of one question repeat each other, and a gold is audited before it is used
def _same(answer: str, gold: str) -> bool | None:
    return expressions.equal(answer, gold, _PROVER)


class _Process:
    """The prover's process: started when it is first needed, killed when it takes too long, and started again."""

    def __init__(self) -> None:
        self._running: subprocess.Popen[str] | None = None

    def __call__(self, what: str, a: str, b: str) -> bool | None:
        """Ask; None where no answer came in time."""
        if _TOWER.search(a) or _TOWER.search(b):
            return None
        try:
            process = self._running if self._running and self._running.poll() is None else self._start()
            assert process.stdin is not None
            process.stdin.write(json.dumps([what, a, b]) + "\n")
            process.stdin.flush()
            line = self._line(process, PATIENCE)
            return None if line is None else _verdict(line)
        except OSError:
            self.stop()
            return None

    def _start(self) -> "subprocess.Popen[str]":
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._running = subprocess.Popen(
            [sys.executable, "-m", "tutelage.tasks.prover"],
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
        self.stop()
        return None

    def stop(self) -> None:
        """Kill the process, if it runs."""
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
