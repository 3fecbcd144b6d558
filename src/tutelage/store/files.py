"""Small files written whole or not at all, and files that two places share."""

import os
import shutil
from pathlib import Path


def write(path: Path, content: bytes, sync: bool = True) -> None:
    """Write a small file whole or not at all."""
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(content)
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
