"""The demo: one config that shows the method on a laptop's CPU, and the answers behind its numbers."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from tutelage import tasks
from tutelage.config import read_yaml
from tutelage.store import records
from tutelage.types import Attempt, Lesson, Question


def demo_config() -> dict[str, Any]:
    """The demo's config, a plain finetune_cot run."""
    text = resources.files("tutelage").joinpath("demo.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def show_answers(run: Path, console: Console) -> None:
    """Print one lesson, and one test question as the student answered it before and after."""
    lesson = records.read(run / "lessons" / "records.jsonl", Lesson)[0]
    # Model output is data: Text is printed as it is, never read as markup.
    console.print(Text.assemble(("\na lesson       ", "bold"), lesson.prompt, "\n               ", lesson.completion))
    asked = {question.id: question.text for question in _test_questions(run)}
    after = records.read(run / "finetune_cot" / "records.jsonl", Attempt)
    before = {attempt.question: attempt for attempt in _before(run)}
    fixed = next(
        (a for a in after if a.verdict == "right" and a.question in before and _failed(before[a.question])), None
    )
    if fixed is not None:
        console.print(Text.assemble(("\na test question ", "bold"), asked[fixed.question]))
        for label, attempt in (("before", before[fixed.question]), ("after", fixed)):
            text = " ".join(attempt.text.split())
            shown = text if len(text) <= 300 else text[:300] + " …"
            console.print(Text.assemble((f"{label:<8}", "bold"), f"{attempt.verdict:<8}", shown))


def _before(run: Path) -> list[Attempt]:
    file = run / "zero_shot" / "records.jsonl"
    return records.read(file, Attempt) if file.exists() else []


def _failed(attempt: Attempt) -> bool:
    return attempt.verdict != "right"


def _test_questions(run: Path) -> list[Question]:
    saved = read_yaml(run / "config.yaml")
    return tasks.find(saved["task"], data=saved["data"]).load(saved["questions"]["test"])
