"""The settings of every recipe that teaches: which questions, how the teacher reasons aloud, who and what is compared."""

from typing import Annotated, ClassVar, Literal

from msgspec.structs import replace
from pydantic import Field

from tutelage.config import Settings
from tutelage.exam import ANOTHER_QUESTION, ExamConfig, ExamSetup
from tutelage.launch import HERE
from tutelage.launch.catalog import Launch
from tutelage.models.specs import ModelSpec
from tutelage.recipes.presets import WithPresets
from tutelage.spending import BudgetConfig
from tutelage.training.settings import TrainingConfig
from tutelage.types import Form, JsonObject

Baseline = Literal["zero_shot", "zero_shot_cot", "few_shot_cot", "fine_tune", "teacher"]
SHOTS = 8  # worked examples where nothing else is asked for [Wei et al. 2022]


class Splits(Settings):
    """Which questions are taught and which are asked at the end."""

    train: str = Field("train", description="split whose questions are taught")
    test: str = Field("test", description="split whose questions are asked in the end")
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
    thinking: Literal["drop", "keep"] = Field(
        "drop",
        description="what a reasoning teacher thinks before it answers; keep: the student learns to think so too, in <think>, and "
        "its exams need as much room (exam.max_tokens)",
    )
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

    def keeping(self, setup: ExamSetup) -> ExamSetup:
        """The same, with what the teacher thinks kept for lessons where that is wanted."""
        return replace(setup, thinking=True) if self.thinking == "keep" else setup


class ForgettingConfig(Settings):
    """The exam on another task."""

    task: str | JsonObject = Field(description="another task than the one that is taught")
    split: str = Field("test", description="of that task")
    questions: Annotated[int, Field(ge=1)] = Field(100, description="a fixed random subset of that split")
    form: Literal["zero_shot", "zero_shot_cot", "one_call_cot"] = Field(
        "zero_shot", description="how it is asked, before and after alike: a student as it came knows no taught format"
    )


class Teaching(WithPresets):
    """The settings of every recipe that teaches a student with a teacher's rationales."""

    newer: ClassVar[frozenset[str]] = frozenset({"forgetting"})

    recipe: str = Field("", description="which recipe: its name, or package.module:RECIPE")
    preset: str = Field("house", description="paper: the published values, where `show` lists another one")
    task: str | JsonObject = Field("word_problems", description="`tutelage tasks` lists them")
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
    forgetting: ForgettingConfig | None = Field(
        None, description="an exam on another task, before any training and after each; once it is set:"
    )
    shots: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description=f"worked examples of few_shot_cot, taken from the lessons. null: {SHOTS}, or as many as the student can hold",
    )
    budget: BudgetConfig = BudgetConfig()
    cache: str | None = Field(None, description="file of the teacher's replies; default: one for all runs of this user")
    seed: int = Field(0, description="of sampling, of the order of lessons, of new weights")
    launch: Launch = HERE
