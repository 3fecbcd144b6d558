"""A launcher that trains nobody: it notes what would be taught, and the students that it names answer instead."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.models.specs import Spec, parse
from tutelage.runs import records
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import Lesson, Model


class Taught(NamedTuple):
    """What a training was given."""

    step: str
    who: str  # the student it begins with, as the scripts are called
    lessons: list[Lesson]
    training: TrainingConfig


class Noting(list[Taught]):
    """What was taught, in order; `student(taught)` names the script that answers as the new student."""

    def __init__(self, student: Callable[[Taught], str]) -> None:
        super().__init__()
        self.student = student
        self._scripts: dict[str, str] = {}  # by the folder's name

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> Mapping[str, Any]:
        """Note it; whoever it begins with is the script that stood for it."""
        step = Path(job.folder).name.removesuffix(".draft")
        name = str(job.student["name"])
        who = self._scripts.get(Path(name).name, f"scripted:{name}")
        lessons = records.read_records(Path(job.lessons), Lesson)
        self.append(Taught(step, who, lessons, TrainingConfig.model_validate(job.settings)))
        self._scripts[step] = self.student(self[-1])
        numbers = {"lessons": len(lessons), "too_long": 0, "steps": 1, "tokens": 1, "seconds": 1.0}
        return {**numbers, "losses": [1.0], "first_loss": 1.0, "last_loss": 1.0}

    def open(self, spec: Spec, context: Context | None = None) -> Model:
        """A student of ours is its script; whoever else is asked is what the spec says."""
        parsed = parse(spec)
        return open_model(self._scripts.get(Path(str(parsed.get("name", ""))).name, spec), context)
