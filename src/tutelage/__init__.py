"""Tutelage distils reasoning from a teacher language model into a small open model that its user owns."""

import importlib
from typing import Any

__version__ = "0.1.0"

# name -> module: loaded when first used, so that `import tutelage` stays light.
_PUBLIC = {
    "run": "tutelage.runner",
    "classroom": "tutelage.runner",
    "first_lessons": "tutelage.recipes.baselines",
    "lessons_for": "tutelage.recipes.tutorial",
    "Errors": "tutelage.recipes.tutorial",
    "mistakes": "tutelage.exam",
    "export": "tutelage.exporting",
    "find_task": "tutelage.tasks",
    "open_model": "tutelage.models",
    "sit": "tutelage.exam",
    "write_report": "tutelage.report",
    "score": "tutelage.evaluation.scoreboard",
    "ExamConfig": "tutelage.exam",
    "FinetuneCot": "tutelage.recipes.finetune_cot",
    "Tailored": "tutelage.recipes.tailored",
    "TrainingConfig": "tutelage.training",
    "Task": "tutelage.tasks.base",
    "Attempt": "tutelage.types",
    "Chat": "tutelage.types",
    "Lesson": "tutelage.types",
    "Message": "tutelage.types",
    "Model": "tutelage.types",
    "Question": "tutelage.types",
    "Reply": "tutelage.types",
    "Sampling": "tutelage.types",
    "TutelageError": "tutelage.errors",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
    within = {"find_task": "find", "write_report": "write", "classroom": "enter"}.get(name, name)
    return getattr(importlib.import_module(_PUBLIC[name]), within)
