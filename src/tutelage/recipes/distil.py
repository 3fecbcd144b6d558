"""Distillation from a teacher whose probabilities are known: its texts first, then rounds on what the student writes itself [GKD: Agarwal et al. 2023, arXiv 2306.13649]."""

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import ConfigError, LessonError
from tutelage.exam import ExamConfig
from tutelage.lessons.rollouts import keep_rollouts
from tutelage.models.local.streaming import token_counter
from tutelage.models.specs import ModelSpec
from tutelage.recipes import RECIPES, planning
from tutelage.recipes.baselines import baselines, final_exams
from tutelage.recipes.corrections import round_seed
from tutelage.recipes.first_lessons import all_questions, first_lessons, training_questions
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.presets import Published
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.settings import Baseline, Teaching
from tutelage.tasks.task import Task
from tutelage.training.settings import USUAL, LoraConfig, TrainingConfig
from tutelage.types import Checkpoint, Label, Lesson, Question

_COMPARED = 200  # questions whose tokens are counted
_GKD = "Agarwal et al. 2023 as TRL's documentation has it for XSum"
_ON_POLICY = "Thinking Machines 2025, on-policy distillation, its cookbook"
PRESETS = {
    "gkd": {
        "on_policy": Published(0.5, _GKD),
        "beta": Published(0.5, _GKD),
        "distilling.learning_rate": Published(3e-4, _GKD),
    },
    "on_policy": {
        "on_policy": Published(1.0, _ON_POLICY),
        "beta": Published(1.0, _ON_POLICY),
        "rounds": Published(200, _ON_POLICY),
        "rollouts.questions": Published(512, _ON_POLICY),
        "rollouts.n": Published(4, _ON_POLICY),
        "rollouts.temperature": Published(1.0, _ON_POLICY),
        "training.learning_rate": Published(1e-3, _ON_POLICY),
        "training.lora.r": Published(128, _ON_POLICY),
        "distilling.batch": Published(2048, _ON_POLICY),
        "distilling.learning_rate": Published(1e-4, _ON_POLICY),
        "distilling.schedule": Published("constant", _ON_POLICY),
        "distilling.warmup": Published(0.0, _ON_POLICY),
    },
}


class RolloutsConfig(Settings):
    """What the student writes itself in a round."""

    questions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="training questions a round, drawn anew in each; null: all of them"
    )
    n: Annotated[int, Field(ge=1)] = Field(1, description="answers to each of those that the student is asked")
    temperature: Annotated[float, Field(ge=0)] = Field(1.0, description="of these answers")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="of an answer; what is cut off there is learned on, too. null: as in the exam"
    )

    def exam(self, final: ExamConfig) -> ExamConfig:
        """How the student is asked."""
        drawn = {"n": self.n, "temperature": self.temperature, "max_tokens": self.max_tokens or final.max_tokens}
        return final.model_copy(update={**drawn, "top_p": 1.0, "top_k": 0})


class Distilling(TrainingConfig):
    """How a round is learned."""

    epochs: Annotated[int, Field(ge=1)] = Field(1, description="passes over a round's texts")
    learning_rate: Annotated[float, Field(gt=0)] = Field(5e-5, description="AdamW; not tuned")
    lora: LoraConfig | None = Field(None, description="null: as `training` has it")


class Distil(Teaching):
    """Learn a teacher's texts, then its probabilities, on its texts and on the student's own."""

    recipe: Literal["distil"] = Field("distil", description="which recipe: its name, or package.module:RECIPE")
    preset: str = Field("house", description="gkd, on_policy: the published values, where `show` lists other ones")
    scorer: ModelSpec = Field(
        description="the white-box teacher: a model on this machine with the student's tokenizer and template"
    )
    texts: Literal["scorer", "teacher"] = Field(
        "scorer",
        description="who writes the lessons: the scorer, asked as students are, or `teacher`, as in Fine-tune-CoT; right ones are kept",
    )
    rounds: Annotated[int, Field(ge=1)] = Field(1, description="of rolling out, scoring and training")
    on_policy: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="share of a round's questions that the student answers itself; the others' texts are lessons"
    )
    beta: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5,
        description="0: KL(teacher, student); 1: KL(student, teacher); between them the generalised Jensen-Shannon divergence",
    )
    share: Annotated[float, Field(ge=0, le=1)] = Field(
        1.0,
        description="of the divergence; the rest is the likelihood of the lessons, never of the student's own texts",
    )
    top: Annotated[int, Field(ge=1)] = Field(
        32, description="likeliest tokens of the teacher in each place; all others are one"
    )
    rollouts: RolloutsConfig = RolloutsConfig()
    distilling: Distilling = Distilling()
    baselines: tuple[Baseline, ...] = Field(("zero_shot",), description="what stands beside it")

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Published]]:
        """Those of GKD and of on-policy distillation."""
        return PRESETS

    @model_validator(mode="after")
    def _the_recipe_decides(self) -> Self:
        if self.distilling.objective != USUAL or self.distilling.reflection is not None:
            raise ValueError(
                "distilling.objective: here it is imitate, with `beta`, `share` and `top`; leave it out, or put `training.objective: imitate` "
                "into another recipe"
            )
        if self.rollouts.n > 1 and self.rollouts.temperature == 0:
            raise ValueError(
                "rollouts: several answers at temperature 0 would all be the same; set a temperature such as 1.0"
            )
        return self

    def imitating(self) -> TrainingConfig:
        """The training of a round."""
        objective = {
            "name": "imitate",
            "scorer": self.scorer,
            "share": self.share,
            "beta": self.beta,
            "top": self.top,
            "rollouts": False,  # here they are lessons
        }
        lora = self.distilling.lora or self.training.lora  # else the adapters of the texts would be melted down
        own = {**self.distilling.model_dump(), "lora": lora and lora.model_dump()}
        return TrainingConfig.model_validate({**own, "objective": objective})


