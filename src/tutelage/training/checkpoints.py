"""The checkpoints of a training: one counts once all processes have written their part of it."""

import contextlib
import os
import re
import shutil
from pathlib import Path

from tutelage.training.group import Group

_WHOLE = ".complete"  # written last, by the first process, when all have come so far


def last_whole(folder: Path) -> Path | None:
    """The last checkpoint that was written to its end, whatever one with a higher number was cut off in."""
    found = [one for one in folder.glob("checkpoint-*") if (one / _WHOLE).exists()]
    return max(found, key=_step, default=None)


def begin(folder: Path, group: Group) -> Path | None:
    """The checkpoint to go on from, if any; one that was cut off is removed, since what is written there next may be other files."""
    if group.is_first:
        for one in folder.glob("checkpoint-*"):
            if not (one / _WHOLE).exists():
                shutil.rmtree(one, ignore_errors=True)
    group.wait()
    return last_whole(folder)


def finish(folder: Path, step: int, group: Group) -> None:
    """Mark the checkpoint of a step as whole, and let go of the others: before that, what is there is all there is."""
    group.wait()
    if group.is_first:
        own = folder / f"checkpoint-{step}"
        for file in own.rglob("*"):
            _sync(file)  # a machine that is lost must not leave the mark alone
        (own / _WHOLE).touch()
        _sync(own)
        for other in folder.glob("checkpoint-*"):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have the disk hold it, where the system knows how to."""
    with contextlib.suppress(OSError):
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _step(checkpoint: Path) -> int:
    found = re.search(r"\d+$", checkpoint.name)
    return int(found.group()) if found else -1
