"""The command line as a process of its own, begun from one that has imported everything already.

`python -m tutelage` takes a second or so to import what it needs, and many where a student is trained.
A process is kept here that has imported all of it and has done nothing else; each command is a fork of it, with its own words, folder,
environment and files. What an import reads of the environment is read before, so a command that sets such a variable is begun anew, and
so is every one whose signals a test sends.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# Beginnings of variables that are read when Python starts or a library is imported.
_EARLY = ("PYTHON", "HF_", "OMP_", "MKL_", "OPENAI_LOG", "RAY_", "CUDA", "TORCH", "HUGGING", "LD_", "TERM", "NO_COLOR")
_SLOW = ("torch", "transformers.trainer", "peft", "openai", "accelerate", "safetensors.torch", "reasoning_gym")
_MODULES = ("cli.run", "cli.exam", "cli.grade", "cli.report", "cli.study", "cli.cache", "cli.compare", "cli.export", "cli.probe", "cli.serve", "cli.slurm", "cli.listing", "report.writing", "training.trainer", "models.hf", "models.remote.transport")  # fmt: skip


def tutelage(
    *words: object, cwd: Path | str | None = None, env: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `tutelage WORDS`, with `text` as its input; what it printed and its exit code, as `subprocess.run` tells them."""
    given = [str(word) for word in words]
    environment = dict(os.environ if env is None else env)
    command = [sys.executable, "-m", "tutelage", *given]
    if early(environment) != early(os.environ):
        return subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=environment, input=text, check=False
        )
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder, name)) for name in ("in", "out", "err")}
        Path(files["in"]).write_text(text)
        code = _keeper().ask({"words": given, "cwd": str(cwd or Path.cwd()), "env": environment, "files": files})
        out, err = (Path(files[name]).read_text(encoding="utf-8") for name in ("out", "err"))
    return subprocess.CompletedProcess(command, code, out, err)


def early(environment: Mapping[str, str]) -> dict[str, str]:
    """What an environment says to Python as it starts, and to libraries that are imported."""
    later = ("PYTHONPATH", "PYTHONSAFEPATH")  # which are minded below
    return {name: value for name, value in environment.items() if name.startswith(_EARLY) and name not in later}


class _Keeper:
    """The process that is forked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.door import keep; keep()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def ask(self, request: Mapping[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@cache
def _keeper() -> _Keeper:
    keeper = _Keeper()
    atexit.register(keeper.end)
    return keeper


def keep() -> None:
    """Import everything, then fork for each line of the input and say how it ended."""
    import importlib

    for name in (*_SLOW, *(f"tutelage.{one}" for one in _MODULES)):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _be(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _be(request: dict[str, object]) -> None:
    """Become the command, and end as it does."""
    from tutelage.cli.main import main

    files = request["files"]
    assert isinstance(files, dict)
    for descriptor, name, flags in ((0, "in", os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        opened = os.open(files[name], flags | os.O_CREAT | (os.O_APPEND if descriptor else 0), 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    words = request["words"]
    assert isinstance(words, list)
    sys.argv, code = ["tutelage", *words], 0
    here = [] if "PYTHONSAFEPATH" in os.environ else [str(request["cwd"])]
    sys.path[:1] = [*here, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    try:
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    finally:
        with contextlib.suppress(BaseException):
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
