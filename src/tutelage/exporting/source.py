"""A finished run as an export sees it: its student, and the exam that says what this student can do."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage.config import setting
from tutelage.errors import ConfigError, RunError
from tutelage.exam import ExamSetup
from tutelage.models import LOCAL, specs
from tutelage.models.kinds import is_single
from tutelage.runs import history, naming
from tutelage.runs.history import ExamView, RunHistory, Step
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.types import Attempt, JsonObject

_WORKED = "worked: (the task's own solutions, no language model)"


class Source(NamedTuple):
    """What is exported, and what is known about it."""

    run: RunHistory
    task: Task
    made: Step  # the student
    exam: ExamView  # the final exam that this very student sat
    setup: ExamSetup

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.run.path

    @property
    def student(self) -> Path:
        """The folder of the student."""
        return self.made.folder

    @property
    def title(self) -> str:
        """The name by which a reader knows the student's exam."""
        return self.exam.title

    @property
    def attempts(self) -> list[Attempt]:
        """What the student answered in it."""
        return self.exam.attempts

    @property
    def split(self) -> str:
        """The split that its questions are of."""
        return self.exam.label.split or str(self.setting("questions.test", "test"))

    def setting(self, key: str, default: object = None) -> Any:
        """A dotted key of the run's config, where its recipe has one."""
        return setting(self.run.config, key, default)

    def options(self) -> JsonObject:
        """The options its exams opened the student with, such as dtype or batch."""
        spec = specs.parse(self.setting("student"))
        return {option: value for option, value in spec.items() if option in LOCAL["hf"] and option != "name"}

    def name(self, role: str) -> str:
        """Who was the teacher or the student, as one names it to others: of a path only the last part."""
        try:
            spec = specs.parse(self.setting(role, "worked:"))
        except ConfigError:  # of a kind of the user's own that is not at hand here
            return naming.spec_name(self.setting(role))
        named = [_named(leaf.spec) for leaf in specs.leaves(spec)]
        return named[0] if is_single(spec["kind"]) else f"{spec['kind']} ({', '.join(named)})"

    def teachers(self) -> list[str]:
        """Who wrote the lessons, as the lessons say it; where none of them does, the config's teacher."""
        said = dict.fromkeys(lesson.teacher for lesson in self.run.lessons)
        named = [_WORKED if name == "worked:" else public(name) for name in said if name]
        # A student's folder reports no name, and whoever reads of the others' terms must not take them for its.
        more = ["others that the lessons do not name"] if "" in said else []
        return [*dict.fromkeys(named), *more] if named else [self.name("teacher")]

    def why(self) -> str:
        """Why this one of a run's students was awarded; empty where there was but one."""
        return str(self.made.facts().get("why", ""))


def public(reported: str) -> str:
    """The name that a model reported of itself, as one names it to others."""
    kind, _, name = reported.rpartition(":")
    return _named({"kind": kind, "name": name}).removeprefix(":") if name else reported


def _named(spec: Mapping[str, object]) -> str:
    if spec["kind"] == "worked":
        return _WORKED
    name = str(spec.get("name", ""))
    local = name.startswith((".", "/", "~")) or os.path.exists(name)
    return f"{spec['kind']}:{Path(name).name if local and name else name}".rstrip(":")


def read_source(path: Path) -> Source:
    """A run with a student in it and with that student's final exam; anything less is an error that says what is missing."""
    run = history.open_run(path)
    if "student" not in run.config:
        raise RunError(
            f"{path} is a run of the recipe {run.config.get('recipe')!r}, which trains no student: nothing to export"
        )
    made = run.student()
    view = run.exam_of(made) if made else None
    if made is None or view is None:
        missing = "the final exam of its student" if made else "its student"
        raise RunError(f"{path} is not finished: {missing} is missing. Go on with: tutelage run {path / 'config.yaml'}")
    inputs = next(step.inputs for step in run.steps if step.name == view.step)
    task = find_task(run.config.get("task", ""), data=run.config.get("data"))
    try:
        setup = msgspec.convert(inputs.get("paper"), ExamSetup)
    except msgspec.ValidationError as error:
        raise RunError(f"{path / view.step / 'step.json'} does not say what the exam was ({error})") from None
    return Source(run=run, task=task, made=made, exam=view, setup=setup)
