"""A file that is its owner's alone: it is looked at first, and what is not ours is left as it is."""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from urllib.parse import quote

from tutelage.errors import RunError
from tutelage.regular import kind

_PAGE = 512  # bytes of the smallest database; SQLite takes less for one that is still empty, and writes over it
_COLUMNS = {"key", "request", "reply", "saved"}


def make_private(path: Path) -> None:
    """Make the file of replies for its owner alone, or mend one of ours that anyone may read.

    Whatever else stands at its place is refused, and keeps its content, its mode and the mode of its folder.
    """
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    if what := kind(mode):
        raise _refused(path, f"it is {what}")
    size = path.stat().st_size
    if problem := ("file is not a database" if size < _PAGE else _no_replies(path)) if size else "":
        raise _refused(path, problem)
    _close_to_others(path, stat.S_IMODE(mode))


def _refused(path: Path, why: str) -> RunError:
    return RunError(
        f"cannot use {path} as the file of teacher replies: {why}; name another (`cache: FILE`, --file FILE)"
    )


def _no_replies(path: Path) -> str:
    """Why a regular file is no file of replies; empty where it is one, or a database that still holds nothing.

    Only SQLite may open it: whoever else closes it takes away the locks that this process has on it.
    """
    try:
        # As it is on disk nothing is made beside it; what another process has only written into its log is not seen so.
        columns, others = _schema(path, "immutable=1")
        log = path.with_name(f"{path.name}-wal")
        if not columns and log.is_file() and log.stat().st_size:
            columns, others = _schema(path, "mode=ro")
    except sqlite3.Error as error:
        return str(error)
    if columns and not columns >= _COLUMNS:
        return f"its table of replies has the columns {', '.join(sorted(columns))}"
    return "" if columns or not others else f"it is a SQLite file of something else (with a table {others[0]!r})"


def _schema(path: Path, how: str) -> tuple[set[str], list[str]]:
    """The columns of its table of replies, and the names of all tables."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as connection:
        columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(replies)")}
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        return columns, [str(name) for (name,) in names]


def _close_to_others(path: Path, mode: int) -> None:
    shared = mode & 0o020  # what the group may write was shared on purpose
    wanted = mode & (0o770 if shared else 0o700)
    if mode == wanted:
        return
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with contextlib.suppress(OSError):  # another user's
            if stat.S_ISREG(file.stat().st_mode):
                file.chmod(wanted)
