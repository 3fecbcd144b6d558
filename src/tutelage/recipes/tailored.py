"""Tailored learning: rounds of exam, feedback on the mistakes, and self-reflection [Wang et al. 2023, arXiv 2310.13332]."""

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom, Who
from tutelage.config import Settings, build
from tutelage.errors import ConfigError
from tutelage.exam import ExamConfig
from tutelage.lessons import reflection
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.mistakes import mistakes
from tutelage.recipes import RECIPES
from tutelage.recipes.baselines import baselines, final_exams, shots_for
from tutelage.recipes.corrections import ExamOutcome, calls_for, lessons_for, round_seed
from tutelage.recipes.first_lessons import asked_in_the_end, check_context, first_lessons, without_copies
from tutelage.recipes.planning import of_teaching
from tutelage.recipes.presets import Published, over
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.rounds import latest_that_holds, rounds_without_rise, why_kept
from tutelage.recipes.settings import Baseline, Splits, Teaching
from tutelage.runs import labels
from tutelage.tasks.task import Task, subset
from tutelage.training.settings import TrainingConfig
from tutelage.types import Attempt, Checkpoint, JsonObject, Label, Lesson, Question

ROUNDS = 20  # the most


class TailoredSplits(Splits):
    """Which questions are taught, which decide when to stop, and which are asked at the end."""

    dev: str | None = Field(None, description="a split of the task; default: held out of train")
    dev_limit: Annotated[int, Field(ge=1)] | None = Field(
        None, description="a fixed random subset of this size; null: 300 where the task makes its questions, else 100"
    )

    def dev_size(self, task: Task) -> int:
        """How many dev questions are asked: they choose the round, and where they are free there can be many."""
        return self.dev_limit or (300 if task.worked else 100)


class MistakesConfig(Settings):
    """The exam on the training questions, where the mistakes are made."""

    n: Annotated[int, Field(ge=1)] = Field(4, description="samples a question [Wang et al. 2023: 4]")
    temperature: Annotated[float, Field(ge=0)] = Field(1.0, description="[Wang et al. 2023: 1.0]")
    top_k: Annotated[int, Field(ge=0)] = Field(50, description="[Wang et al. 2023: 50]")
    own: bool = Field(
        False,
        description="the student's own right answers are positives of self-reflection too (ours: off in the paper)",
    )
    keep: Annotated[int, Field(ge=1)] = Field(4, description="different mistakes a question [Wang et al. 2023: 4]")
    questions: Annotated[int, Field(ge=1)] | None = Field(
        None, description="training questions in a round's exam, others each round; default: all"
    )

    def exam(self, final: ExamConfig) -> ExamConfig:
        """As long an answer as in the final exam: a shorter limit would count long right solutions as mistakes."""
        return ExamConfig(
            n=self.n, temperature=self.temperature, top_k=self.top_k, max_tokens=final.max_tokens, chunk=final.chunk
        )


class TailoredTraining(TrainingConfig):
    """How a round is trained."""

    epochs: Annotated[int, Field(ge=1)] = Field(2, description="passes over the lessons")


_APPENDIX = "Wang et al. 2023, GPT-J on GSM8K"
PUBLISHED = {
    "rationales.samples": Published(2, "self-reflection needs two"),
    "patience": Published(None, "Wang et al. 2023: 3 rounds are shown"),
    "feedback.rationales": Published(2, "self-reflection needs two"),
    "start": Published("warm", "Wang et al. 2023"),
    "training.epochs": Published(10, _APPENDIX),
    "training.learning_rate": Published(7e-6, _APPENDIX),
    "training.schedule": Published("constant", _APPENDIX),
    "training.warmup": Published(100, _APPENDIX),
    "training.weight_decay": Published(0.01, _APPENDIX),
    "training.batch": Published(16, _APPENDIX),
    "training.prompt_weight": Published(0.1, "Wang et al. 2023, the authors' code"),
    "training.reflection": Published({"weight": 0.5, "margin": 1.0, "pooling": "last_token"}, "Wang et al. 2023"),
}


