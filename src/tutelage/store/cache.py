"""The teacher's replies in one SQLite file, keyed by the exact request: a reply that was paid for is never paid twice."""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from tutelage.errors import RunError
from tutelage.types import Reply

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, request BLOB NOT NULL, reply BLOB NOT NULL, saved REAL NOT NULL
) WITHOUT ROWID
"""


def default_path() -> Path:
    """Where replies are kept unless the config says otherwise: TUTELAGE_CACHE, or the user's cache folder."""
    return cache_folder() / "replies.sqlite"


def cache_folder() -> Path:
    """The folder for everything that may be fetched or made again: TUTELAGE_CACHE, else ~/.cache/tutelage."""
    root = os.environ.get("TUTELAGE_CACHE")
    if root:
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "tutelage"


class ReplyCache:
    """A table of replies that several processes may use at once (SQLite in WAL mode)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot use {path} as the file of teacher replies: {error}") from error

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies among these keys."""
        found: dict[str, Reply] = {}
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            rows = self._connection.execute(f"SELECT key, reply FROM replies WHERE key IN ({marks})", part)  # noqa: S608 - marks are "?"
            found.update((key, msgspec.json.decode(reply, type=Reply)) for key, reply in rows)
        return found

    def put_many(self, rows: Iterable[tuple[str, bytes, Reply]]) -> None:
        """Keep `(key, the request as JSON, reply)` rows; a key that is there already stays as it is."""
        now = time.time()
        kept = [(key, request, msgspec.json.encode(reply), now) for key, request, reply in rows]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?)", kept)
        except sqlite3.Error as error:
            raise RunError(f"cannot keep teacher replies in {self.path}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
