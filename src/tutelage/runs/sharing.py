"""Steps that several runs would make from the same inputs: made by one of them, and taken by the others."""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tutelage.config import differences
from tutelage.parsing import json_file
from tutelage.runs.files import link, write_file
from tutelage.runs.inputs import digest_inputs, jsonable, made_from
from tutelage.types import JsonObject


class Beside(NamedTuple):
    """The runs that one shares its steps with."""

    runs: Callable[[], Sequence[Path]] = tuple  # asked at each step, since some may begin later
    locks: Path | None = None  # a folder for those that work at the same time

    def lender(self, name: str, inputs: Mapping[str, object]) -> Path | None:
        """A run that has made this step from the same inputs."""
        wanted = jsonable(inputs)
        notes = ((run, run / name / "step.json") for run in self.runs())
        return next((run for run, note in notes if note.exists() and not differences(made_from(note), wanted)), None)

    @contextlib.contextmanager
    def alone(self, name: str, inputs: Mapping[str, object], check_stop: Callable[[], None]) -> Iterator[None]:
        """Let no run with the same `locks` make this step at the same time; whoever waits finds it made, or makes it.

        The system lets go of the lock when its process ends, whatever ends it.
        """
        if self.locks is None or not self.runs():
            yield
            return
        self.locks.mkdir(parents=True, exist_ok=True)
        file = self.locks / f"{digest_inputs({'step': name, **inputs})}.lock"
        while (held := take_lock(file)) is None:
            check_stop()
            time.sleep(0.2)
        with held:
            try:
                yield
            finally:
                file.unlink(missing_ok=True)


def take_lock(file: Path) -> IO[bytes] | None:
    """The file, locked; None where another process holds it, or has just removed it."""
    opened = file.open("ab")
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        return None
    if os.fstat(opened.fileno()).st_nlink:
        return opened
    opened.close()
    return None


def borrow(step: Path, place: Path, labelled: JsonObject) -> None:
    """Put another run's finished step at a place of one's own; its files are shared where the disk allows it."""
    draft = place.with_name(f"{place.name}.borrowed")
    shutil.rmtree(draft, ignore_errors=True)
    # Under another name first: killed while it copies, no half of a step has the step's name.
    shutil.copytree(step, draft, copy_function=link)
    mine = {**json_file(step / "step.json"), **labelled}  # written anew: the other run keeps its own
    write_file(draft / "step.json", json.dumps(mine, indent=1).encode())
    draft.rename(place)
