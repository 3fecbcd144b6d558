"""Reading the records of JSON-lines, CSV and Parquet files, each with the place it stands at."""

import csv
import importlib
import os
import sys
from collections.abc import Iterator
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
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                record = json_value(line, once=True)
            except Unreadable as error:
                raise DataError(f"{where}: not JSON: {error}; each line must be one JSON object") from None
            if not isinstance(record, dict):
                raise DataError(f"{where}: a {type(record).__name__}, not a JSON object; each line must be one object")
            yield where, record


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
    parquet = require("pyarrow.parquet", f"reading {path.name}", "pyarrow")
    try:
        table = parquet.read_table(path)
        if doubled := sorted({name for name in table.column_names if table.column_names.count(name) > 1}):
            raise DataError(f"{path}: the column {doubled[0]!r} is there twice")
        records = table.to_pylist()
    except (ValueError, TypeError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(f"{path}: not a Parquet file: {error}") from error
    for number, record in enumerate(records, start=1):
        yield f"{path}:row {number}", record
