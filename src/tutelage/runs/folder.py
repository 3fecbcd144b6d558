"""A run's folder before it is a run: whether it can be one, and who is working in it."""

import fcntl
import os
from pathlib import Path
from typing import IO

from tutelage.errors import RunError
from tutelage.regular import opened

# What a run that was killed while it began may have left.
_FIRST = {".lock", "run.json", "run.json.part", "config.yaml.part"}


def make_folder(path: Path) -> None:
    """Make the folder, or find it; one that holds anything but a run is refused."""
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; a run needs a folder")
    if path.exists() and not (path / "config.yaml").exists() and {p.name for p in path.iterdir()} - _FIRST:
        raise RunError(f"{path} is not a run (it is not empty and holds no config.yaml); choose another --into")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {path} cannot be made: {error.strerror}; choose another --into") from None


def begun(path: Path) -> bool:
    """Whether any step of a run is done, or a draft of one holds anything."""
    steps = [entry for entry in path.iterdir() if entry.is_dir()]
    return any(
        step.suffix != ".draft" or any(file.name != "step.json" and file.stat().st_size for file in step.iterdir())
        for step in steps
    )


def hold(path: Path) -> IO[str]:
    """Keep other processes out for as long as the file that is returned stays open."""
    try:
        lock = opened(path / ".lock", "a")
    except OSError as error:
        raise RunError(f"{path / '.lock'} cannot be used: {error.strerror}; remove it") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RunError(f"another process is working in {path}; wait for it or stop it") from None
    return lock


def is_held(path: Path) -> bool:
    """Whether a process is working in a run's directory."""
    if not os.path.lexists(path / ".lock"):
        return False
    with opened(path / ".lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
