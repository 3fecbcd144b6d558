"""What a run keeps about where and how it was made."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path

from tutelage.machine import machine
from tutelage.redaction import arguments
from tutelage.types import JsonObject


def environment_facts() -> JsonObject:
    """What run.json keeps about where a run was made."""
    packages = ("tutelage", "torch", "transformers", "peft", "accelerate", "openai", "numpy")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([*_program(), *arguments(sys.argv[1:])]),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        # What the rounding of a student's numbers depends on; the device, the precision and the batches stand in each step.
        "machine": machine(),
        "versions": versions,
        "grader": grader(),
        **_repository(),
    }


def _program() -> list[str]:
    """How this program was called: by its name, or as a module."""
    name = Path(sys.argv[0]).name
    return ["python", "-m", "tutelage"] if name == "__main__.py" else [name]


def grader() -> str:
    """The version of whatever reads and compares answers: a digest of the folder that does."""
    folder = Path(str(resources.files("tutelage.grading")))
    sources = [source.read_bytes() for source in sorted(folder.glob("*.py"))]
    return "reader " + hashlib.sha256(b"".join(sources)).hexdigest()[:10]


def _repository() -> JsonObject:
    """The commit of the repository one stands in and whether tracked files differ from it, with a digest of how.

    How they differ is written down only where TUTELAGE_RECORD_DIFF=1 asks for it: it may hold anything, keys included.
    """
    commit = _git("rev-parse", "HEAD").strip()
    if not commit:
        return {"commit": ""}
    diff = _git("diff", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD")
    found = {"commit": commit, "dirty": bool(diff)}
    if diff:
        found["diff_digest"] = hashlib.sha256(diff.encode("utf-8", "replace")).hexdigest()[:16]
        if os.environ.get("TUTELAGE_RECORD_DIFF") == "1":
            found["diff"] = diff
    return found


def _git(*words: str) -> str:
    """What git says of the current folder, running no program that the repository names; empty outside a repository."""
    named = _run_git("config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$").split()
    filters = [part for name in named for part in ("-c", f"{name}=")]
    required = {f"{name.rpartition('.')[0]}.required" for name in named}
    return _run_git(*filters, *(part for name in sorted(required) for part in ("-c", f"{name}=false")), *words)


def _run_git(*words: str) -> str:
    safe = [
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "diff.external=",
        "--no-optional-locks",
    ]
    try:
        done = subprocess.run(["git", *safe, *words], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
