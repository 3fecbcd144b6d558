"""The teacher's replies in one SQLite file, keyed by the exact request: a reply that was paid for is never paid twice."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage.config import cache_folder
from tutelage.errors import RunError
from tutelage.types import Reply

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, request BLOB NOT NULL, reply BLOB NOT NULL, saved REAL NOT NULL, raw BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID
"""

_ADAPTATIONS = """
CREATE TABLE IF NOT EXISTS adaptations (
    model TEXT NOT NULL, field TEXT NOT NULL, known_as TEXT NOT NULL, PRIMARY KEY (model, field)
)
"""


def default_path() -> Path:
    """Where replies are kept unless the config says otherwise: TUTELAGE_CACHE, or the user's cache folder."""
    return cache_folder() / "replies.sqlite"


class Kept(NamedTuple):
    """One stored reply."""

    key: str
    request: dict[str, Any]  # model, messages, sampling, sample
    reply: Reply
    saved: float  # seconds since 1970
    raw: bytes  # what the server sent


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
            self._connection.execute("CREATE TABLE IF NOT EXISTS batches (key TEXT PRIMARY KEY, batch TEXT NOT NULL)")
            self._connection.execute(_ADAPTATIONS)
            if "raw" not in {row[1] for row in self._connection.execute("PRAGMA table_info(replies)")}:
                self._connection.execute("ALTER TABLE replies ADD COLUMN raw BLOB NOT NULL DEFAULT x''")
        except (sqlite3.Error, OSError) as error:
            raise RunError(f"cannot use {path} as the file of teacher replies: {error}") from error

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies among these keys."""
        rows = self._among("SELECT key, reply FROM replies", keys)
        return {key: msgspec.json.decode(reply, type=Reply) for key, reply in rows}

    def _among(self, select: str, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """The rows of these keys, some hundreds at a time since a statement takes only so many."""
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            yield from self._connection.execute(f"{select} WHERE key IN ({','.join('?' * len(part))})", part)

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes = b"") -> None:
        """Keep a reply with the request as JSON and the server's own bytes; a key that is there already stays as it is."""
        row = (key, request, msgspec.json.encode(reply), time.time(), raw)
        try:
            with self._connection:
                self._connection.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise RunError(f"cannot keep teacher replies in {self.path}: {error}") from error

    def pending(self, keys: Sequence[str]) -> dict[str, str]:
        """Key -> batch, for those among `keys` that are in a batch which was not collected yet."""
        return dict(self._among("SELECT key, batch FROM batches", keys))

    def submitted(self, batch: str, keys: Sequence[str]) -> None:
        """Keep that these requests are in a batch."""
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO batches VALUES (?, ?)", [(key, batch) for key in keys])

    def collected(self, batch: str) -> None:
        """Forget a batch that is over."""
        with self._connection:
            self._connection.execute("DELETE FROM batches WHERE batch = ?", (batch,))

    def adapted(self, model: str) -> dict[str, str]:
        """What a model was found not to take: field -> its name there, or "" for none."""
        return dict(self._connection.execute("SELECT field, known_as FROM adaptations WHERE model = ?", (model,)))

    def adapt(self, model: str, field: str, known_as: str) -> None:
        """Keep that a model knows a field by another name, or not at all."""
        with self._connection:
            self._connection.execute("INSERT OR IGNORE INTO adaptations VALUES (?, ?, ?)", (model, field, known_as))

    def rows(self) -> Iterator[Kept]:
        """Every reply, oldest first, without reading them all into memory."""
        found = self._connection.execute("SELECT key, request, reply, saved, raw FROM replies ORDER BY saved, key")
        for key, request, reply, saved, raw in found:
            asked = msgspec.json.decode(request)
            yield Kept(key, asked, msgspec.json.decode(reply, type=Reply), saved, raw)

    def prune(self, model: str = "", before: float | None = None) -> int:
        """Forget replies of models whose identity contains `model` and that were saved before a time; returns how many."""
        with self._connection:
            gone = self._connection.execute(
                "DELETE FROM replies WHERE instr(json_extract(CAST(request AS TEXT), '$.model'), ?) > 0 AND saved < ?",
                (model, float("inf") if before is None else before),
            ).rowcount
            if before is None:  # a model whose replies are all forgotten is found out anew
                self._connection.execute("DELETE FROM adaptations WHERE instr(model, ?) > 0", (model,))
        self._connection.execute("VACUUM")
        return gone

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
