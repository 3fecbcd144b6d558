"""Records as JSON lines: written one at a time, read back with their place in the file."""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tutelage.errors import RunError
from tutelage.parsing import Unreadable, json_value
from tutelage.redaction import strike

RecordType = TypeVar("RecordType", bound=msgspec.Struct)

_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(record: msgspec.Struct) -> bytes:
    """One record as one line of JSON, newline included, and no secret in it."""
    return strike(msgspec.json.encode(record)) + b"\n"


def read(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read a whole file of records; a line that does not parse is an error that names it."""
    decoder = msgspec.json.Decoder(kind)
    records = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(decoder.decode(line))
            except _BROKEN as error:
                raise RunError(f"{path}:{number} is not a {kind.__name__} record: {error}") from error
    return records


def recover(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read what a killed process left: whole lines up to the first torn one, which is cut off the file."""
    records, good = _whole(path, kind)
    if path.exists():
        with path.open("r+b") as file:
            file.truncate(good)
    return records


def so_far(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read the whole lines of a file that another process may be writing; nothing is changed."""
    return _whole(path, kind)[0]


def _whole(path: Path, kind: type[RecordType]) -> tuple[list[RecordType], int]:
    """The records up to the first torn line, and how many bytes they take."""
    decoder = msgspec.json.Decoder(kind)
    records: list[RecordType] = []
    good = 0
    if not path.exists():
        return records, good
    with path.open("rb") as file:
        for line in file:
            try:
                record = decoder.decode(line)
            except _BROKEN:
                break
            if not line.endswith(b"\n"):
                break
            records.append(record)
            good += len(line)
    return records, good


def mend(path: Path) -> bool:
    """Make a file of lines end in a whole one, so that the next is not glued to what a crash tore; says if one was cut off."""
    content = path.read_bytes() if path.exists() else b""
    if not content or content.endswith(b"\n"):
        return False
    torn = content[content.rfind(b"\n") + 1 :]
    with path.open("r+b") as file:
        try:
            json_value(torn)
        except Unreadable:
            file.truncate(len(content) - len(torn))
            return True
        file.seek(0, 2)
        file.write(b"\n")
    return False


def rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines, such as events.jsonl; a line that a crash tore is left out."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with contextlib.suppress(Unreadable):
            found.append(json_value(line))
    return [row for row in found if isinstance(row, dict)]


def digest(records: Sequence[msgspec.Struct] | Iterable[msgspec.Struct]) -> str:
    """A short digest of the records' exact content and order."""
    hasher = hashlib.sha256()
    for record in records:
        hasher.update(encode(record))
    return hasher.hexdigest()[:16]
