"""Tutelage distils reasoning from a teacher language model into a small open model that its user owns."""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

if os.name == "nt":  # before anything is half begun: runs hold their folders by locks that are files' own
    raise ImportError(
        "Tutelage runs on Linux and macOS; on Windows install it in WSL (`wsl --install`), where it is Linux and takes the same GPUs"
    )

# name -> where it is: loaded when first used, so that `import tutelage` stays light.
_PUBLIC = {
    "run": "tutelage.runner:run",
    "run_study": "tutelage.studies.workers:run_study",
    "compare_seeds": "tutelage.studies.groups:compare_seeds",
    "open_classroom": "tutelage.runner:open_classroom",
    "first_lessons": "tutelage.recipes.first_lessons:first_lessons",
    "lessons_for": "tutelage.recipes.corrections:lessons_for",
    "ExamOutcome": "tutelage.recipes.corrections:ExamOutcome",
    "mistakes": "tutelage.lessons.mistakes:mistakes",
    "export": "tutelage.exporting.folder:export",
    "find_task": "tutelage.tasks.catalog:find_task",
    "open_model": "tutelage.models.opening:open_model",
    "sit": "tutelage.exam:sit",
    "write_report": "tutelage.report.writing:write_report",
    "write_study": "tutelage.report.writing:write_study",
    "score": "tutelage.evaluation.scoreboard:score",
    "ExamConfig": "tutelage.exam:ExamConfig",
    "FinetuneCot": "tutelage.recipes.finetune_cot:FinetuneCot",
    "Recipe": "tutelage.recipes.recipe:Recipe",
    "Tailored": "tutelage.recipes.tailored:Tailored",
    "TrainingConfig": "tutelage.training.settings:TrainingConfig",
    "Task": "tutelage.tasks.task:Task",
    "Attempt": "tutelage.types:Attempt",
    "Chat": "tutelage.types:Chat",
    "Label": "tutelage.types:Label",
    "Lesson": "tutelage.types:Lesson",
    "Message": "tutelage.types:Message",
    "Model": "tutelage.types:Model",
    "Question": "tutelage.types:Question",
    "Reply": "tutelage.types:Reply",
    "Sampling": "tutelage.types:Sampling",
    "TutelageError": "tutelage.errors:TutelageError",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tutelage' has no attribute {name!r}")
    module, _, within = _PUBLIC[name].partition(":")
    return getattr(importlib.import_module(module), within)
