"""The settings of tailored learning, and what of them its paper published [Wang et al. 2023, arXiv 2310.13332]."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tutelage.config import Settings, build
from tutelage.exam import ExamConfig
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.recipes.partner import PartnerConfig
from tutelage.recipes.presets import Published, over
from tutelage.recipes.settings import Baseline, Splits, Teaching
from tutelage.tasks.task import Task
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject

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
    "training.reflection": Published(
        {"weight": 0.5, "margin": 1.0, "pooling": "last_token", "variant": "paper"},
        "Wang et al. 2023, the authors' code",
    ),
}
# Objectives that have nothing to learn from where the teacher was not asked what was wrong.
_FROM_LINES = ("critique", "self_distil")


class Tailored(Teaching):
    """Teach in rounds: the student sits an exam, and its mistakes become its next lessons."""

    published: ClassVar[Mapping[str, Published]] = PUBLISHED
    newer: ClassVar[frozenset[str]] = Teaching.newer | {"partner"}

    recipe: Literal["tailored"] = Field("tailored", description="which recipe: its name, or package.module:RECIPE")
    questions: TailoredSplits = TailoredSplits()
    rounds: Annotated[int, Field(ge=1, le=ROUNDS)] = Field(3, description="at most [Wang et al. 2023: 3]")
    patience: Annotated[int, Field(ge=1)] | None = Field(
        1, description="stop after this many rounds whose rise on dev is within its standard error; null: never"
    )
    first: Annotated[int, Field(ge=1)] | None = Field(
        None, description="training questions the first lessons are about; default: all. The others wait to be missed"
    )
    partner: PartnerConfig | None = Field(
        None,
        description="the ablation in which another student's mistakes stand for this one's in round 2; once it is set:",
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
    def _a_partner_is_for_one_round(self) -> Self:
        if self.partner is not None and self.rounds > 2:
            raise ValueError(
                f"partner: it is taught one round, so with rounds={self.rounds} it would fall behind; set rounds=2"
            )
        return self

    @model_validator(mode="after")
    def _later_rounds_can_train(self) -> Self:
        self.training_in(2)
        return self

    @model_validator(mode="after")
    def _what_is_learned_is_asked_for(self) -> Self:
        needed = [one.name for one in self.training_in(2).choices() if one.name in _FROM_LINES]
        if needed and not self.feedback.diagnosis:
            raise ValueError(
                f"the objective {needed[0]} learns from the teacher's lines on mistakes, and feedback.diagnosis=false asks for none"
            )
        return self

    def training_in(self, number: int) -> TrainingConfig:
        """How round `number` is trained."""
        if number == 1 or not self.later:
            return self.training
        return build(TrainingConfig, over(self.training.model_dump(), self.later), "later")
