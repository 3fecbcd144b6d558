"""The teacher's replies in one SQLite file, keyed by the exact request: a reply that was paid for is never paid twice."""

import contextlib
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tutelage.config import cache_folder
from tutelage.errors import RunError
from tutelage.redaction import strike
from tutelage.runs import claims
from tutelage.runs.private import make_private
from tutelage.runs.waiting import Row, Waiting, left_behind
from tutelage.types import JsonObject, Reply

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

_PATIENCE = 10.0  # seconds for another process to let go of the file


def default_path() -> Path:
    """Where replies are kept unless the config says otherwise: TUTELAGE_CACHE, or the user's cache folder."""
    return cache_folder() / "replies.sqlite"


class StoredReply(NamedTuple):
    """One stored reply."""

    key: str
    request: JsonObject  # model, messages, sampling, sample
    reply: Reply
    saved: float  # seconds since 1970
    raw: bytes  # what the server sent


class ReplyCache:
    """A table of replies that several processes may use at once (SQLite in WAL mode).

    The file is its owner's alone; one that others of the group may write is left to the group. What cannot be stored at
    once, because another process has locked the file or the disk is full, waits in a file beside it. `say` is told so.
    """

    def __init__(self, path: Path, say: Callable[[str], None] = warnings.warn) -> None:
        self.path = path
        self.say = say
        self._read_only = ""  # why nothing can be written
        self._broken: set[str] = set()  # keys of rows that cannot be read
        try:
            make_private(path)
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._make_tables()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"cannot use {path} as the file of teacher replies: {error}") from error
        self._claims = claims.Claims(self._connection, path)
        self._waiting = Waiting(path)
        self._take_in()

    def _make_tables(self) -> None:
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(_SCHEMA)
            self._connection.execute("CREATE TABLE IF NOT EXISTS batches (key TEXT PRIMARY KEY, batch TEXT NOT NULL)")
            self._connection.execute(_ADAPTATIONS)
            self._connection.execute(claims.SCHEMA)
            columns = {row[1] for row in self._connection.execute("PRAGMA table_info(replies)")}
            if not columns >= {"key", "request", "reply", "saved"}:
                raise sqlite3.DatabaseError(f"its table of replies has the columns {', '.join(sorted(columns))}")
            if "raw" not in columns:
                self._connection.execute("ALTER TABLE replies ADD COLUMN raw BLOB NOT NULL DEFAULT x''")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise
            self._connection.execute("SELECT key, request, reply, saved, raw FROM replies LIMIT 1")
            self._read_only = str(error)

    def _take_in(self) -> None:
        """Put where they belong what processes that have ended could not."""
        if self._read_only:
            return
        with contextlib.suppress(sqlite3.Error), left_behind(self.path) as (rows, torn):
            self._insert(rows)
            if rows or torn:
                lost = f"; {torn} more were torn by a crash and are lost" if torn else ""
                self.say(f"{len(rows)} replies that were waiting beside {self.path} are in it now{lost}")

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Which of these this process is to ask for: those that no other one is asking for. Refused where none can be kept."""
        try:
            if self._read_only:
                raise sqlite3.OperationalError(self._read_only)
            return self._claims.take(keys)
        except (sqlite3.Error, OSError) as error:
            raise RunError(
                f"replies could not be kept in {self.path} ({error}), so none is asked for: make it writable, wait for the "
                "process that holds it, or name another file (`cache: FILE` in the config)"
            ) from error

    def release(self, keys: Sequence[str]) -> None:
        """This process asks for them no longer; where that cannot be written, it holds them until it ends."""
        with contextlib.suppress(sqlite3.Error):
            self._claims.release(keys)

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The stored replies among these keys."""
        rows = claims.among(self._connection, "SELECT key, reply FROM replies", keys)
        found = dict(self._whole(rows))
        if self._waiting.rows:
            wanted = set(keys)
            found |= dict(self._whole((key, reply) for key, _, reply, *_ in self._waiting.rows if key in wanted))
        return found

    def _whole(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, Reply]]:
        """The replies that can be read; a broken one is as good as none, is said, and gives way to the next."""
        for key, reply in rows:
            try:
                yield key, msgspec.json.decode(reply, type=Reply)
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError) as error:
                if key not in self._broken:
                    self._broken.add(key)
                    self.say(f"the reply {key[:12]} in {self.path} is broken ({error}); it counts as not there")

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes = b"") -> None:
        """Keep a reply with the request as JSON and the server's own bytes; a key that is there already stays as it is."""
        told = msgspec.json.encode(reply)
        kept = strike(told)
        # The bytes that a reply with a secret in it came in may hold that in pieces, such as on both sides of a <think>.
        row = (key, request, kept, time.time(), strike(raw) if kept == told else b"")
        try:
            # While some are waiting, others do not wait for the lock again: it is tried, and they join them.
            self._insert([*self._waiting.rows, row], patience=0 if self._waiting.rows else _PATIENCE)
            self._waiting.clear()
        except sqlite3.Error as error:
            self._put_aside(row, error)

    def _put_aside(self, row: Row, error: Exception) -> None:
        first = not self._waiting.rows
        try:
            self._waiting.add(row)
        except OSError as other:
            raise RunError(f"cannot keep teacher replies in {self.path} ({error}), nor beside it ({other})") from error
        if first:
            self.say(f"{self.path} takes no replies now ({error}); they are kept beside it until it does")

    def _insert(self, rows: Sequence[Row], patience: float = _PATIENCE) -> None:
        self._connection.execute(f"PRAGMA busy_timeout={round(1000 * patience)}")
        try:
            with self._connection:
                broken = [(key,) for key, *_ in rows if key in self._broken]
                self._connection.executemany("DELETE FROM replies WHERE key = ?", broken)
                self._connection.executemany("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?)", rows)
                self._broken -= {key for (key,) in broken}
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={round(1000 * _PATIENCE)}")

    def pending(self, keys: Sequence[str]) -> dict[str, str]:
        """Key -> batch, for those among `keys` that are in a batch which was not collected yet."""
        return dict(claims.among(self._connection, "SELECT key, batch FROM batches", keys))

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

    def rows(self) -> Iterator[StoredReply]:
        """Every reply, oldest first, without reading them all into memory."""
        found = self._connection.execute("SELECT key, request, reply, saved, raw FROM replies ORDER BY saved, key")
        for key, request, reply, saved, raw in found:
            for _, whole in self._whole([(key, reply)]):
                yield StoredReply(key, msgspec.json.decode(request), whole, saved, bytes(raw))

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
        """Close the file; what is waiting is tried once more, and else left to whoever opens the file next."""
        with contextlib.suppress(sqlite3.Error):
            if self._waiting.rows:
                self._insert(self._waiting.rows)
                self._waiting.clear()
        self._waiting.close()
        self._claims.close()
        self._connection.close()
