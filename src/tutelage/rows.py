"""Reading the records of JSON-lines, CSV and Parquet files, each with the place it stands at."""

import csv
import importlib
import os
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tutelage.errors import DataError, MissingPackage, nearest
from tutelage.parsing import Unreadable, json_value
from tutelage.types import JsonObject

Row = tuple[str, JsonObject]  # the place ("file:line") and the record


def require(module: str, purpose: str, install: str) -> Any:
    """Import an optional package, or say what it is needed for and how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage(module.partition(".")[0], purpose, install) from error


def read_rows(path: Path) -> list[Row]:
    """Read all records of a .jsonl, .csv or .parquet file."""
    rows = list(stream_rows(path))
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return rows


def stream_rows(path: Path) -> Iterator[Row]:
    """The records of a .jsonl, .csv or .parquet file, one at a time."""
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: cannot tell the format from the name; it must end in {', '.join(readers)}")
    if not os.path.isfile(path):
        raise (
            DataError(f"{path} is {_what(path)}; name a file")
            if _what(path)
            else DataError(f"no file {path}; {_whereabouts(path)}")
        )
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _what(path: Path) -> str:
    """What stands at a path that holds no file; empty where nothing does."""
    if not os.path.lexists(path):
        return ""
    if path.is_symlink() and not path.exists():
        return f"a link to {path.readlink()}, which is not there"
    kinds = {"a folder": path.is_dir, "a named pipe": path.is_fifo, "a socket": path.is_socket}
    return next((kind for kind, is_one in kinds.items() if is_one()), "no regular file" if path.exists() else "")


def _whereabouts(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"there is no folder {path.parent}"
    names = [entry.name for entry in path.parent.iterdir()]
    return nearest(path.name, names) if names else f"the folder {path.parent} is empty"


def _jsonl(path: Path) -> Iterator[Row]:
    for _, where, record in _lines(path):
        yield where, record


def _lines(path: Path) -> Iterator[tuple[int, str, JsonObject]]:
    """Each record with the byte that its line begins at."""
    with path.open("rb") as file:
        begins = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        file.seek(begins)
        for number, raw in enumerate(file, start=1):
            at, begins = begins, begins + len(raw)
            if raw.strip():
                where = f"{path}:{number}"
                try:
                    record = _record(raw, where)
                except UnicodeDecodeError as error:
                    byte = at + error.start
                    raise DataError(f"{path}: not UTF-8 text (byte {byte}); save the file as UTF-8") from error
                yield at, where, record


def _record(raw: bytes, where: str) -> JsonObject:
    try:
        record = json_value(raw.decode(), once=True)
    except Unreadable as error:
        raise DataError(f"{where}: not JSON: {error}; each line must be one JSON object") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: a {type(record).__name__}, not a JSON object; each line must be one object")
    return record


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        csv.field_size_limit(min(sys.maxsize, 1 << 31))  # Python's own, 131,072 characters, is of another time
        reader = csv.DictReader(file, strict=True)
        try:
            names = list(reader.fieldnames or ())
            if doubled := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(f"{path}:1: the column {doubled[0]!r} stands twice in the header")
            for record in reader:
                where = f"{path}:{reader.line_num}"
                if None in record or None in record.values():
                    raise DataError(f"{where}: not as many columns as the header; quote values that hold commas")
                yield where, dict(record)
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _parquet(path: Path) -> Iterator[Row]:
    number = 0
    with _parquet_file(path) as file:
        for group in range(file.num_row_groups):
            for record in _group(file, path, group):
                number += 1
                yield f"{path}:row {number}", record


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    parquet = require("pyarrow.parquet", f"reading {path.name}", "pyarrow")
    try:
        file = parquet.ParquetFile(path)
    except (ValueError, TypeError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    with file:
        names = file.schema_arrow.names
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{path}: the column {doubled[0]!r} is there twice")
        yield file


def _group(file: Any, path: Path, group: int) -> list[JsonObject]:
    try:
        records: list[JsonObject] = file.read_row_group(group).to_pylist()
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    return records


class RowStore:
    """The records of files that are too large to be held, each read again by its place when it is wanted."""

    def __init__(self, path: Path) -> None:
        """A .jsonl, .csv or .parquet file, or a folder of such; what is named otherwise is taken for JSON lines."""
        known = {".jsonl", ".csv", ".parquet"}
        self.files = [path]
        if path.is_dir():
            self.files = sorted(file for file in path.rglob("*") if file.suffix.lower() in known)
            if not self.files:
                raise DataError(f"{path}: no file in this folder ends in {', '.join(sorted(known))}")
        self._group: tuple[int, int, Sequence[JsonObject]] = (-1, 0, ())  # a file, its first row, and the rows

    def scan(self) -> Iterator[tuple[tuple[int, int], str, JsonObject]]:
        """Every record: the place that it is read at again, what a reader calls that, and the record."""
        for number, path in enumerate(self.files):
            if path.suffix.lower() in (".csv", ".parquet"):
                for row, (where, record) in enumerate(stream_rows(path)):
                    yield (number, row), where, record
            else:
                for at, where, record in _lines(path):
                    yield (number, at), where, record

    def read(self, place: tuple[int, int]) -> JsonObject:
        """The record at a place."""
        number, at = place
        path = self.files[number]
        if path.suffix.lower() not in (".csv", ".parquet"):
            with path.open("rb") as file:
                file.seek(at)
                return _record(file.readline(), f"{path}, byte {at}")
        held, first, rows = self._group
        if held != number or not first <= at < first + len(rows):
            self._group = (number, *self._around(path, at))
            held, first, rows = self._group
        return rows[at - first]

    def _around(self, path: Path, at: int) -> tuple[int, Sequence[JsonObject]]:
        """The rows that are read together with one, and the number of the first."""
        if path.suffix.lower() == ".csv":
            return 0, [record for _, record in stream_rows(path)]
        first = 0
        with _parquet_file(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if at < first + rows:
                    return first, _group(file, path, group)
                first += rows
        raise DataError(f"{path}: has become shorter")


class HubRows:
    """The rows of one split of a data set of the hub; every way that getting them can fail is said in terms of the data set."""

    def __init__(self, id: str, config: str | None, split: str) -> None:
        self._what = f"{id}:{split}"
        datasets = require("datasets", f"loading {id!r} from the hub", "datasets")
        what = f"{id} ({split})" if config is None else f"{id}/{config} ({split})"
        try:
            self._rows = datasets.load_dataset(id, config, split=split)
            empty = len(self._rows) == 0
        except Exception as error:  # the hub's client raises a dozen unrelated types
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if isinstance(error, ConnectionError | TimeoutError) or "offline" in type(error).__name__.lower():
                raise DataError(
                    f"cannot reach the hub for {what}: {reason}; without a network use local copies: --data DIR for a "
                    "published data set, or the task 'local' for any file"
                ) from error
            raise DataError(f"cannot load {what} from the hub: {reason}") from error
        if empty:
            raise DataError(f"{what} on the hub holds no rows")

    def scan(self) -> Iterator[tuple[tuple[int, int], str, JsonObject]]:
        """Every record, as `RowStore.scan`."""
        for number, record in enumerate(self._rows):
            yield (0, number), f"{self._what}:row {number + 1}", dict(record)

    def read(self, place: tuple[int, int]) -> JsonObject:
        """The record at a place."""
        return dict(self._rows[place[1]])
