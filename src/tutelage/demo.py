"""The demo: one config that shows the method on a laptop's CPU, and the answers behind its numbers."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text

from tutelage.store import records
from tutelage.types import Attempt, Lesson


def demo_config() -> dict[str, Any]:
    """The demo's config, a plain finetune_cot run."""
    text = resources.files("tutelage").joinpath("demo.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def show_answers(run: Path, console: Console) -> None:
    """Print one lesson, and one test question as the student answered it before and after."""
    before = {a.question: a for a in records.read(run / "zero_shot" / "records.jsonl", Attempt)}
    after = records.read(run / "finetune_cot" / "records.jsonl", Attempt)
    lesson = records.read(run / "lessons" / "records.jsonl", Lesson)[0]
    fixed = next((a for a in after if a.verdict == "right" and before[a.question].verdict != "right"), None)
    # Model output is data: Text is printed as it is, never read as markup.
    console.print(Text.assemble(("\na lesson     ", "bold"), lesson.prompt, "\n             ", lesson.completion))
    if fixed is not None:
        for label, attempt in (("before", before[fixed.question]), ("after", fixed)):
            text = " ".join(attempt.text.split())
            shown = text if len(text) <= 300 else text[:300] + " …"
            console.print(Text.assemble((f"{label:<7}", "bold"), f"{attempt.verdict:<6}", shown))
