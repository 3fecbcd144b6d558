"""What recipes that teach have in common: their settings, and the baselines that stand beside a method in its table."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import ModelError
from tutelage.exam import ANOTHER_QUESTION, ExamConfig, ExamSetup
from tutelage.launch import HERE
from tutelage.lessons import rationales
from tutelage.lessons.trial import Trial
from tutelage.lessons.wording import ARROW
from tutelage.models.specs import ModelSpec
from tutelage.recipes.presets import Preset, Published, resolved
from tutelage.spending import BudgetConfig
from tutelage.tasks import contamination
from tutelage.tasks.contamination import HeldOut
from tutelage.training.settings import USUAL, TrainingConfig
from tutelage.types import Form, Label, Lesson, Question

Baseline = Literal["zero_shot", "zero_shot_cot", "few_shot_cot", "fine_tune", "teacher"]


SHOTS = 8  # worked examples where nothing else is asked for [Wei et al. 2022]


class Splits(Settings):
    """Which questions are taught and which are asked at the end."""

    train: str = "train"
    test: str = "test"
    train_limit: Annotated[int, Field(ge=1)] | None = Field(None, description="a fixed random subset of this size")
    test_limit: Annotated[int, Field(ge=1)] | None = Field(None, description="a fixed random subset of this size")

    copies: Literal["drop", "keep"] = Field(
        "drop", description="training questions that are test questions, too; keep: as some published splits do"
    )


class RationalesConfig(Settings):
    """How the teacher reasons aloud."""

    samples: Annotated[int, Field(ge=1)] = Field(
        1,
        description="rationales a question, D [Ho et al. 2022: 1, or for diverse reasoning 8 or 64]; more sets contain fewer",
    )
    temperature: Annotated[float, Field(gt=0)] = Field(
        0.7, description="with samples > 1; a single rationale is greedy [Ho et al. 2022, section 3.2]"
    )
    calls: Literal[1, 2] = Field(
        1,
        description="1: reasoning and answer in one reply, kept where it clearly commits to the right answer; 2: zero-shot-CoT, "
        "which asks for the answer in a second call, for models that follow no instruction",
    )
    max_tokens: Annotated[int, Field(ge=1)] = Field(
        512,
        description="longest rationale; a longer one is cut and dropped. 128 cut 27 % of GPT-3.5's and 50 % of Mixtral's on "
        "SVAMP; a model that thinks needs thousands",
    )
    answer_tokens: Annotated[int, Field(ge=1)] = Field(32, description="longest reply to the second call")
    stop: tuple[str, ...] = Field((ANOTHER_QUESTION,), description="texts that end a rationale")
    accept_cut: bool = Field(
        False, description="go on although many of the first replies are cut off, failed or unread, and will be dropped"
    )

    @property
    def form(self) -> Form:
        """How the teacher is asked."""
        return "one_call_cot" if self.calls == 1 else "zero_shot_cot"

    def exam(self) -> ExamConfig:
        """The teacher's exam on the training questions: its right answers become lessons."""
        temperature = self.temperature if self.samples > 1 else 0.0
        return self.over(ExamConfig(n=self.samples, temperature=temperature))

    def over(self, exam: ExamConfig) -> ExamConfig:
        """An exam in which the teacher has the room that it has for its rationales."""
        return exam.model_copy(
            update={"max_tokens": self.max_tokens, "answer_tokens": self.answer_tokens, "stop": self.stop}
        )

    def setup(self, exam: ExamConfig, seed: int) -> ExamSetup:
        """What a teacher that sits an exam with these settings is asked."""
        return self.over(exam).setup(self.form, seed)