class Tailored(Teaching):
    """Teach in rounds: the student sits an exam, and its mistakes become its next lessons."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED

    recipe: Literal["tailored"] = Field("tailored", description="which recipe: its name, or package.module:RECIPE")
    questions: TailoredSplits = TailoredSplits()
    rounds: Annotated[int, Field(ge=1, le=ROUNDS)] = Field(3, description="at most [Wang et al. 2023: 3]")
    patience: Annotated[int, Field(ge=1)] | None = Field(
        1, description="stop after this many rounds whose rise on dev is within its standard error; null: never"
    )
    first: Annotated[int, Field(ge=1)] | None = Field(
        None, description="training questions the first lessons are about; default: all. The others wait to be missed"
    )
    mistakes: MistakesConfig = MistakesConfig()
    feedback: FeedbackConfig = FeedbackConfig()
    review: Annotated[int, Field(ge=0)] = Field(
        50,
        description="questions that went up to the teacher and are put to the new student again, to see what it mended",
    )
    merge: Literal["union", "latest"] = Field("union", description="lessons of all rounds, or of the last alone")
    start: Literal["warm", "scratch"] = Field(
        "scratch",
        description="a round learns all lessons anew, which did better at two epochs (LOG.md), or goes on with the last student",
    )
    training: TailoredTraining = TailoredTraining()
    later: JsonObject = Field(
        default_factory=dict,
        description="training settings that differ from round 2 on, such as {learning_rate: 3.0e-5}",
    )
    baselines: tuple[Baseline, ...] = Field(("zero_shot", "fine_tune", "teacher"), description="what stands beside it")

    @model_validator(mode="after")
    def _later_rounds_can_train(self) -> Self:
        self.training_in(2)
        return self

    def training_in(self, number: int) -> TrainingConfig:
        """How round `number` is trained."""
        if number == 1 or not self.later:
            return self.training
        return build(TrainingConfig, over(self.training.model_dump(), self.later), "later")


def lessons(room: Classroom, config: Tailored) -> list[Lesson]:
    """The teacher's part that needs no student: the first lessons."""
    train, dev = _train_and_dev(room, config.questions)
    asked = asked_in_the_end(room, config.questions)
    train = without_copies(room, config.questions, train, (*dev, *asked))
    return first_lessons(room, config, subset(train, config.first))


def teach(room: Classroom, config: Tailored) -> Checkpoint:
    """Round 1 learns plain rationales; each further round learns from the mistakes of the student before it."""
    room.check(config.teacher, config.student)
    _check_practice(room, config)
    train, dev = _train_and_dev(room, config.questions)
    test = room.questions(config.questions.test, config.questions.test_limit)
    train = without_copies(room, config.questions, train, (*dev, *test))
    check_context(room, config, [*train, *dev, *test], train)
    setup = config.exam.setup("taught", room.seed)

    lessons = first_lessons(room, config, subset(train, config.first))
    baselines(room, config, lessons, train, test)
    student: Who = config.student
    sat: list[tuple[list[Attempt], Checkpoint]] = []
    for number in range(1, config.rounds + 1):
        attempts = _exam(room, config, number, student, train, lessons)
        missed = mistakes(attempts, config.mistakes.keep)
        fresh: list[Lesson] = []
        if number > 1:
            if over := _why_no_round(room, config, missed):
                room.note(f"{number}-exam", over)
                break
            fresh = lessons_for(room, config, number, ExamOutcome(train, attempts, missed, lessons), (*dev, *test))
            if not fresh:
                room.note(f"{number}-exam", "the teacher says nothing that was not learned already; no further round")
                break
            lessons = reflection.merge(lessons, fresh) if config.merge == "union" else fresh
        begin = student if config.start == "warm" else config.student
        own = [attempt for attempt in attempts if attempt.verdict == "right" and config.mistakes.own]
        taught = reflection.against(lessons, missed, own)
        trained = room.fit(f"{number}-student", begin, taught, config.training_in(number))
        student = trained
        mended = [question for question in train if question.id in {lesson.question for lesson in fresh}]
        if config.review and mended:
            room.sit(
                f"{number}-review",
                trained,
                subset(mended, config.review),
                setup,
                label=_told("taught questions again", number, config.questions.train, "review"),
            )
        label = _told("dev questions", number, config.questions.dev or "dev")
        sat.append((room.sit(f"{number}-dev", trained, dev, setup, label=label), trained))
        room.sit(f"{number}-test", trained, test, setup)
        if config.patience is not None and rounds_without_rise([attempts for attempts, _ in sat]) >= config.patience:
            break
    best = latest_that_holds([attempts for attempts, _ in sat])
    return room.promote("student", sat[best][1], why_kept(best, [attempts for attempts, _ in sat]))


