"""Records as JSON lines: written one at a time, read back with their place in the file."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from tutelage.errors import RunError
from tutelage.parsing import Unreadable, json_value
from tutelage.redaction import strike
from tutelage.regular import opened, read_regular
from tutelage.types import JsonObject

RecordType = TypeVar("RecordType", bound=msgspec.Struct)

_BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(record: msgspec.Struct) -> bytes:
    """One record as one line of JSON, newline included, and no secret in it."""
    return strike(msgspec.json.encode(record)) + b"\n"


def read_records(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read a whole file of records; a line that does not parse is an error that names it."""
    decoder = msgspec.json.Decoder(kind)
    records = []
    try:
        with opened(path) as file:
            for number, line in enumerate(file, start=1):
                try:
                    records.append(decoder.decode(line))
                except _BROKEN as error:
                    raise RunError(f"{path}:{number} is not a {kind.__name__} record: {error}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    return records


def recover(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """Read what a killed process left: whole lines up to the first torn one, which is cut off the file."""
    if not os.path.lexists(path):
        return []
    try:
        records, good, _ = _whole(path, kind)
        with opened(path, "r+b") as file:
            file.truncate(good)
    except OSError as error:
        raise RunError(f"{path} cannot be used: {error.strerror}") from None
    return records


def as_far(path: Path, kind: type[RecordType]) -> tuple[list[RecordType], str]:
    """Read the whole lines of a file that another process may be writing; nothing is changed.

    Beside them what is wrong in the first line that is left out; empty where that may still be being written.
    """
    records, _, problem = _whole(path, kind)
    return records, problem


def _whole(path: Path, kind: type[RecordType]) -> tuple[list[RecordType], int, str]:
    """The records up to the first line that is none, how many bytes they take, and what is wrong with that line."""
    decoder = msgspec.json.Decoder(kind)
    records: list[RecordType] = []
    good = 0
    if not os.path.lexists(path):
        return records, good, ""
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            whole = line.endswith(b"\n")
            try:
                record = decoder.decode(line)
            except _BROKEN as error:
                return records, good, f"line {number} is no {kind.__name__} ({error})" if whole else ""
            if not whole:
                break
            records.append(record)
            good += len(line)
    return records, good, ""


def mend(path: Path) -> bool:
    """Make a file of lines end in a whole one, so that the next is not glued to what a crash tore; says if one was cut off."""
    whole = read_regular(path) if os.path.lexists(path) else b""
    if not whole or whole.endswith(b"\n"):
        return False
    torn = whole[whole.rfind(b"\n") + 1 :]
    with opened(path, "r+b") as file:
        try:
            json_value(torn)
        except Unreadable:
            file.truncate(len(whole) - len(torn))
            return True
        file.seek(0, 2)
        file.write(b"\n")
    return False


def rows_and_torn(path: Path) -> tuple[list[JsonObject], int]:
    """The JSON objects of a file of lines, such as events.jsonl, and how many lines are none."""
    found, torn = [], 0
    for line in read_regular(path).splitlines() if os.path.lexists(path) else ():
        with contextlib.suppress(Unreadable):
            row = json_value(line)
            if isinstance(row, dict):
                found.append(row)
                continue
        torn += 1
    return found, torn


def digest_records(records: Sequence[msgspec.Struct] | Iterable[msgspec.Struct]) -> str:
    """A short digest of the records' exact content and order."""
    hasher = hashlib.sha256()
    for record in records:
        hasher.update(encode(record))
    return hasher.hexdigest()[:16]
