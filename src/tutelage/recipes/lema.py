"""LEMA: learn from chains, and from corrections of wrong chains [An et al. 2023, arXiv 2310.20689]."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom, Who
from tutelage.errors import ConfigError
from tutelage.lessons.correcting import corrections, repeated
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.mistakes import mistakes
from tutelage.models.local.streaming import token_counter
from tutelage.models.specs import ModelSpec
from tutelage.recipes import RECIPES, planning
from tutelage.recipes.baselines import baselines, exemplars, final_exams
from tutelage.recipes.corrections import ExamOutcome, calls_for, lessons_for, round_seed
from tutelage.recipes.first_lessons import all_questions, first_lessons, lessons_alone
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.planning import of_teaching
from tutelage.recipes.presets import Published
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.settings import SHOTS, Baseline, RationalesConfig, Teaching
from tutelage.recipes.tailored_settings import MistakesConfig
from tutelage.tasks.task import Task, subset
from tutelage.types import Attempt, Checkpoint, Label, Lesson, Question

_SCRIPT = "An et al. 2023, the authors' script for 7B and GSM8K"
PUBLISHED = {
    "training.schedule": Published("constant", _SCRIPT),
    "training.batch": Published(96, _SCRIPT),
    "training.max_grad_norm": Published(0.3, _SCRIPT),
    "training.lora": Published(
        {"r": 64, "alpha": 16, "dropout": 0.05, "targets": "all-linear", "base": "nf4"}, _SCRIPT
    ),
}


class CorrectingFeedback(FeedbackConfig):
    """What the corrector is asked for."""

    form: Literal["solution", "scribe"] = Field(
        "scribe",
        description="scribe: which steps stand and how it goes on from there, as in the paper; what cannot be used is asked for as a whole "
        "solution. solution: whole solutions alone, which name no step",
    )
    writes: Literal["feedback"] = Field("feedback", description="a corrector corrects")
    of: Literal["missed", "unsolved"] = Field(
        "missed", description="unsolved: only questions that no sample answered rightly"
    )
    own: Annotated[int, Field(ge=0, le=0)] = Field(0, description="the student's own right answers are no corrections")
    practice: Annotated[int, Field(ge=0, le=0)] = Field(0, description="exercises are no corrections")
    shown: Annotated[int, Field(ge=1, le=1)] = Field(1, description="a correction is of one wrong chain")


class Lema(Teaching):
    """Learn from chains, and from what a corrector says of wrong ones; the exam asks for chains alone."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED

    recipe: Literal["lema"] = Field("lema", description="which recipe: its name, or package.module:RECIPE")
    writers: tuple[ModelSpec, ...] = Field(
        (),
        description="whose wrong chains are corrected, one or several models; none: the student's own, once it has learned the chains",
    )
    corrector: ModelSpec | None = Field(None, description="who corrects them; null: the teacher")
    mistakes: MistakesConfig = MistakesConfig()
    feedback: CorrectingFeedback = CorrectingFeedback()
    mix: Literal["both", "chains", "corrections"] = Field(
        "both",
        description="what the student learns; the ablations repeat what is left until it has as many target tokens as both have",
    )
    baselines: tuple[Baseline, ...] = Field(("zero_shot", "fine_tune", "teacher"), description="what stands beside it")

    @model_validator(mode="after")
    def _writers_differ(self) -> Self:
        if len({str(one) for one in self.writers}) < len(self.writers):
            raise ValueError("writers: the same model stands there twice; its chains would be the same")
        return self


class _Correcting(NamedTuple):
    """What is asked of the corrector."""

    teacher: Who
    rationales: RationalesConfig
    feedback: FeedbackConfig


def teach(room: Classroom, config: Lema) -> Checkpoint:
    """Chains of the teacher; wrong chains of the writers; their corrections; and one training on the mixture."""
    room.check(config.teacher, config.student, *config.writers, *([config.corrector] if config.corrector else []))
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config)
    setup = config.exam.setup("taught", room.seed)

    elsewhere.sit(config.student, 0)
    chains = first_lessons(room, config, train)
    baselines(room, config, chains, train, test)
    writers: list[Who] = list(config.writers)
    if not writers:
        label = Label(kind="training", who="student", round=0)
        writers = [room.fit("chains-student", config.student, chains, config.training, label)]
        room.sit("chains", writers[0], test, setup)
    corrected: list[Lesson] = []
    for number, writer in enumerate(writers, 1):
        corrected += _corrected(room, config, (number, writer), train, chains, test)
    student = room.fit("student", config.student, _mixed(room, config, chains, corrected), config.training)
    elsewhere.sit(student, 1)
    room.sit("lema", student, test, setup)
    return student


