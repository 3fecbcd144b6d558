"""One of the processes that train a student together, as whoever starts them sees it (`launch/gang.py`)."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tutelage.config import build
from tutelage.errors import Interrupted, TutelageError
from tutelage.launch.channel import Parent
from tutelage.runs import records
from tutelage.training.halving import OutOfMemory
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject, Lesson

ORPHANED = 600  # seconds in which a training whose parent is gone must have saved what it has


class RankWord(Struct, kw_only=True, omit_defaults=True):
    """What such a process says: how far it is, and at its end one of the others."""

    tick: JsonObject = {}
    facts: JsonObject = {}
    stopped: str = ""
    memory: str = ""  # how its memory ended
    error: str = ""  # of the user's, and its kind
    kind: str = ""
    fault: str = ""  # what nobody foresaw


def train(job: TrainingJob, callbacks: Callbacks) -> RankWord:
    """Do this process's share of a training, and say how it ended; what another process's end has caused is raised."""
    from tutelage.training.trainer import fit_once  # loads torch

    try:
        settings = build(TrainingConfig, job.settings, "the training")
        lessons = records.read_records(Path(job.lessons), Lesson)
        return RankWord(facts=fit_once(job.student, lessons, settings, job.seed, Path(job.folder), callbacks))
    except Interrupted as stop:
        return RankWord(stopped=str(stop))
    except OutOfMemory as error:
        return RankWord(memory=str(error))
    except TutelageError as error:
        return RankWord(error=str(error), kind=type(error).__name__)
    except RuntimeError:
        raise  # as a lost connection is
    except Exception as error:
        traceback.print_exc()
        return RankWord(fault=f"{type(error).__name__}: {error}")


def train_share() -> None:
    """What such a process does: the job of the first line that it is told; any other line asks it to save and leave."""
    from tutelage.models.local.devices import choose_device
    from tutelage.training.group import join  # loads torch

    parent = Parent()
    told = parent.lines()
    job = msgspec.convert(next(told), TrainingJob)
    asked = threading.Event()
    threading.Thread(target=_listen, args=(told, asked), daemon=True).start()
    group = join(os.environ["TUTELAGE_MEETING"], choose_device(str(job.student.get("device", "auto"))))
    show: Callable[[JsonObject], None] = lambda tick: parent.tell(RankWord(tick=tick)) if group.is_first else None  # noqa: E731
    outcome = train(job, Callbacks(show, asked.is_set))
    parent.tell(outcome)
    sys.stderr.flush()
    os._exit(0)  # taking the group apart waits for processes that may be gone


def _listen(told: Any, asked: threading.Event) -> None:
    for _ in told:
        asked.set()
    asked.set()  # nobody is there any more: keep what is in hand, and leave even where that hangs
    time.sleep(ORPHANED)
    os._exit(1)


if __name__ == "__main__":
    train_share()
