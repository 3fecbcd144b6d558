"""Processes of ours for tests, forked from one that has imported everything, since that takes each of them many seconds.

What is forked is a child of the test's own process and leads a session, as one is that is begun anew. What an import reads
of the environment is read before: a process whose environment says otherwise is begun anew, as they all are outside of tests.
"""

import array
import atexit
import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import psutil
from tests.door import early

_ROOT = Path(__file__).parents[2]
_SUBREAPER = 36  # of prctl: what loses its parent becomes a child of this process
_MODULES = ("tutelage.launch.rank", "tutelage.launch.answerer", "tutelage.training.trainer", "tutelage.models.local.hf", "peft", "safetensors.torch")  # fmt: skip
PIPE = subprocess.PIPE
environments: dict[int, Mapping[str, str]] = {}  # of those that were forked, by process


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """What a child of the test's own process was told; raises `psutil.Error` where it is gone."""
    if process.status() == psutil.STATUS_ZOMBIE:
        return {}
    return environments.get(process.pid) or process.environ()


def Popen(command: Sequence[str], *, env: Mapping[str, str], stderr: Any, **more: Any) -> Any:
    """`subprocess.Popen` for a module of ours."""
    if command[:2] != [sys.executable, "-m"] or _early(env) != _early({**os.environ, "OMP_NUM_THREADS": "1"}):
        return subprocess.Popen(command, env=dict(env), stderr=stderr, **more)
    return Forked(command[2], env, stderr.fileno())


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return early({"OMP_NUM_THREADS": "1", **environment})


class Forked:
    """What a test's own process knows of a forked one, as of one that `subprocess` began."""

    def __init__(self, module: str, env: Mapping[str, str], errors: int) -> None:
        hears, self_writes = os.pipe()
        self_reads, says = os.pipe()
        request = {"module": module, "env": dict(env), "cwd": str(Path.cwd())}
        self.pid = _keeper().ask(request, [hears, says, errors])
        os.close(hears)
        os.close(says)
        self.stdin: BinaryIO = os.fdopen(self_writes, "wb")
        self.stdout: BinaryIO = os.fdopen(self_reads, "rb")
        self.returncode: int | None = None
        self._lock = threading.Lock()
        environments[self.pid] = request["env"]  # type: ignore[assignment]

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code


class _Keeper:
    """The process that is forked."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        self._socket, other = socket.socketpair()
        self._lock = threading.Lock()
        told = {**os.environ, "OMP_NUM_THREADS": "1"}
        code = f"from tests.launch.forking import keep; keep({other.fileno()})"
        self._process = subprocess.Popen([sys.executable, "-c", code], cwd=_ROOT, env=told, pass_fds=[other.fileno()])
        other.close()

    def ask(self, request: Mapping[str, Any], files: Sequence[int]) -> int:
        content = json.dumps(request).encode()
        with self._lock:
            head = len(content).to_bytes(8)
            self._socket.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
            self._socket.sendall(content)
            return int.from_bytes(_read(self._socket, 8))

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def _keeper() -> _Keeper:
    keeper = _Keeper()
    atexit.register(keeper.end)
    return keeper


def _read(one: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size and (more := one.recv(size - len(content))):
        content += more
    return content


def keep(number: int) -> None:
    """Import everything, then fork for each request."""
    import importlib

    for name in _MODULES:
        importlib.import_module(name)
    asks = socket.socket(fileno=number)
    while True:
        head, ancillary, _, _ = asks.recvmsg(8, socket.CMSG_SPACE(12))
        if not head:
            return
        files = list(array.array("i", ancillary[0][2]))
        request = json.loads(_read(asks, int.from_bytes(head)))
        reads, writes = os.pipe()
        middle = os.fork()
        if not middle:  # which ends at once, so that the test's own process becomes the parent of what it forks
            child = os.fork()
            if not child:
                os.close(reads)
                os.close(writes)
                asks.close()
                _be(request, files)
            os.write(writes, child.to_bytes(8))
            os._exit(0)
        os.waitpid(middle, 0)
        asks.sendall(os.read(reads, 8))
        for one in (reads, writes, *files):
            os.close(one)


def _be(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Become the module, and end as it does."""
    code = 1
    try:
        os.setsid()
        for place, one in enumerate(files):
            os.dup2(one, place)
        for one in files:
            if one > 2:
                os.close(one)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path.insert(0, request["cwd"])
        sys.argv = [request["module"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
