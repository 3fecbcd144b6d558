"""EDIT: learn right chains, then the steps in which right and wrong ones part [Dai et al. 2024, arXiv 2405.19737]."""

import random
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.lessons import dual_chains, rationales, reflection
from tutelage.lessons.mistakes import mistakes
from tutelage.recipes import RECIPES, planning
from tutelage.recipes.baselines import baselines, final_exams
from tutelage.recipes.corrections import round_seed
from tutelage.recipes.first_lessons import all_questions, first_lessons, training_questions
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.planning import of_teaching
from tutelage.recipes.presets import Published
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.settings import Baseline, Teaching
from tutelage.runs.records import read_records
from tutelage.tasks.task import Task, subset
from tutelage.training.settings import TrainingConfig
from tutelage.types import Attempt, Chat, Checkpoint, Label, Lesson, Question, Sampling

_PAPER = "Dai et al. 2024, the authors' code"
_LORA = {"r": 64, "alpha": 32, "dropout": 0.05, "targets": ["q_proj", "v_proj"]}
PUBLISHED = {
    "training.epochs": Published(15, _PAPER),
    "training.batch": Published(256, f"{_PAPER}: 16 a device, four devices, four at a time"),
    "training.weight_decay": Published(0.05, _PAPER),
    "training.lora": Published(_LORA, _PAPER),
    "key_training.learning_rate": Published(5e-6, _PAPER),
    "key_training.epochs": Published(10, _PAPER),
    "key_training.batch": Published(256, _PAPER),
    "key_training.lora": Published(_LORA, _PAPER),
    "pairs.most_apart": Published(1.0, "no such limit"),
}
_RISE = 1.1  # times what the right chains cost at first
_FEWEST = 8  # steps of which that can be said
_KEYS = {"name": "key_steps", "plain": 0.0, "key": 1.0, "wrong": 0.025}


class PairsConfig(Settings):
    """How the teacher is asked for the other chain of a pair, and which pairs are kept."""

    corrupt: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="right chains that are corrupted, drawn at random; null: all. The teacher's own wrong chains are worth more in the paper, and are all rectified",
    )
    temperature: Annotated[float, Field(ge=0)] = Field(0.7, description="of corrupted chains")
    rectify_temperature: Annotated[float, Field(ge=0)] = Field(0.2, description="of rectified ones")
    most_apart: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="share of the longer chain's words that an edit of one into the other may take: beyond it they do not go alike until they part",
    )


class KeyTraining(TrainingConfig):
    """How the steps in which the chains of a pair part are learned, from the student that has learned the right chains."""

    epochs: Annotated[int, Field(ge=1)] = Field(1, description="passes over the pairs")
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-5, description="far below that of the chains; not tuned")

    @model_validator(mode="before")
    @classmethod
    def _learns_keys(cls, given: object) -> object:
        return {"objective": _KEYS, **given} if isinstance(given, Mapping) else given


class Edit(Teaching):
    """Learn right chains, then what decides between each and a wrong one like it."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED

    recipe: Literal["edit"] = Field("edit", description="which recipe: its name, or package.module:RECIPE")
    pairs: PairsConfig = PairsConfig()
    key_training: KeyTraining = KeyTraining.model_validate({})
    baselines: tuple[Baseline, ...] = Field(("zero_shot", "fine_tune", "teacher"), description="what stands beside it")


def lessons(room: Classroom, config: Edit) -> list[Lesson]:
    """The teacher's part: right chains, and pairs."""
    right, pairs = _chains(room, config, training_questions(room, config))
    return [*right, *pairs]


def teach(room: Classroom, config: Edit) -> Checkpoint:
    """Chains, right and wrong; the other one of each; all right ones are learned, and then where the pairs part."""
    room.check(config.teacher, config.student)
    elsewhere = Elsewhere(room, config)
    train, test = all_questions(room, config, train_too=False)
    setup = config.exam.setup("taught", room.seed)
    elsewhere.sit(config.student, 0)
    right, pairs = _chains(room, config, train)
    baselines(room, config, right, train, test)
    told = Label(kind="training", who="student", round=1)
    first = room.fit("chains-student", config.student, right, config.training, told)
    room.sit("chains", first, test, setup)
    last = Label(kind="training", who="student", round=2)
    second = room.fit("keys-student", first, pairs, config.key_training, last)
    elsewhere.sit(second, 2)
    room.sit("edit", second, test, setup)
    risen = _risen(room.run.facts("keys-student"))
    if risen:
        room.run.warn(f"{risen}; the run's student is the one before")
        return room.promote("student", first, risen)
    return room.promote("student", second, "it has learned where right and wrong chains part")