def _corrected(
    room: Classroom,
    config: Lema,
    who: tuple[int, Who],
    train: Sequence[Question],
    chains: Sequence[Lesson],
    test: Sequence[Question],
) -> list[Lesson]:
    """The corrections of one writer's wrong chains."""
    number, writer = who
    attempts = _chains_of(room, config, number, writer, train, chains)
    missed = mistakes(attempts, 1)
    errors = ExamOutcome(train, attempts, missed, chains)
    asking = _Correcting(config.corrector or config.teacher, config.rationales, config.feedback)
    said = lessons_for(room, asking, number, errors, test) if missed else []
    shown = {one.question: one for one in missed}
    kept = corrections(said, shown, number)
    return room.lessons(f"{number}-corrections", kept, {"said": said, "shown": missed}, needed=False)


def _chains_of(
    room: Classroom, config: Lema, number: int, writer: Who, train: Sequence[Question], chains: Sequence[Lesson]
) -> list[Attempt]:
    """A writer's exam on training questions; whoever was not taught is shown worked examples."""
    settings = config.mistakes.exam(config.exam)
    asked = subset(train, config.mistakes.questions)
    taught = isinstance(writer, Checkpoint)
    shown = [] if taught else exemplars(chains, config.shots or SHOTS)
    setup = settings.setup("taught" if taught else "few_shot_cot", round_seed(room, number), shown)
    title = "training questions, the student" if taught else f"training questions, writer {number}"
    label = Label(kind="exam", who="writer", split=config.questions.train, title=title)
    return room.sit(f"{number}-exam", writer, asked, setup, label=label)


def _mixed(room: Classroom, config: Lema, chains: list[Lesson], corrected: list[Lesson]) -> list[Lesson]:
    """What the student learns: both, or one of them as often as makes as many target tokens."""
    if not corrected and config.mix != "chains":
        raise ConfigError(
            "there is not one correction to learn from: the steps before say what became of them; ask weaker writers, or more "
            "questions (mistakes.questions)"
        )
    both = [*chains, *corrected]
    counted = token_counter(room.open(config.student)) or planning.tokens
    size: Callable[[Lesson], int] = lambda lesson: counted(lesson.completion) + 1  # its end is learned, too  # noqa: E731
    total = sum(map(size, both))
    room.note(
        "student",
        f"{len(chains)} chains and {len(corrected)} corrections, {sum(map(size, corrected)) / total:.0%} of their tokens",
    )
    if config.mix == "both":
        return both
    taught = repeated(chains if config.mix == "chains" else corrected, size, total, f"{room.seed}/{config.mix}")
    room.note(
        "student",
        f"{config.mix} alone, repeated: {len(taught)} lessons of {sum(map(size, taught))} tokens, where both have {total}",
    )
    return taught


def promised(config: Lema) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    title = {"both": "LEMA", "chains": "LEMA's chains alone", "corrections": "LEMA's corrections alone"}[config.mix]
    before = [] if config.writers else [("chains", 0, "Fine-tune-CoT")]
    return final_exams(config, [*before, ("lema", 1, title)])


def _expected(config: Lema, task: Task) -> list[Expected]:
    """The teacher's calls, the writers' chains, and the corrector's calls where everything were missed."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    asked = min(len(train), config.mistakes.questions or len(train))
    corrector = config.corrector or config.teacher
    asking = _Correcting(corrector, config.rationales, config.feedback)
    rows = list(of_teaching(config, task))
    for number, writer in enumerate(config.writers, 1):
        shots = (config.shots or SHOTS) * 200
        each = sum(planning.tokens(question.text) for question in train) // max(1, len(train)) + shots
        many = asked * config.mistakes.n
        spans = ((asked * each // 2, 2 * asked * each), (many * 20, many * config.exam.longest()))
        rows.append(Expected(f"chains of writer {number}", asked, *spans, who=writer))
    each_writer = calls_for(asking, task, train, asked, config.exam.longest())
    many = max(1, len(config.writers))
    rows += [row.times(many)._replace(who=config.corrector) for row in each_writer]
    return rows


RECIPE = Recipe(
    summary=RECIPES["lema"][1],
    settings=Lema,
    teach=teach,
    promised=promised,
    lessons=lessons_alone,
    calls=_expected,
)
