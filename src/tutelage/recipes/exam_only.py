"""One exam and nothing else: what can this model do on this task?"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tutelage.config import Settings
from tutelage.exam import ExamConfig
from tutelage.models import Spec, parse
from tutelage.models.metered import BudgetConfig
from tutelage.recipes.classroom import Classroom
from tutelage.types import Attempt, Form


class ExamOnly(Settings):
    """Let one model sit one exam."""

    recipe: Literal["exam"] = "exam"
    model: str | dict[str, Any] = Field(description="who answers")
    task: str | dict[str, Any] = Field(description="`tutelage tasks` lists them")
    data: str | None = Field(None, description="folder of local copies of the published data sets")
    split: str = "test"
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="a fixed random subset of this size")
    form: Literal["auto", "taught", "zero_shot", "zero_shot_cot"] = Field(
        "auto", description="how it is asked; auto: as it was taught if it was trained here, else zero_shot_cot"
    )
    exam: ExamConfig = ExamConfig()
    budget: BudgetConfig = BudgetConfig()
    cache: str | None = Field(None, description="file of the paid replies; default: one for all runs of this user")
    seed: int = 0


def teach(room: Classroom, config: ExamOnly) -> list[Attempt]:
    """Ask and grade."""
    room.check(config.model)
    questions = room.questions(config.split, config.limit)
    return room.sit("exam", config.model, questions, config.exam.paper(form_of(config), room.seed))


def form_of(config: ExamOnly) -> Form:
    """The form an exam takes."""
    return natural_form(config.model) if config.form == "auto" else config.form


def natural_form(model: Spec) -> Form:
    """The form a model is asked in where nobody says another: what a student was trained for, else zero-shot-CoT."""
    spec = parse(model)
    note = Path(str(spec["name"])) / "student.json"
    if spec["kind"] in ("hf", "vllm") and note.exists():
        form: Form = json.loads(note.read_text(encoding="utf-8"))["form"]
        return form
    return "zero_shot_cot"


def titles(config: ExamOnly) -> dict[str, str]:
    """Step -> the name a reader knows."""
    return {"exam": "exam"}
