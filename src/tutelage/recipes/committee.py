"""A committee of teachers with peer review (FAIR): each explains the mistake and solves the question, and the others score how [Li et al. 2024, arXiv 2410.03663]."""

import random
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom
from tutelage.errors import ConfigError, ModelError
from tutelage.exam import ExamConfig
from tutelage.lessons import committee as reviewing
from tutelage.lessons import rationales
from tutelage.lessons.committee import Member, ReviewConfig, Reviewed, Said
from tutelage.lessons.mistakes import mistakes
from tutelage.models.specs import ModelSpec
from tutelage.recipes import RECIPES, planning
from tutelage.recipes.baselines import baselines, final_exams
from tutelage.recipes.corrections import round_seed
from tutelage.recipes.first_lessons import all_questions
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.presets import Published
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.settings import Baseline, Teaching
from tutelage.recipes.tailored_settings import MistakesConfig
from tutelage.tasks.task import Task, subset
from tutelage.training.settings import USUAL, TrainingConfig
from tutelage.types import Attempt, Checkpoint, Feedback, Label, Question, Sampling

_CODE = "Li et al. 2024, the authors' code"
PUBLISHED = {
    "temperature": Published(0.8, _CODE),
    "review.every": Published(True, _CODE),
    "mistakes.n": Published(1, _CODE),
    "mistakes.temperature": Published(0.3, _CODE),
    "training.learning_rate": Published(1e-5, _CODE),
    "training.schedule": Published("constant", _CODE),
    "training.warmup": Published(0.03, _CODE),
    "training.epochs": Published(10, _CODE),
    "training.batch": Published(16, _CODE),
    "training.weight_decay": Published(0.01, _CODE),
    "training.max_grad_norm": Published(0.3, _CODE),
    "training.max_length": Published(512, _CODE),
}


