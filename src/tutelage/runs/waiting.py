"""Replies that could not be put into their file at once, kept beside it until they can."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tutelage.runs.files import beside

Row = tuple[str, bytes, bytes, float, bytes]  # key, request, reply, saved, what the server sent


class Waiting:
    """Rows as JSON lines in a file of this process, which others take over when the process has ended."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._name = ""
        self._opened: IO[bytes] | None = None
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Keep a row, on disk when this returns. Raises OSError where that cannot be."""
        key, request, reply, saved, raw = row
        fields = [key, request.decode(), reply.decode(), saved, base64.b64encode(raw).decode()]
        if self._opened is None:
            self._name = f"waiting-{os.getpid()}-{secrets.token_hex(6)}"
            self._opened = beside(self._database, self._name)
        self._opened.write(json.dumps(fields).encode() + b"\n")
        os.fsync(self._opened.fileno())
        self.rows.append(row)

    def clear(self) -> None:
        """The rows are where they belong."""
        self.rows.clear()
        if self._opened:
            self._database.with_name(f"{self._database.name}.{self._name}").unlink(missing_ok=True)
            self._opened.close()
            self._opened = None

    def close(self) -> None:
        """Leave the rows that are still waiting to whoever opens the replies next."""
        if self._opened:
            self._opened.close()


@contextlib.contextmanager
def left_behind(database: Path) -> Iterator[tuple[list[Row], int]]:
    """What ended processes have left waiting, and how many torn lines; the files are gone when the block ends well."""
    rows, torn = list[Row](), 0
    with contextlib.ExitStack() as stack:
        found = []
        for file in _files(database):
            lock = stack.enter_context(file.open("rb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its process is at work
            found.append(file)
            for line in lock.read().splitlines():
                try:
                    rows.append(_row(json.loads(line)))
                except (ValueError, TypeError):
                    torn += 1
        yield rows, torn
        for file in found:
            file.unlink(missing_ok=True)


def _row(fields: Any) -> Row:
    key, request, reply, saved, raw = fields
    return str(key), request.encode(), reply.encode(), float(saved), base64.b64decode(raw)


def _files(database: Path) -> list[Path]:
    return sorted(file for file in database.parent.glob(f"{database.name}.waiting-*") if file.is_file())
