"""After SERT: a student first learns those of its own answers that look like reasoning, then a teacher's rationales [Zhang et al. 2025, arXiv 2502.12744].

Only an outline of the paper could be read: what it leaves open is ours (`docs/methods.md`).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.evaluation.intervals import wilson
from tutelage.exam import ExamConfig
from tutelage.lessons.paths import FormRules, keep_paths, looks_like_reasoning
from tutelage.recipes import RECIPES
from tutelage.recipes.baselines import baselines, final_exams
from tutelage.recipes.first_lessons import all_questions, first_lessons, lessons_alone
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.planning import of_teaching
from tutelage.recipes.recipe import Recipe
from tutelage.recipes.settings import Baseline, Teaching
from tutelage.training.settings import TrainingConfig
from tutelage.types import Attempt, Checkpoint, Label, Question


class PathsConfig(Settings):
    """How the untaught student's answers are drawn, and which are kept."""

    n: Annotated[int, Field(ge=1)] = Field(8, description="answers a question, to the question alone")
    temperature: Annotated[float, Field(gt=0)] = Field(
        1.0, description="latent paths are unlikely ones: greedy answers have none"
    )
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = Field(50, description="0 is off")
    keep: Annotated[int, Field(ge=1)] = Field(2, description="different ones a question that are learned")
    rules: FormRules = FormRules()

    def exam(self, final: ExamConfig) -> ExamConfig:
        """As long an answer as in the final exam."""
        drawn = {"n": self.n, "temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return final.model_copy(update=drawn)


class SelfTraining(TrainingConfig):
    """How the student learns its own paths."""

    epochs: Annotated[int, Field(ge=1)] = Field(
        1, description="passes over the paths: they are there already, and are to be raised"
    )


class Sert(Teaching):
    """Raise what of the student's own answers looks like reasoning, then teach it a teacher's rationales."""

    recipe: Literal["sert"] = Field("sert", description="which recipe: its name, or package.module:RECIPE")
    paths: PathsConfig = PathsConfig()
    self_training: SelfTraining = SelfTraining()
    beside: bool = Field(True, description="Fine-tune-CoT stands beside it: the same lessons without self-training")
    baselines: tuple[Baseline, ...] = Field(("zero_shot", "fine_tune", "teacher"), description="what stands beside it")


def teach(room: Classroom, config: Sert) -> Checkpoint:
    """Draw answers, keep what looks like reasoning, learn it; then learn the teacher's rationales from there."""
    room.check(config.teacher, config.student)
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config)
    final = config.exam.setup("taught", room.seed)

    elsewhere.sit(config.student, 0)
    raised = _raised(room, config, train)
    taught = first_lessons(room, config, train)
    baselines(room, config, taught, train, test)
    _tell_of_reasoning(room, config, raised, test)
    if config.beside:
        label = Label(kind="training", who="baseline", round=1)
        plain = room.fit("plain-student", config.student, taught, config.training, label)
        room.sit("finetune_cot", plain, test, final)
    student = room.fit("student", raised, taught, config.training)
    elsewhere.sit(student, 1)
    room.sit("sert", student, test, final)
    return student


def _raised(room: Classroom, config: Sert, train: Sequence[Question]) -> Checkpoint:
    """The student that has learned its own paths."""
    asked = {question.id: question for question in train}
    label = Label(kind="exam", who="student", round=0, split=config.questions.train, title="training questions, unled")
    drawn = config.paths.exam(config.exam).setup("zero_shot", room.seed)
    attempts = room.sit("paths", config.student, train, drawn, label=label)
    kept = keep_paths(attempts, room.task, asked, config.paths.rules, config.paths.keep)
    if not kept.lessons:
        raise LessonError(
            f"none of the student's answers looks like reasoning: {kept.line()}; switch a rule off (paths.rules), or draw more (paths.n)"
        )
    inputs = {"attempts": attempts, "rules": config.paths.rules, "keep": config.paths.keep}
    paths = room.lessons("paths-lessons", kept, inputs, who="student")
    right = {(attempt.question, attempt.sample) for attempt in attempts if attempt.verdict == "right"}
    also = sum((one.question, one.sample) in right for one in paths)
    room.note("paths-lessons", f"{also} of the {len(paths)} paths end in the right answer, which was not asked of them")

    trained = Label(kind="training", who="student", round=0)
    return room.fit("self-student", config.student, paths, config.self_training, trained)


def _tell_of_reasoning(room: Classroom, config: Sert, raised: Checkpoint, test: Sequence[Question]) -> None:
    """How often the student reasons unled, as it came and now."""
    unled = config.exam.setup("zero_shot", room.seed)
    told = Label(kind="exam", who="baseline", round=0, split=config.questions.test, title="zero-shot, as it came")
    step = "zero_shot" if "zero_shot" in config.baselines else "unled"
    before = room.sit(step, config.student, test, unled, label=None if step == "zero_shot" else told)
    after = room.sit("self_zero_shot", raised, test, unled)
    texts = {question.id: question.text for question in test}
    room.note(
        "self_zero_shot",
        f"looks like reasoning, unled: {_rate(before, texts, config)} as it came, {_rate(after, texts, config)} now",
        sign=True,
    )


def _rate(attempts: Sequence[Attempt], texts: dict[str, str], config: Sert) -> str:
    """The share of answers that look like reasoning, with its interval."""
    found, total = looks_like_reasoning(attempts, texts, config.paths.rules)
    low, high = wilson(found, total)
    return f"{found / max(1, total):.1%} [{low:.1%}, {high:.1%}]"


def promised(config: Sert) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    own = [("self_zero_shot", 0, "zero-shot, self-trained")]
    plain = [("finetune_cot", 1, "Fine-tune-CoT")] if config.beside else []
    exams = final_exams(config, [*own, *plain, ("sert", 1, "after SERT")])
    if config.beside:
        exams["finetune_cot"] = Label(who="baseline", round=1, split=config.questions.test, title="Fine-tune-CoT")
    return exams


RECIPE = Recipe(
    summary=RECIPES["sert"][1],
    settings=Sert,
    teach=teach,
    promised=promised,
    lessons=lessons_alone,
    calls=of_teaching,
)