class Committee(Teaching):
    """Teach what a committee says of the student's mistakes: one remark and one solution a question, which verdict and peers let through."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED

    recipe: Literal["committee"] = Field("committee", description="which recipe: its name, or package.module:RECIPE")
    peers: tuple[ModelSpec, ...] = Field(
        description="the other teachers of the committee, one or more; `teacher` is the first"
    )
    asked: Literal["one_call_cot", "zero_shot_cot"] = Field(
        "one_call_cot", description="how the untaught student is asked the training questions"
    )
    mistakes: MistakesConfig = MistakesConfig()
    blind: bool = Field(False, description="who explains a mistake is not told the right answer")
    temperature: Annotated[float, Field(ge=0)] = Field(0.7, description="of remarks and reviews")
    review: ReviewConfig = ReviewConfig()
    alpha: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="weight of the remarks on mistakes, beside 1 - alpha for the solutions [Li et al. 2024: 0.5]"
    )
    single: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="the ablation in which one teacher alone, by its number, writes the lessons; the others still score",
    )
    most: Annotated[int, Field(ge=1)] | None = Field(
        None, description="lessons that are learned, drawn at random: as many for a single teacher as for the committee"
    )
    baselines: tuple[Baseline, ...] = Field(("zero_shot", "teacher"), description="what stands beside it")

    @model_validator(mode="after")
    def _it_is_a_committee(self) -> Self:
        everybody = [str(one) for one in (self.teacher, *self.peers)]
        if len(everybody) < 2:
            raise ValueError("peers: a committee of one has nobody to score it; name another teacher")
        if len(set(everybody)) < len(everybody):
            raise ValueError("peers: the same teacher stands there twice; its scores would be of itself")
        if self.single is not None and self.single > len(everybody):
            raise ValueError(f"single={self.single}: the committee has {len(everybody)} teachers")
        return self

    @model_validator(mode="after")
    def _alpha_decides(self) -> Self:
        if self.training.objective != USUAL or self.training.reflection is not None:
            raise ValueError(
                "training.objective: here it is likelihood of solutions and of remarks, and alpha weighs them; leave it out"
            )
        if {"few_shot_cot", "fine_tune"} & set(self.baselines):
            raise ValueError(
                "baselines: few_shot_cot and fine_tune need lessons on all training questions, which a committee does not write"
            )
        return self

    def everybody(self) -> dict[int, str | dict[str, object]]:
        """The teachers by their numbers."""
        return dict(enumerate((self.teacher, *self.peers), 1))

    def mixed(self) -> TrainingConfig:
        """The training with its two parts."""
        parts = {"likelihood": 1 - self.alpha, "critique": self.alpha} if self.alpha else USUAL
        return TrainingConfig.model_validate({**self.training.model_dump(), "objective": parts})


class _Missed(NamedTuple):
    """The questions that the student missed, and how."""

    questions: list[Question]
    attempts: dict[str, Attempt]


def teach(room: Classroom, config: Committee) -> Checkpoint:
    """The student errs; each teacher explains and solves; the others score; what is accepted is learned."""
    room.check(config.student, *config.everybody().values())
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config)
    elsewhere.sit(config.student, 0)
    baselines(room, config, [], train, test)

    missed = _mistakes(room, config, train)
    remarks = _remarks(room, config, missed)
    said: dict[int, Said] = {}
    found: list[Reviewed] = []
    for number in remarks:
        attempts = _solutions(room, config, number, missed)
        kept = rationales.keep(attempts, room.task, missed.questions, 1)
        said[number] = Said(_usable(remarks[number]), {lesson.question: lesson for lesson in kept.lessons})
        found += reviewing.reviewed(number, attempts, _reviews(room, config, number, missed, attempts, list(remarks)))
    names = {number: str(room.open(config.everybody()[number]).name) for number in said}
    for line in reviewing.account(found, names, config.review.least):
        room.note("lessons", line, sign=True)
    writers = (
        said if config.single is None else {number: one for number, one in said.items() if number == config.single}
    )
    accepted = [one for one in found if one.verdict == "right" and one.is_accepted(config.review.least)]
    whole = reviewing.assemble(missed.questions, writers, accepted, missed.attempts, room.seed)
    inputs = {
        "remarks": list(remarks.values()),
        "reviewed": found,
        "single": config.single,
        "least": config.review.least,
    }
    lessons = room.lessons("lessons", whole, inputs)
    if config.most is not None and len(lessons) < config.most:
        raise ConfigError(
            f"most={config.most}: the committee let only {len(lessons)} lessons through; set most={len(lessons)} for every arm"
        )
    drawn = sorted(random.Random(f"{room.seed}/most").sample(range(len(lessons)), config.most or len(lessons)))
    taught = [lessons[place] for place in drawn]
    student = room.fit("student", config.student, taught, config.mixed())
    elsewhere.sit(student, 1)
    room.sit("committee", student, test, config.exam.setup("taught", room.seed))
    return student


def _mistakes(room: Classroom, config: Committee, train: Sequence[Question]) -> _Missed:
    asked = subset(train, config.mistakes.questions)
    setup = config.mistakes.exam(config.exam).setup(config.asked, round_seed(room, 1))
    label = Label(
        kind="exam", who="student", round=0, split=config.questions.train, title="training questions, untaught"
    )
    wrong = mistakes(room.sit("mistakes", config.student, asked, setup, label=label), 1)
    shown = {one.question: one for one in wrong}
    if not shown:
        raise ConfigError(
            "the student made no mistake that could be read: the committee has nothing to say; ask more questions, or others"
        )
    return _Missed([question for question in asked if question.id in shown], shown)


def _remarks(room: Classroom, config: Committee, missed: _Missed) -> dict[int, list[Feedback]]:
    """What each teacher says is wrong, by its number. A teacher that cannot be asked is left out, from here on and when the run goes on."""
    told: dict[int, list[Feedback]] = {}
    why: dict[int, str] = {}
    decided = (room.run.path / "members" / "step.json").exists()
    for number, who in config.everybody().items():
        if decided and not (room.run.path / f"remarks-{number}" / "step.json").exists():
            continue
        chats = [reviewing.explain(room.task, one, missed.attempts[one.id], config.blind) for one in missed.questions]
        names = {key: (f"mistakes/{key}#{one.sample}",) for key, one in missed.attempts.items()}
        try:
            told[number] = room.ask_teacher(
                f"remarks-{number}", who, chats, _drawn(room, config, config.rationales.max_tokens), names
            )
        except ModelError as error:
            why[number] = str(error)
    if len(told) < 2:  # before it is decided who is left out: the same command shall ask again
        raise ModelError(f"of the committee {len(told)} teacher answers, and two are needed: {'; '.join(why.values())}")
    everybody = config.everybody()
    kept = room.run.records(
        "members",
        Member,
        lambda had: [
            Member(number=n, name=str(room.open(who).name), why_not=why.get(n, ""))
            for n, who in list(everybody.items())[len(had) :]
        ],
        {"teachers": [str(number) for number in everybody]},
        Label(kind="members", who="teacher", round=1),
    )
    for one in kept:
        if one.why_not:
            room.run.warn(f"teacher {one.number} ({one.name}) is left out of the committee: {one.why_not}")
    return told


def _solutions(room: Classroom, config: Committee, number: int, missed: _Missed) -> list[Attempt]:
    """A teacher's own solutions of the missed questions; it is not told the answers."""
    exam = ExamConfig(temperature=config.temperature, n=1)
    setup = config.rationales.keeping(config.rationales.setup(exam, round_seed(room, 1)))
    label = Label(
        kind="rationales", who="teacher", round=1, title=f"solutions of teacher {number}", split=config.questions.train
    )
    return room.sit(f"solutions-{number}", config.everybody()[number], missed.questions, setup, label=label)


