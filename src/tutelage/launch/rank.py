"""One of the processes that train a student together, as whoever starts them sees it (`launch/gang.py`)."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from tutelage.config import build
from tutelage.errors import Interrupted, RunError, TutelageError
from tutelage.launch.channel import Parent
from tutelage.runs import records
from tutelage.surroundings import as_ours, tells_of_disk
from tutelage.training.halving import OutOfMemory
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject, Lesson


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
    except Exception as error:
        if tells_of_disk(error):
            return RankWord(error=str(as_ours(error)), kind=RunError.__name__)
        if isinstance(error, RuntimeError):
            raise  # as a lost connection is, or a lost device
        traceback.print_exc()
        return RankWord(fault=f"{type(error).__name__}: {error}")


def train_share() -> None:
    """What such a process does: the job of the first message that it is told; any other asks it to save and leave."""
    try:
        _train_share(Parent())
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # at once: taking the group apart waits for processes that may be gone
    os._exit(0)


def _train_share(parent: Parent) -> None:
    from tutelage.models.local.devices import choose_device
    from tutelage.training.group import join  # loads torch

    told = parent.messages()
    job = msgspec.convert(next(told), TrainingJob)
    asked = threading.Event()

    def listen() -> None:
        try:
            for _ in told:
                asked.set()
        finally:
            parent.leave()  # nobody is there any more, and whoever goes on with the run must not meet this process

    threading.Thread(target=listen, daemon=True).start()
    group = join(os.environ["TUTELAGE_MEETING"], choose_device(str(job.student.get("device", "auto"))))
    show: Callable[[JsonObject], None] = lambda tick: parent.tell(RankWord(tick=tick)) if group.is_first else None  # noqa: E731
    parent.tell(train(job, Callbacks(show, asked.is_set)))


if __name__ == "__main__":
    train_share()