class Teaching(Settings):
    """The settings of every recipe that teaches a student with a teacher's rationales."""

    published: ClassVar[Mapping[str, Published]] = {}  # dotted key -> the value of the recipe's paper

    recipe: str = ""
    preset: Preset = Field("house", description="paper: the published values, where `show` lists another one")
    task: str | dict[str, Any] = Field("word_problems", description="`tutelage tasks` lists them")
    data: str | None = Field(None, description="folder of local copies of the published data sets")
    teacher: ModelSpec = Field("worked:", description="any OpenAI-compatible model, or an offline teacher")
    student: ModelSpec = Field("hf:smollm2", description="the model that learns")
    questions: Splits = Splits()
    rationales: RationalesConfig = RationalesConfig()
    training: TrainingConfig = TrainingConfig()
    exam: ExamConfig = ExamConfig()
    baselines: tuple[Baseline, ...] = Field(
        ("zero_shot", "zero_shot_cot", "few_shot_cot", "fine_tune", "teacher"),
        description="what stands beside it in the table [Ho et al. 2022, section 4]",
    )
    shots: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description=f"worked examples of few_shot_cot, taken from the lessons. null: {SHOTS}, or as many as the student can hold",
    )
    budget: BudgetConfig = BudgetConfig()
    cache: str | None = Field(None, description="file of the teacher's replies; default: one for all runs of this user")
    seed: int = Field(0, description="of sampling, of the order of lessons, of new weights")
    launch: str = Field(
        HERE, description="where work runs: a launcher's name or package.module:NAME; no part of the result"
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve_preset(cls, given: Any) -> Any:
        return resolved(given, cls.published)


def asked_in_the_end(room: Classroom, splits: Splits) -> list[Question]:
    """The test questions, as far as the task has any: whoever wants lessons alone may have none."""
    return room.questions(splits.test, splits.test_limit) if splits.test in room.task.splits else []


def without_copies(
    room: Classroom, splits: Splits, train: Sequence[Question], held_out: Sequence[Question]
) -> list[Question]:
    """The training questions that are not asked in the end, too; what else they share with those is told."""
    against = HeldOut(held_out)
    found = contamination.find(((question.id, question.text) for question in train), against)
    room.note("train", found.line())
    for kind, (name, shared) in found.examples.items():
        room.run.say(event="contamination", kind=kind, question=name, held_out=shared.question, text=shared.text)
    if splits.copies == "keep" or not found.counts["same"]:
        return list(train)
    known = {contamination.plain(question.text) for question in held_out}
    return [question for question in train if contamination.plain(question.text) not in known]


def first_lessons(room: Classroom, config: Teaching, questions: Sequence[Question]) -> list[Lesson]:
    """The teacher reasons aloud about the questions; what ends in the right answer is kept."""
    setup = config.rationales.setup(config.rationales.exam(), room.seed)
    trial = None if config.rationales.accept_cut else Trial(config.rationales.max_tokens)
    label = Label(kind="rationales", who="teacher", round=1, split=config.questions.train)
    return room.filter("lessons", room.sit("rationales", config.teacher, questions, setup, trial, label), questions)


def baselines(
    room: Classroom, config: Teaching, lessons: Sequence[Lesson], train: Sequence[Question], test: Sequence[Question]
) -> None:
    """The exams without the method, or without parts of it, as far as `config.baselines` names them."""
    setup = config.exam.setup
    if "teacher" in config.baselines:
        room.sit("teacher", config.teacher, test, config.rationales.setup(config.exam, room.seed))
    if "zero_shot" in config.baselines:
        room.sit("zero_shot", config.student, test, setup("zero_shot", room.seed))
    if "zero_shot_cot" in config.baselines:
        room.sit("zero_shot_cot", config.student, test, setup("zero_shot_cot", room.seed))
    if "few_shot_cot" in config.baselines:
        shown = shots_for(room, config, lessons, test)
        room.sit("few_shot_cot", config.student, test, setup("few_shot_cot", room.seed, shown))
    if "fine_tune" in config.baselines:
        answers = rationales.answers_only(room.task, train)
        # Answers hold no reasoning that a mistake could be set against, or of which a part could count more.
        training = config.training.model_copy(update={"reflection": None, "objective": USUAL})
        label = Label(kind="training", who="baseline")
        plain = room.fit("answers-student", config.student, answers, training, label)
        room.sit("fine_tune", plain, test, setup("taught", room.seed))


def check_room(
    room: Classroom, config: Teaching, questions: Sequence[Question], train: Sequence[Question] = ()
) -> None:
    """What the student could not hold in its exams is said before the teacher is paid.

    Of worked examples nothing is known yet but their questions: a number of them that cannot fit whatever is reasoned is
    refused, for the shortest questions of `train`.
    """
    forms: list[Form] = ["taught"]
    forms += [form for form in ("zero_shot", "zero_shot_cot") if form in config.baselines]
    setups = [config.exam.setup(form, room.seed) for form in forms]
    if "few_shot_cot" in config.baselines and config.shots is not None:
        least = sorted(train, key=lambda question: len(question.text))[: config.shots]
        shown = [(question.text, f"The answer is {question.answer}.") for question in least]
        setups.append(config.exam.setup("few_shot_cot", room.seed, shown))
    room.check_room(config.student, questions, *setups)


def shots_for(
    room: Classroom, config: Teaching, lessons: Sequence[Lesson], questions: Sequence[Question]
) -> list[tuple[str, str]]:
    """The worked examples of few-shot-CoT: as many as were asked for, else as leave room for an answer like the teacher's."""
    if config.shots is not None:
        return exemplars(lessons, config.shots)
    shown = exemplars(lessons, SHOTS)
    answer = config.exam.model_copy(update={"max_tokens": config.exam.max_tokens or config.rationales.max_tokens})
    for count in range(len(shown), 0, -1):
        try:
            room.check_room(config.student, questions, answer.setup("few_shot_cot", room.seed, shown[:count]))
        except ModelError:
            continue
        if count < len(shown):
            room.note(
                "few_shot_cot", f"shots {len(shown)} -> {count}: with more the student cannot hold every question"
            )
        return shown[:count]
    room.note(
        "few_shot_cot", f"shots {len(shown)} -> 0: the student cannot hold a worked example beside every question"
    )
    return []


def exemplars(lessons: Sequence[Lesson], shots: int) -> list[tuple[str, str]]:
    """Worked examples for few-shot-CoT from the training lessons, one a question.

    The authors use hand-written ones, some of which are test questions; these cannot be.
    """
    firsts = {lesson.question: lesson for lesson in reversed(lessons)}
    chosen = list(reversed(firsts.values()))[:shots]
    pairs = [lesson.completion.rpartition(ARROW) for lesson in chosen]
    return [
        (lesson.prompt, f"{rationale} The answer is {answer}.")
        for lesson, (rationale, _, answer) in zip(chosen, pairs, strict=True)
    ]


# What stands before the method in its table: a title, whose exam it is, and how many rounds of teaching lie behind it.
_BEFORE: dict[str, tuple[str, str, int | None]] = {
    "zero_shot": ("zero-shot", "student", 0),
    "zero_shot_cot": ("zero-shot-CoT", "baseline", 0),
    "few_shot_cot": ("few-shot-CoT", "baseline", 0),
    "fine_tune": ("fine-tune", "baseline", None),
}


def in_order(config: Teaching, taught: Sequence[tuple[str, int, str]]) -> dict[str, Label]:
    """The exams of the final table in their order, by step: baselines, what was taught, the teacher.

    `taught` are the exams of the method: step, rounds of teaching behind it, title.
    """
    asked: tuple[str, ...] = config.baselines
    rows = [(step, *row) for step, row in _BEFORE.items() if step in asked]
    rows += [(step, title, "student", number) for step, number, title in taught]
    rows += [("teacher", "teacher", "teacher", None)] if "teacher" in asked else []
    split = config.questions.test
    return {step: Label(who=who, round=number, split=split, title=title) for step, title, who, number in rows}
