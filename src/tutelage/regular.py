"""Opening files that anybody may have put there: only regular ones are, since a pipe or a device may never end."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def opened(path: Path, mode: str = "rb") -> IO[Any]:
    """Open a regular file; whatever else stands there is an OSError that says what, without waiting for it."""
    return open(path, mode, opener=_opener)  # Path.open takes no opener


def read_regular(path: Path) -> bytes:
    """Everything in a regular file; whatever else stands there is an OSError that says what."""
    with opened(path) as file:
        found: bytes = file.read()
    return found


def kind(mode: int) -> str:
    """What a file's mode says it is, where it is no regular file; else empty."""
    return "" if stat.S_ISREG(mode) else next((word for is_one, word in _KINDS if is_one(mode)), "no regular file")


def _opener(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads from the pipe
            raise _none(path, "a named pipe") from None
        raise
    if problem := kind(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _none(path, problem)
    return descriptor


def _none(path: str, what: str) -> OSError:
    number = errno.EISDIR if what == "a folder" else errno.ENXIO
    return OSError(number, f"it is {what}, where a file belongs", str(path))