def _why_no_round(room: Classroom, config: Tailored, missed: Sequence[Attempt]) -> str:
    """Why no further round is taught; empty where one is."""
    if config.feedback.writes == "own":  # the student's own answers cost nothing
        return ""
    if room.buying.is_over:
        return "budget.until is used: no more lessons are bought, and no further round is taught"
    return "" if missed else "no mistakes are left to learn from (what is unread or cut off is none)"


def _check_practice(room: Classroom, config: Tailored) -> None:
    if config.feedback.practice and not room.task.grades_inventions:
        raise ConfigError(
            f"feedback.practice={config.feedback.practice}: task {room.task.name!r} can only grade questions that it made "
            "itself; set feedback.practice=0"
        )


def _train_and_dev(room: Classroom, splits: TailoredSplits) -> tuple[list[Question], list[Question]]:
    """The training questions and the dev questions, which no training question repeats."""
    size = splits.dev_size(room.task)
    if splits.dev is not None:
        return room.questions(splits.train, splits.train_limit), room.questions(splits.dev, size)
    together = None if splits.train_limit is None else splits.train_limit + size
    every = room.questions(splits.train, together)
    count = min(size, len(every) // 5)
    if count < 1:
        raise ConfigError(
            f"split {splits.train!r} has {len(every)} questions, too few to hold dev questions out; name a split in questions.dev"
        )
    dev = subset(every, count)
    texts = {question.text for question in dev}
    return [question for question in every if question.text not in texts], dev


def _exam(
    room: Classroom, config: Tailored, number: int, student: Who, train: Sequence[Question], lessons: Sequence[Lesson]
) -> list[Attempt]:
    """The exam on training questions; the untuned student, who knows no format, is shown worked examples."""
    if number == 1 and config.training.plain:
        return []  # nothing in round 1 would use it
    limit = config.mistakes.questions
    asked = list(train)
    if limit is not None and limit < len(asked):
        drawn = set(random.Random(f"{room.seed}/{number}/exam").sample(range(len(asked)), limit))
        asked = [question for place, question in enumerate(asked) if place in drawn]
    settings, seed = config.mistakes.exam(config.exam), round_seed(room, number)
    shown = shots_for(room, config, lessons, asked) if number == 1 else []
    setup = settings.setup("few_shot_cot" if shown else "taught", seed, shown)
    label = _told("training questions", number - 1, config.questions.train)
    return room.sit(f"{number}-exam", student, asked, setup, label=label)


def promised(config: Tailored) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    rounds = [(f"{number}-test", number, f"tailored, round {number}") for number in range(1, config.rounds + 1)]
    if config.training.plain and config.training.prompt_weight == 0:
        rounds[0] = ("1-test", 1, "Fine-tune-CoT (round 1)")  # plain rationales and nothing else
    return final_exams(config, rounds)


def _told(what: str, after: int, split: str, kind: str = "exam") -> Label:
    """The label of an exam that the student sits on the way."""
    return Label(kind=kind, round=after, split=split, title=f"{what}, {labels.student(after)}")


def calls(config: Tailored, task: Task) -> list[Expected]:
    """The teacher's calls: the first lessons, and in each further round as many as there may be mistakes."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    asked = config.mistakes.questions or len(train)
    each = calls_for(config, task, train, asked, config.exam.longest())
    later = [row.times(config.rounds - 1) for row in each] if config.rounds > 1 else []
    return of_teaching(config, task, config.first) + later


RECIPE = Recipe(
    summary=RECIPES["tailored"][1],
    settings=Tailored,
    teach=teach,
    promised=promised,
    lessons=lessons,
    calls=calls,
)