def _reviews(
    room: Classroom,
    config: Committee,
    author: int,
    missed: _Missed,
    attempts: Sequence[Attempt],
    members: Sequence[int],
) -> list[list[Feedback]]:
    """What every other teacher says of a teacher's solutions: of the right ones, or of every one."""
    asked = {question.id: question for question in missed.questions}
    seen = [one for one in attempts if not one.error and (config.review.every or rationales.verdict_of(one) == "right")]
    chats = [reviewing.review(room.task, asked[one.question], one.text, config.review.blind) for one in seen]
    sampling = _drawn(room, config, config.review.max_tokens)
    others = [number for number in members if number != author] if chats else []
    return [
        room.ask_teacher(f"reviews-{number}-of-{author}", config.everybody()[number], chats, sampling, {})
        for number in others
    ]


def _drawn(room: Classroom, config: Committee, most: int) -> Sampling:
    return Sampling(temperature=config.temperature, max_tokens=most, seed=round_seed(room, 1), flexible=True)


def _usable(replies: Sequence[Feedback]) -> dict[str, str]:
    return {reply.question: reviewing.remark_of(reply) for reply in replies}


def promised(config: Committee) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    title = "committee" if config.single is None else f"teacher {config.single} alone, reviewed"
    return final_exams(config, [("committee", 1, title)])


def _expected(config: Committee, task: Task) -> list[Expected]:
    """A remark, a solution and as many reviews as there are others, by each teacher and question, where all are missed."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    many = min(len(train), config.mistakes.questions or len(train))
    each = sum(planning.tokens(question.text) for question in train) // max(1, len(train))
    answer, longest = config.exam.longest(), config.rationales.max_tokens
    others = len(config.peers)
    rows: list[Expected] = []
    for number, who in config.everybody().items():
        rows += [
            Expected(
                f"teacher {number}: solutions, at the most", many, (0, many * (each + 40)), (0, many * longest), who
            ),
            Expected(
                f"teacher {number}: remarks, at the most",
                many,
                (0, many * (each + 120 + answer)),
                (0, many * longest),
                who,
            ),
            Expected(
                f"teacher {number}: reviews, at the most",
                many * others,
                (0, many * others * (each + 120 + longest)),
                (0, many * others * config.review.max_tokens),
                who,
            ),
        ]
    return [*rows, *planning.own_exam(config, task)]


RECIPE = Recipe(
    summary=RECIPES["committee"][1],
    settings=Committee,
    teach=teach,
    promised=promised,
    calls=_expected,
)