def _chains(room: Classroom, config: Edit, train: Sequence[Question]) -> tuple[list[Lesson], list[Lesson]]:
    """The right chains, the teacher's own and rectified ones; and the pairs of a right and a wrong one."""
    right = first_lessons(room, config, train)
    asked = {question.id: question for question in train}
    wrong = _wrong(room, train, right)
    examples = [lesson.completion for lesson in right[: dual_chains.SHOWN]]
    most = config.pairs.most_apart

    def ask(step: str, chats: list[Chat], temperature: float, kind: str, others: Mapping[str, Lesson]) -> list[Lesson]:
        drawn = Sampling(
            temperature=temperature, max_tokens=config.rationales.max_tokens, seed=round_seed(room, 1), flexible=True
        )
        replies = room.ask_teacher(step, config.teacher, chats, drawn, {}) if chats else []
        kept = dual_chains.pairs_of(kind, replies, room.task, asked, others, most)
        return room.lessons(
            f"{step}-pairs",
            kept,
            {"replies": replies, "others": list(others.values()), "pairs": config.pairs},
            needed=False,
        )

    chats = [dual_chains.rectify(room.task, asked[one.question], examples) for one in wrong]
    rectified = ask(
        "rectified", chats, config.pairs.rectify_temperature, "rectified", {one.question: one for one in wrong}
    )
    shown = [(one.completion, one.mistaken) for one in rectified[: dual_chains.SHOWN]]
    of = _to_corrupt(room, config, right)
    corrupting = [dual_chains.corrupt(room.task, asked[one.question], one.completion, shown) for one in of]
    corrupted = ask("corrupted", corrupting, config.pairs.temperature, "corrupted", {one.question: one for one in of})
    pairs = [*rectified, *corrupted]
    if not pairs:
        raise LessonError(
            "there is no pair of a right and a wrong chain to learn from: the steps before say what became of them"
        )
    return [*right, *rectified], pairs


def _wrong(room: Classroom, train: Sequence[Question], right: Sequence[Lesson]) -> list[Lesson]:
    """The teacher's wrong chains, one a question that it never answered rightly; they are lessons in nothing."""
    solved = {lesson.question for lesson in right}
    asked = {question.id: question for question in train if question.id not in solved}
    found: dict[str, Lesson] = {}
    for attempt in mistakes(read_records(room.run.path / "rationales" / "records.jsonl", Attempt), 1):
        if attempt.question in asked and rationales.verdict_of(attempt) == "wrong":
            prompt = room.task.ask(asked[attempt.question]).messages[-1].content
            written = reflection.as_completion(attempt)
            found[attempt.question] = Lesson(
                question=attempt.question, prompt=prompt, completion=written, kind="wrong", teacher=attempt.model
            )
    room.note(
        "rationales",
        f"{len(asked)} questions have no right chain; {len(found)} wrong ones of theirs are to be rectified",
    )
    return list(found.values())


def _to_corrupt(room: Classroom, config: Edit, right: Sequence[Lesson]) -> list[Lesson]:
    """One right chain a question, as many as are corrupted."""
    first = list({lesson.question: lesson for lesson in reversed(right)}.values())[::-1]
    many = len(first) if config.pairs.corrupt is None else min(len(first), config.pairs.corrupt)
    drawn = sorted(random.Random(f"{room.seed}/corrupt").sample(range(len(first)), many))
    return [first[place] for place in drawn]


def _risen(facts: Mapping[str, Any]) -> str:
    """That the key tokens of right chains have come to be less likely, where they have: the sign that a negative weight has run away."""
    losses = facts.get("losses") or []
    if len(losses) < _FEWEST:
        return ""
    quarter = len(losses) // 4
    before, after = mean(losses[:quarter]), mean(losses[-quarter:])
    if after <= _RISE * before:
        return ""
    return f"what the right chains cost where they part from wrong ones rose from {before:.3f} to {after:.3f} in the second training"


def promised(config: Edit) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    return final_exams(config, [("chains", 1, "right chains"), ("edit", 2, "EDIT")])


def _expected(config: Edit, task: Task) -> list[Expected]:
    """The chains, and the other one of each."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    each = sum(planning.tokens(question.text) for question in train) // max(1, len(train))
    longest = config.rationales.max_tokens
    span = ((0, len(train) * (each + 150 + 4 * longest)), (0, len(train) * longest))
    return [*of_teaching(config, task), Expected("rectified or corrupted chains, at the most", len(train), *span)]


RECIPE = Recipe(
    summary=RECIPES["edit"][1],
    settings=Edit,
    teach=teach,
    promised=promised,
    lessons=lessons,
    calls=_expected,
)