def teach(room: Classroom, config: Distil) -> Checkpoint:
    """Learn texts; then in each round let the student write, ask the scorer for its probabilities there, and learn them."""
    if config.texts == "teacher" or "teacher" in config.baselines:
        room.check(config.teacher)
    room.check(config.student)
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config)
    _check_scorer(room, config, train)
    final = config.exam.setup("taught", room.seed)

    elsewhere.sit(config.student, 0)
    taught = _texts(room, config, train)
    baselines(room, config, taught, train, test)
    student = room.fit("texts-student", config.student, taught, config.training)
    room.sit("texts", student, test, final)
    for number in range(1, config.rounds + 1):
        lessons = _lessons_of(room, config, number, student, (train, taught))
        label = Label(kind="training", round=number + 1)
        student = room.fit(f"{number}-distilled", student, lessons, config.imitating(), label)
    elsewhere.sit(student, config.rounds + 1)
    room.sit("distil", student, test, final)
    room.sit("scorer", config.scorer, test, final)
    return student


def _check_scorer(room: Classroom, config: Distil, train: Sequence[Question]) -> None:
    """Refuse a scorer that tells no probabilities, or cuts texts into other tokens than the student, before anything is learned.

    By the number of tokens alone; each token is compared once there are texts to be scored.
    """
    scorer = room.open(config.scorer)
    if not hasattr(scorer, "score"):
        raise ConfigError(
            f"scorer: {scorer.name} does not tell how likely a text is; name a model on this machine (hf:…)"
        )
    texts = [question.text for question in train[:_COMPARED]]
    counters = [token_counter(one) for one in (scorer, room.open(config.student))]
    sizes = [[count(text) for text in texts] for count in counters if count is not None]
    if len(sizes) == 2 and sizes[0] != sizes[1]:
        raise ConfigError(
            f"scorer: {scorer.name} cuts texts into other tokens than the student, so its probabilities say nothing of the student's: "
            "name a model with the student's tokenizer"
        )


def _texts(room: Classroom, config: Distil, train: Sequence[Question]) -> list[Lesson]:
    """What the student learns first: right answers to the training questions."""
    if config.texts == "teacher":
        return first_lessons(room, config, train)
    drawn = {"n": config.rationales.samples, "temperature": config.rationales.exam().temperature}
    setup = config.exam.model_copy(update=drawn).setup("taught", room.seed)
    label = Label(kind="rationales", who="teacher", round=1, split=config.questions.train)
    return room.filter("lessons", room.sit("rationales", config.scorer, train, setup, label=label), train)


def _lessons_of(
    room: Classroom, config: Distil, number: int, student: Checkpoint, have: tuple[Sequence[Question], Sequence[Lesson]]
) -> list[Lesson]:
    """A round's lessons: the student's own answers to a share of its questions, and the texts that the others have."""
    train, taught = have
    rng = random.Random(f"{room.seed}/{number}/rollouts")
    drawn = rng.sample(range(len(train)), min(config.rollouts.questions or len(train), len(train)))
    own = [train[place] for place in sorted(drawn[: round(config.on_policy * len(drawn))])]
    others = {train[place].id for place in drawn[len(own) :]}
    lessons = [lesson for lesson in taught if lesson.question in others]
    if own:
        setup = config.rollouts.exam(config.exam).setup("taught", round_seed(room, number))
        label = Label(
            kind="exam", who="student", round=number, split=config.questions.train, title=f"rollouts, round {number}"
        )
        attempts = room.sit(f"{number}-rollouts", student, own, setup, label=label)
        kept = keep_rollouts(attempts, room.task, {question.id: question for question in own}, number)
        lessons += room.lessons(f"{number}-lessons", kept, {"attempts": attempts}, needed=False, who="student")
    if not lessons:
        raise LessonError(
            f"round {number} has nothing to learn on: no answer of the student's says anything, and no other question has a lesson"
        )
    return lessons


def promised(config: Distil) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    told = f"distilled, {config.rounds} round{'s' if config.rounds > 1 else ''}"
    exams = final_exams(config, [("texts", 1, "taught its texts"), ("distil", config.rounds + 1, told)])
    teacher = {"teacher": exams.pop("teacher")} if "teacher" in exams else {}
    scorer = Label(who="teacher", round=None, split=config.questions.test, title="the scorer")
    return {**exams, "scorer": scorer, **teacher}


def lessons(room: Classroom, config: Distil) -> list[Lesson]:
    """The texts alone."""
    return _texts(room, config, training_questions(room, config))


def _expected(config: Distil, task: Task) -> list[Expected]:
    """The teacher's calls, where it writes the texts; the scorer is a model of one's own."""
    if config.texts == "teacher":
        return planning.of_teaching(config, task)
    return planning.own_exam(config, task)


RECIPE = Recipe(
    summary=RECIPES["distil"][1],
    settings=Distil,
    teach=teach,
    promised=promised,
    lessons=lessons,
    calls=_expected,
)
