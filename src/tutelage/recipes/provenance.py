"""What a run keeps about where and how it was made."""

import hashlib
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from tutelage.models.machine import machine


def facts() -> dict[str, Any]:
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
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        # What the rounding of a student's numbers depends on; the device, the precision and the batches stand in each step.
        "machine": {**machine(), "transformers": versions["transformers"]},
        "versions": versions,
        "grader": grader(),
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD"),
    }


def grader() -> str:
    """The version of whatever reads and compares answers: a digest of its source files."""
    folder = Path(str(resources.files("tutelage.tasks")))
    sources = [(folder / f"{name}.py").read_bytes() for name in _READS]
    return "reader " + hashlib.sha256(b"".join(sources)).hexdigest()[:10]


_READS = (
    "answers", "base", "choices", "claims", "expressions", "formulas", "markers", "multiples", "notation", "numerals", "prover",
    "quantities", "symbolic", "units",
)  # fmt: skip


def _git(*words: str) -> str:
    """What git says of the current folder; empty outside a repository."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
