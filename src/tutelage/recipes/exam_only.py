"""One exam and nothing else: what can this model do on this task?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from tutelage.classroom.room import Classroom
from tutelage.errors import ModelError
from tutelage.exam import ExamConfig
from tutelage.launch import HERE
from tutelage.launch.catalog import Launch
from tutelage.models import LOCAL
from tutelage.models.specs import ModelSpec, Spec, leaves, parse
from tutelage.parsing import json_file
from tutelage.recipes import RECIPES
from tutelage.recipes.presets import Published, WithPresets
from tutelage.recipes.recipe import Recipe
from tutelage.spending import BudgetConfig
from tutelage.types import Attempt, Form, JsonObject, Label


class ExamOnly(WithPresets):
    """Let one model sit one exam."""

    published: ClassVar[Mapping[str, Published]] = {
        "calls": Published(2, "Kojima et al. 2022; Ho et al. 2022, section 3.1"),
        "exam.answer_tokens": Published(128, "Ho et al. 2022, the authors' code"),
        "exam.stop": Published((), "Ho et al. 2022, the authors' code"),
    }

    recipe: Literal["exam"] = Field("exam", description="which recipe: its name, or package.module:RECIPE")
    model: ModelSpec = Field(description="who answers")
    task: str | JsonObject = Field(description="`tutelage tasks` lists them")
    data: str | None = Field(None, description="folder of local copies of the published data sets")
    split: str = Field("test", description="whose questions are asked")
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="a fixed random subset of this size")
    preset: str = Field("house", description="paper: the published values, where `show` lists another one")
    form: Literal["auto", "taught", "zero_shot", "one_call_cot", "zero_shot_cot"] = Field(
        "auto", description="how it is asked; auto: as it was taught if it was trained here, else as `calls` says"
    )
    calls: Literal[1, 2] = Field(
        1, description="1: reasoning and answer in one reply; 2: zero-shot-CoT, which asks for the answer apart"
    )
    exam: ExamConfig = ExamConfig()
    budget: BudgetConfig = BudgetConfig()
    cache: str | None = Field(None, description="file of the paid replies; default: one for all runs of this user")
    seed: int = Field(0, description="of sampling")
    launch: Launch = HERE


def teach(room: Classroom, config: ExamOnly) -> list[Attempt]:
    """Ask and grade."""
    room.check(config.model)
    questions = room.questions(config.split, config.limit)
    return room.sit("exam", config.model, questions, config.exam.setup(form_of(config), room.seed))


def form_of(config: ExamOnly) -> Form:
    """The form an exam takes."""
    if config.form != "auto":
        return config.form
    return natural_form(config.model) or ("one_call_cot" if config.calls == 1 else "zero_shot_cot")


def natural_form(model: Spec) -> Form | None:
    """The form that a student was trained for here; of a solver that of the part which is asked first, unless another one was trained for another.

    Whoever was not trained here reads any form, and is told how to end its answer by `prompted`. None for any other model.
    """
    first, *others = (_form_of(leaf.spec) for leaf in leaves(parse(model)))
    return first if all(one in (first, None) for one in others) else None


def _form_of(spec: Mapping[str, object]) -> Form | None:
    note = Path(str(spec.get("name", ""))) / "student.json"
    if spec["kind"] not in LOCAL or not note.exists():
        return None
    form: Any = json_file(note).get("form")
    if form not in get_args(Form):
        raise ModelError(f"{note} names no form that a student is asked in; it was changed since it was written")
    known: Form = form
    return known


def promised(config: ExamOnly) -> dict[str, Label]:
    """The one exam."""
    return {"exam": Label(round=0, split=config.split, title="exam")}


RECIPE = Recipe(summary=RECIPES["exam"][1], settings=ExamOnly, teach=teach, promised=promised)
