"""Fine-tune-CoT: a large model's zero-shot rationales teach a small one to reason [Ho et al. 2022, arXiv 2212.10071]."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from tutelage.classroom.room import Classroom
from tutelage.recipes import RECIPES
from tutelage.recipes.baselines import baselines, final_exams
from tutelage.recipes.first_lessons import all_questions, first_lessons, lessons_alone
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.planning import of_teaching
from tutelage.recipes.presets import Published
from tutelage.recipes.recipe import Recipe
from tutelage.recipes.settings import Teaching
from tutelage.types import Checkpoint, Label

_CODE = "Ho et al. 2022, the authors' code"
PUBLISHED = {
    "rationales.calls": Published(2, "Ho et al. 2022, section 3.1"),
    "rationales.max_tokens": Published(128, "Ho et al. 2022, section 3.1; 512 to 2048 for long tasks"),
    "rationales.answer_tokens": Published(128, _CODE),
    "rationales.stop": Published((), _CODE),
    "training.epochs": Published(20, "Ho et al. 2022, appendix; the best epoch on test was reported"),
    "training.learning_rate": Published(3e-4, "Ho et al. 2022, appendix"),
    "training.schedule": Published("constant", "Ho et al. 2022, appendix"),
    "training.warmup": Published(0.0, "Ho et al. 2022, appendix"),
    "training.weight_decay": Published(0.01, f"{_CODE}: AdamW's own"),
    "training.max_grad_norm": Published(None, _CODE),
    "training.sort_window": Published(1, _CODE),
    "training.template": Published("paper", "Ho et al. 2022, section 3.1"),
    "exam.stop": Published((), _CODE),
    "exam.answer_tokens": Published(128, _CODE),
    "questions.copies": Published("keep", f"{_CODE}: five questions of MultiArith's test split are in train, too"),
}


class FinetuneCot(Teaching):
    """Teach a student with a teacher's step-by-step rationales, kept where their answer is right."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED

    recipe: Literal["finetune_cot"] = Field(
        "finetune_cot", description="which recipe: its name, or package.module:RECIPE"
    )


def teach(room: Classroom, config: FinetuneCot) -> Checkpoint:
    """Ask, keep what is right, train, examine; the baselines are the same exam without parts of it."""
    room.check(config.teacher, config.student)
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config, train_too=False)
    elsewhere.sit(config.student, 0)
    taught = first_lessons(room, config, train)
    baselines(room, config, taught, train, test)
    student = room.fit("student", config.student, taught, config.training)
    elsewhere.sit(student, 1)
    room.sit("finetune_cot", student, test, config.exam.setup("taught", room.seed))
    return student


def promised(config: FinetuneCot) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    return final_exams(config, [("finetune_cot", 1, "Fine-tune-CoT")])


RECIPE = Recipe(
    summary=RECIPES["finetune_cot"][1],
    settings=FinetuneCot,
    teach=teach,
    promised=promised,
    lessons=lessons_alone,
    calls=of_teaching,
)
