"""A finished run as an export sees it: its student, and the exam that says what this student can do."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage import models, recipes, tasks
from tutelage.config import read_yaml
from tutelage.errors import RunError
from tutelage.exam import Paper
from tutelage.parsing import json_file
from tutelage.runs import records
from tutelage.runs.inputs import names_of
from tutelage.tasks.base import Task
from tutelage.types import Attempt


class Source(NamedTuple):
    """What is exported, and what is known about it."""

    path: Path
    config: Any
    task: Task
    exam: str  # the step in which this very student sat the final exam
    title: str  # and the name a reader knows it by
    paper: Paper
    attempts: list[Attempt]

    @property
    def student(self) -> Path:
        """The folder of the student."""
        return self.path / "student"

    def options(self) -> dict[str, Any]:
        """The options its exams opened the student with, such as dtype or batch."""
        return {key: value for key, value in models.parse(self.config.student).items() if key not in ("kind", "name")}

    def name(self, role: str) -> str:
        """Who was the teacher or the student, as one names it to others: of a path only the last part."""
        spec = models.parse(getattr(self.config, role))
        if spec["kind"] == "worked":
            return "worked: (the task's own solutions, no language model)"
        name = str(spec["name"])
        local = name.startswith((".", "/", "~")) or os.path.exists(name)
        return f"{spec['kind']}:{Path(name).name if local and name else name}"

    def why(self) -> str:
        """Why this one of a run's students was awarded; empty where there was but one."""
        facts = json_file(self.student / "facts.json")
        return str(facts.get("why", ""))

    def events(self) -> list[dict[str, Any]]:
        """What the run said while it went on; a line that a crash tore is left out."""
        return records.rows(self.path / "events.jsonl")

    def facts(self) -> dict[str, Any]:
        """What the run noted about where it was made; empty where it did not."""
        file = self.path / "run.json"
        return json_file(file) if file.exists() else {}


def read(path: Path) -> Source:
    """A run with a student in it and with that student's final exam; anything less is an error that says what is missing."""
    saved = path / "config.yaml"
    if not saved.exists():
        parent = f"; its run is {path.parent}" if (path.parent / "config.yaml").exists() else ""
        raise RunError(f"{path} is not a run: it holds no config.yaml{parent}")
    config: Any = recipes.check(read_yaml(saved), str(saved))
    recipe = recipes.find(config.recipe)
    if not hasattr(config, "student"):
        raise RunError(f"{path} is a run of the recipe {config.recipe!r}, which trains no student: nothing to export")
    titles: dict[str, str] = recipe.load().titles(config)
    step = _exam(path, titles) if (path / "student" / "step.json").exists() else None
    if step is None:
        missing = "the final exam of its student" if (path / "student").exists() else "its student"
        raise RunError(f"{path} is not finished: {missing} is missing. Go on with: tutelage run {saved}")
    return Source(
        path=path,
        config=config,
        task=tasks.find(config.task, data=config.data),
        exam=step,
        title=titles[step],
        paper=msgspec.convert(_inputs(path / step)["paper"], Paper),
        attempts=records.read(path / step / "records.jsonl", Attempt),
    )


def _exam(path: Path, titles: Mapping[str, str]) -> str | None:
    """The step among the final exams that was sat by the student in student/."""
    names = names_of(path / "student")
    done = (step for step in titles if (path / step / "step.json").exists())
    return next((step for step in done if _inputs(path / step)["model"].get("checkpoint") in names), None)


def _inputs(step: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json_file(step / "step.json")["inputs"]
    return loaded
