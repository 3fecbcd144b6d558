"""Which process asks for which reply, so that several that need the same ones pay for each once."""

import contextlib
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tutelage.runs.files import beside

SCHEMA = "CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID"
_PART = 500  # keys a statement takes


class Claims:
    """Claims of this process in the file of replies.

    A claim holds as long as its process lives. Each process that has claims holds a lock on a small file of its own
    beside the replies; the system lets go of it when the process ends, whatever ends it, so no claim has to run out.
    """

    def __init__(self, connection: sqlite3.Connection, database: Path) -> None:
        self._connection = connection
        self._database = database
        self._owner = ""
        self._lock: IO[bytes] | None = None

    def take(self, keys: Sequence[str]) -> set[str]:
        """Claim what no other living process has claimed; returns what is this process's to ask for."""
        self._live()
        if self._held(keys).issuperset(keys):
            return set()  # seen without writing, which is what whoever waits does most of the time
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            held = self._held(keys)
            mine = [key for key in keys if key not in held]
            rows = [(key, self._owner) for key in mine]
            self._connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?)", rows)
        return set(mine)

    def _held(self, keys: Sequence[str]) -> set[str]:
        """What other processes have claimed and live."""
        owners = dict(among(self._connection, "SELECT key, owner FROM claims", keys))
        living = {owner for owner in set(owners.values()) - {self._owner} if self._is_living(owner)}
        return {key for key, owner in owners.items() if owner in living}

    def release(self, keys: Iterable[str]) -> None:
        """Let others ask for these."""
        with self._connection:
            self._connection.executemany(
                "DELETE FROM claims WHERE key = ? AND owner = ?", [(key, self._owner) for key in keys]
            )

    def close(self) -> None:
        """Hold nothing any more."""
        if self._lock:
            with contextlib.suppress(sqlite3.Error), self._connection:
                self._connection.execute("DELETE FROM claims WHERE owner = ?", (self._owner,))
            self._file(self._owner).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _live(self) -> None:
        """Hold the lock that says so. A process that was forked has claims of its own."""
        if self._lock and self._owner.startswith(f"{os.getpid()}-"):
            return
        self._owner = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._lock = beside(self._database, f"asking-{self._owner}")

    def _is_living(self, owner: str) -> bool:
        file = self._file(owner)
        try:
            with file.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                with contextlib.suppress(OSError):  # another user's, in a folder that is not ours
                    file.unlink()
                return False
        except (FileNotFoundError, PermissionError):
            return False
        except BlockingIOError:
            return True

    def _file(self, owner: str) -> Path:
        return self._database.with_name(f"{self._database.name}.asking-{owner}")


def among(connection: sqlite3.Connection, select: str, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The rows of these keys, some hundreds at a time since a statement takes only so many."""
    for start in range(0, len(keys), _PART):
        part = keys[start : start + _PART]
        yield from connection.execute(f"{select} WHERE key IN ({','.join('?' * len(part))})", part)
