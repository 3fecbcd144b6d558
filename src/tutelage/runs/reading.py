"""Reading what a run's folder holds as far as it can be read, whatever was done to it; what is left out is noted.

Nothing that is no regular file is opened, and nothing is changed.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar

import msgspec

from tutelage.parsing import Unreadable, json_value
from tutelage.redaction import redact
from tutelage.regular import read_regular
from tutelage.runs import records
from tutelage.types import JsonObject, Spent

RecordType = TypeVar("RecordType", bound=msgspec.Struct)

# What a reader needs of an event, each as text.
_NEEDED = {
    "note": ("step", "line"),
    "started": ("step",),
    "reused": ("step",),
    "warning": ("line",),
    "contamination": ("kind", "question", "held_out", "text"),
}
_MAPPINGS = ("versions", "settled", "promised")  # of run.json
_NUMBERS = ("lessons", "steps", "first_loss", "last_loss", "tokens", "seconds")  # of a training


def by_objective(told: JsonObject) -> JsonObject:
    """What a training noted, with the `numbers` that its objectives told at each step and the share of lessons each was
    `active` for, by their names. Version 0.1 knew one objective beside the loss, and noted its two numbers by themselves."""
    numbers, active = told.get("numbers", {}), told.get("active", {})
    if told.get("reflection") is not None:
        numbers = {"reflection": told["reflection"]}
    if is_number(active):
        active = {"reflection": active}
    return {**told, "numbers": numbers, "active": active}


class Reader:
    """One look at a run's folder; `unread` are lines on what could not be read, in the order it was met."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unread: dict[str, None] = {}

    @property
    def unread(self) -> list[str]:
        """What could not be read."""
        return list(self._unread)

    def leave_out(self, file: Path, why: object) -> None:
        """Note that a file, or a part of one, is left out."""
        try:
            name = file.relative_to(self.path)
        except ValueError:
            name = file
        self._unread[redact(f"{name}: {' '.join(str(why).split())}")] = None

    def mapping(self, file: Path) -> JsonObject:
        """A JSON object; empty where there is none."""
        try:
            loaded = json_value(read_regular(file))
        except FileNotFoundError:
            return {}
        except (OSError, Unreadable) as error:
            self.leave_out(file, getattr(error, "strerror", None) or error)
            return {}
        if isinstance(loaded, dict):
            return loaded
        self.leave_out(file, f"a {type(loaded).__name__}, not a JSON object")
        return {}

    def facts(self, file: Path) -> JsonObject:
        """What a run notes about itself as it begins."""
        told = self.mapping(file)
        for key in _MAPPINGS:
            if key in told and not isinstance(told[key], Mapping):
                self.leave_out(file, f"{key!r} is a {type(told.pop(key)).__name__}, not a JSON object")
        return told

    def events(self, file: Path) -> list[JsonObject]:
        """What was said of a run, line by line."""
        try:
            rows, torn = records.rows_and_torn(file)
        except OSError as error:
            self.leave_out(file, error.strerror or error)
            return []
        good = [row for row in rows if _is_event(row)]
        if odd := torn + len(rows) - len(good):
            self.leave_out(file, f"{odd} of {len(rows) + torn} lines are no events")
        return good

    def records(self, file: Path, kind: type[RecordType]) -> list[RecordType]:
        """Records up to the first that cannot be read; a torn last line may be one that is being written."""
        try:
            found, problem = records.as_far(file, kind)
        except OSError as error:
            self.leave_out(file, error.strerror or error)
            return []
        if problem:
            self.leave_out(file, problem)
        return found

    def spent(self, file: Path) -> list[Spent]:
        """The ledger of what was asked of teachers."""
        rows = self.records(file, Spent)
        good = [row for row in rows if row.dollars is None or is_amount(row.dollars)]
        if len(good) < len(rows):
            self.leave_out(file, f"{len(rows) - len(good)} lines hold no amount of dollars")
        return good

    def step(self, folder: Path) -> JsonObject:
        """What a step notes of itself, with `inputs` and `seconds`; empty where the folder is no step of the run."""
        file = folder / "step.json"
        note = self.mapping(file)
        if not note:
            if not file.exists() and (folder / "records.jsonl").exists():
                self.leave_out(folder, "records without a step.json")
            return {}
        if not isinstance(note.get("inputs"), dict):
            self.leave_out(file, "it does not say what the step was made from ('inputs')")
            return {}
        seconds = note.get("seconds", 0)
        if not is_number(seconds) or seconds < 0:
            self.leave_out(file, f"its 'seconds' are {seconds!r}, no time")
            seconds = 0
        note["seconds"] = float(seconds)
        return note

    def training(self, file: Path) -> JsonObject:
        """What a training noted about itself; empty where it is none, or not in numbers."""
        told = self.mapping(file)
        if "losses" not in told:
            return {}
        told = by_objective(told)
        numbers, active = told["numbers"], told["active"]
        named = isinstance(numbers, Mapping) and isinstance(active, Mapping)
        curves = [told["losses"], *(numbers.values() if named else ())]
        whole = named and all(isinstance(curve, list) and all(map(is_number, curve)) for curve in curves)
        shares = whole and all(map(is_number, active.values()))
        if not (shares and all(is_number(told.get(key)) for key in _NUMBERS)):
            self.leave_out(file, "what it tells of a training is not all numbers")
            return {}
        return told if told["losses"] else {}

    def tick(self, file: Path) -> JsonObject:
        """The last sign of progress."""
        told = self.mapping(file)
        named = told.get("numbers", {})
        numbers = [told[key] for key in ("time", "done", "of", "loss", "right") if key in told]
        numbers += named.values() if isinstance(named, Mapping) else [named]
        if not all(map(is_number, numbers)) or (told and not {"time", "done", "of"} <= told.keys()):
            self.leave_out(file, "it tells of no progress")
            return {}
        return told


def is_number(value: object) -> bool:
    """Whether a value is a number that can be computed with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)


def is_amount(dollars: str) -> bool:
    """Whether a text is an amount of money."""
    try:
        return Decimal(dollars).is_finite()
    except InvalidOperation:
        return False


def _is_event(row: Mapping[str, object]) -> bool:
    kind = row.get("event")
    return isinstance(kind, str) and _texts(row, _NEEDED.get(kind, ())) and isinstance(row.get("step", ""), str)


def _texts(row: Mapping[str, object], names: Sequence[str]) -> bool:
    return all(isinstance(row.get(name), str) for name in names)
