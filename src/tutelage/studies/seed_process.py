"""One seed of a study, or one of its runs, in a process of its own: `workers.py` starts it, hears its events, and may stop it or be gone."""

import os
import signal
import sys
import threading
from pathlib import Path

import msgspec
from msgspec import Struct

from tutelage.errors import Interrupted
from tutelage.printing import emit_event, guarded_streams
from tutelage.studies.settings import read_study
from tutelage.studies.study_folder import OpenStudy
from tutelage.studies.working import HowToWork, work
from tutelage.types import JsonObject


class SeedTask(Struct, frozen=True, kw_only=True):
    """What such a process is to make."""

    folder: str
    kept: str
    seed: int
    cell: str | None  # the run's title; None: all of the seed
    launcher: str | None
    drop_weights: bool


def make_seed() -> None:
    """Make what the first argument tells of; each event is a line of JSON. A run that fails is noted, and is no failure here."""
    task = msgspec.json.decode(sys.argv[1], type=SeedTask)
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _ask(asked))
    threading.Thread(target=_watch_parent, daemon=True).start()
    folder = Path(task.folder)
    opened = OpenStudy(read_study(folder / "study.yaml"), folder, Path(task.kept))
    how = HowToWork(_tell, asked.is_set, [task.seed], task.cell, task.launcher, task.drop_weights)
    with guarded_streams():
        try:
            work(opened, how)
        except Interrupted:
            sys.exit(130)


def _ask(asked: threading.Event) -> None:
    if asked.is_set():
        raise KeyboardInterrupt
    asked.set()


def _watch_parent() -> None:
    """Where the process that started this one is gone, however it went, keep what is in hand and leave."""
    while os.read(0, 4096):  # not by sys.stdin, whose lock this thread would hold when the process ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(event: JsonObject) -> None:
    try:
        emit_event(event)
    except BrokenPipeError:  # nobody hears any more: `_watch_parent` ends this
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as this process lives


if __name__ == "__main__":
    make_seed()
