"""How the classroom hands work to a launcher: what a run may use, and a training with its lessons in a file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage.classroom.conditions import settled
from tutelage.launch.here import Here
from tutelage.launch.launcher import Launcher
from tutelage.machine import machine
from tutelage.runs import records
from tutelage.runs.files import write_file
from tutelage.runs.run import Run
from tutelage.spending import BudgetConfig
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.types import Lesson


class Means(NamedTuple):
    """What a run may use. None of it is any part of what a step is made from."""

    cache: Path | None = None  # the file of the teachers' replies; None: the one of this user
    budget: BudgetConfig = BudgetConfig()
    launcher: Launcher = Here()  # where work runs


def hand_over(
    run: Run, step: str, launcher: Launcher, job: TrainingJob, lessons: Sequence[Lesson]
) -> Mapping[str, Any]:
    """Have a student trained, wherever that is; returns what is known of it.

    The lessons stand in a file of the step's folder for as long as it is made. It goes when the step is done: the lessons
    are in the run's own steps, and whatever stands in a student's folder is handed on with the student. One that an
    interrupted training left is written anew: the inputs are the same, so the lessons are.
    """
    from tutelage.models.local.devices import choose_device

    settings = dict(job.settings)
    if (settings.get("lora") or {}).get("base") == "bfloat16":
        settings["precision"] = "bfloat16"
    if settings["precision"] == "auto":  # chosen once a run, so that a run that goes on elsewhere rounds as it began
        settings["precision"] = settled(run, "training", job.student)
    device = choose_device(str(job.student.get("device", "auto")))
    run.made_on(step, {**machine(), "device": device, "precision": settings["precision"]})
    show: Callable[[dict[str, Any]], None] = lambda tick: run.show(event="progress", step=step, **tick)  # noqa: E731
    file = Path(job.folder) / "lessons.jsonl"
    write_file(file, b"".join(records.encode(lesson) for lesson in lessons))
    job = msgspec.structs.replace(job, lessons=str(file), settings=settings)
    facts = launcher.fit(job, Callbacks(show, run.stopping))
    file.unlink()
    return facts
