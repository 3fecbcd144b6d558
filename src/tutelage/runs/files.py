"""Small files written whole or not at all, and files that two places share."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from tutelage.redaction import strike
from tutelage.regular import opened


def write_file(path: Path, content: bytes, sync: bool = True, shared: bool = False) -> None:
    """Write a small file whole or not at all, and no secret in it. A `shared` one may be written by several processes at once."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part" if shared else f"{path.name}.part")
    with opened(draft, "wb") as file:
        file.write(strike(content))
        if sync:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)


def link(file: str | Path, place: str | Path) -> None:
    """Put a finished file at a second place: as a hard link, or as a copy where the file system has none."""
    Path(place).unlink(missing_ok=True)
    try:
        Path(place).hardlink_to(file)
    except OSError:
        shutil.copyfile(file, place)


def beside(database: Path, name: str) -> IO[bytes]:
    """A new file beside a database, for whoever may use the database, held by a lock as long as this process lives."""
    while True:
        path = database.with_name(f"{database.name}.{name}")
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        os.fchmod(opened, database.stat().st_mode & 0o660)
        file = os.fdopen(opened, "ab", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(opened).st_nlink:
            return file
        file.close()  # before it was locked somebody took it for one that was left behind, and removed it
