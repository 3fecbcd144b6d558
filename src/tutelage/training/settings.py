"""How a student is trained: the settings, with no torch in sight."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from tutelage.config import Settings
from tutelage.errors import nearest
from tutelage.training.objectives import OBJECTIVES, WHOLE
from tutelage.types import JsonObject

USUAL = "likelihood"  # the objective where nothing else is asked for


class ObjectiveChoice(NamedTuple):
    """One objective of a training: its name or import path, what its loss counts, and its options."""

    name: str
    weight: float
    options: Mapping[str, object]


def objective_choices(given: str | Mapping[str, object] | Sequence[object]) -> list[ObjectiveChoice]:
    """What `training.objective` names: a name, a mapping of names to weights, or a list of names and of mappings with options.

    Raises `ValueError` with one sentence.
    """
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        rows: list[object] = [given]  # one objective with its options
    elif isinstance(given, Mapping):
        rows = [{"name": name, "weight": weight} for name, weight in given.items()]
    else:
        rows = [given] if isinstance(given, str) else list(given)
    choices = [_choice({"name": row} if isinstance(row, str) else row) for row in rows]
    if not choices:
        raise ValueError("names no objective; leave it out for the usual one")
    names = [choice.name for choice in choices]
    if doubled := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"names {doubled!r} twice; give it once, with the weight of both")
    if not sum(choice.weight for choice in choices):
        raise ValueError("its weights sum to nothing, so nothing would be learned; give one of them a weight above 0")
    return choices


def _choice(row: object) -> ObjectiveChoice:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise ValueError(f"{row!r} is no objective; write its name, or a mapping with name, weight and its options")
    name, weight = row["name"], row.get("weight", 1.0)
    if name not in OBJECTIVES and ":" not in name:
        raise ValueError(f"unknown objective {name!r}; {nearest(name, OBJECTIVES)}, or package.module:NAME")
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight < 0:
        raise ValueError(f"the weight of {name!r} is {weight!r}; it must be a number from 0 on")
    options = {str(key): value for key, value in row.items() if key not in ("name", "weight")}
    return ObjectiveChoice(name, float(weight), options)


class LoraConfig(Settings):
    """Low-rank adapters instead of full fine-tuning [Hu et al. 2021]."""

    r: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str | list[str] = Field("all-linear", description="module names, or peft's 'all-linear'")
    newer: ClassVar[frozenset[str]] = frozenset({"base"})
    base: Literal["auto", "float32", "bfloat16", "nf4"] = Field(
        "auto",
        description="what the frozen weights are kept in; adapters are float32. auto: bfloat16 where products are, which halves their "
        "memory; nf4: four bits [Dettmers et al. 2023], a quarter of that, with bitsandbytes installed",
    )


class ReflectionOptions(Settings):
    """Which states self-reflection compares, and how far apart they shall be."""

    newer: ClassVar[frozenset[str]] = frozenset({"variant"})
    variant: Literal["own", "paper"] = Field(
        "own",
        description="own: a mistake ends in its own wrong answer, and the state is that of the end token. paper, as the authors' code has "
        "it: a mistake ends in the right answer, the state is that of the token before the end token, and none of the gradient goes "
        "through the prompt",
    )
    margin: Annotated[float, Field(gt=0)] = Field(1.0, description="[Wang et al. 2023: 1.0]")
    pooling: Literal["last_token", "mean"] = Field(
        "last_token", description="which state stands for a rationale [Wang et al. 2023: last_token]"
    )


class ReflectionConfig(ReflectionOptions):
    """Self-reflection: learn from one's own wrong answers by a triplet loss [Wang et al. 2023]."""

    weight: Annotated[float, Field(gt=0)] = Field(0.5, description="of the term, lambda [Wang et al. 2023: 0.5]")


class PreviousBatchConfig(Settings):
    """Self-distillation from the previous batch: half of each batch is that of the one before, and is held to what was thought of it then."""

    alpha: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of a token that the student was certain of; it falls to 0 where it knew nothing"
    )
    temperature: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (1.0, 4.0), description="where it was certain, and where it knew nothing: what lies between follows its entropy"
    )
    top: Annotated[int, Field(ge=1)] = Field(
        64, description="likeliest tokens that are kept of each place; all others are one"
    )
    start: Annotated[float, Field(ge=0)] = Field(
        0.0, description="share of the steps before it counts; from 1 on a number of steps"
    )
    right_only: bool = Field(False, description="only where the likeliest token was the lesson's")


class TrainingConfig(Settings):
    """How a student learns its lessons."""

    newer: ClassVar[frozenset[str]] = frozenset(
        {
            "objective",
            "previous_batch",
            "optimizer",
            "attention",
            "gradient_checkpointing",
            "packing",
            "report_to",
            "trainer",
        }
    )
    epochs: Annotated[int, Field(ge=1)] = Field(3, description="passes over the lessons")
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        2e-4, description="AdamW; chosen on dev at 135M parameters: a larger student wants less, unless by adapters"
    )
    schedule: Literal["constant", "linear", "cosine"] = Field("linear", description="of the learning rate")
    warmup: Annotated[float, Field(ge=0)] = Field(
        0.1, description="share of the steps that warm up; from 1 on a number of steps"
    )
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch: Annotated[int, Field(ge=1)] = Field(8, description="lessons a step")
    sort_window: Annotated[int, Field(ge=1)] = Field(
        16, description="batches within which lessons are sorted by length, for less padding; 1: none"
    )
    micro_batch: Annotated[int, Field(ge=1)] | None = Field(
        None, description="lessons at once, if a batch does not fit"
    )
    max_length: Annotated[int, Field(ge=8)] = Field(
        1024, description="longest lesson in tokens; longer ones are dropped"
    )
    max_grad_norm: Annotated[float, Field(gt=0)] | None = Field(
        1.0, description="gradients are clipped there; null: never"
    )
    objective: str | JsonObject | list[object] = Field(
        USUAL,
        description="what is minimised: a name or package.module:NAME, {NAME: weight, …}, or a list of {name, weight, options}",
    )
    prompt_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="of a prompt token's loss beside 1 for a completion token"
    )
    reflection: ReflectionConfig | None = Field(
        None,
        description="the objective reflection beside the others: on the student's own mistakes; off: four ways of it gained nothing (LOG.md)",
    )
    previous_batch: PreviousBatchConfig | None = Field(
        None,
        description="self-distillation from the previous batch [after DynSDPB]: each lesson is read twice an epoch, in two batches on end; "
        "once it is set:",
    )
    lora: LoraConfig | None = Field(None, description="adapters instead of full fine-tuning")
    template: Literal["own", "paper"] = Field(
        "own", description="the model's chat template if it has one, or the paper's '{question} ###' format"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="of the products; weights stay float32. auto: on a CPU whichever is measured to be faster, on a GPU bfloat16 "
        "where it computes in it",
    )
    optimizer: str = Field(
        "adamw_torch_fused", description="by transformers' name, such as adamw_8bit, paged_adamw_8bit or adafactor"
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        "auto",
        description="auto: on a CPU plain products up to 1,024 tokens a lesson, which are faster there; else transformers' own choice",
    )
    gradient_checkpointing: bool = Field(
        False, description="compute each layer again for its gradient: less memory, about a third more time"
    )
    packing: bool = Field(
        False,
        description="short lessons of a micro-batch share a line, and none sees another: less padding where lengths differ, the same losses",
    )
    report_to: list[str] = Field(
        default_factory=list,
        description="trackers that follow each training, such as tensorboard, wandb, mlflow or trackio; each must be installed",
    )
    trainer: JsonObject = Field(
        default_factory=dict,
        description="any other field of transformers' TrainingArguments, such as {adam_beta2: 0.95}",
    )
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="how often a long training is saved, so that a killed one goes on there"
    )

    @field_validator("objective", mode="before")
    @classmethod
    def _is_an_objective(cls, given: object) -> object:
        if not isinstance(given, str | Mapping | Sequence):
            raise ValueError("name an objective, several with their weights, or a list of them")
        objective_choices(given)
        return given

    @model_validator(mode="after")
    def _is_one_mix(self) -> Self:
        """The settings that are older than `objective` must fit into it."""
        names = [choice.name for choice in objective_choices(self.objective)]
        if self.reflection is not None and "reflection" in names:
            raise ValueError("reflection is named in objective, too; give its options in one place")
        if self.gradient_checkpointing and any(one.options.get("variant") == "paper" for one in self.choices()):
            raise ValueError(
                "gradient_checkpointing keeps no cache in training, which reflection.variant=paper reads; leave one of them out"
            )
        if self.precision == "float32" and self.lora is not None and self.lora.base == "bfloat16":
            raise ValueError(
                "lora.base=bfloat16 needs products in bfloat16; leave precision at auto, or the base at float32"
            )
        if self.previous_batch is not None and self.batch % 2:
            raise ValueError(
                f"previous_batch makes each batch half of the one before, so batch must be even, and is {self.batch}"
            )
        if self.previous_batch is not None and not any(name in WHOLE or ":" in name for name in names):
            raise ValueError(
                "previous_batch holds the student to what it thought of the lessons that it learns, and objective names none that learns them "
                f"whole; add one of {', '.join(sorted(WHOLE))}"
            )
        if self.prompt_weight and USUAL not in names:
            raise ValueError(f"prompt_weight is of the objective {USUAL!r}, which objective does not name")
        return self

    @property
    def plain(self) -> bool:
        """Whether lessons are learned as they are, and nothing but them."""
        return self.reflection is None and [choice.name for choice in objective_choices(self.objective)] == [USUAL]

    def own_objectives(self) -> list[str]:
        """The objectives that are named by an import path, as the user's own are."""
        return [choice.name for choice in self.choices() if ":" in choice.name]

    def choices(self) -> list[ObjectiveChoice]:
        """Every objective of the training, with its weight and options."""
        chosen = objective_choices(self.objective)
        if self.prompt_weight:
            weighted = {"prompt_weight": self.prompt_weight}
            chosen = [one._replace(options={**weighted, **one.options}) if one.name == USUAL else one for one in chosen]
        if self.reflection is not None:
            own = self.reflection.model_dump(exclude={"weight"})
            chosen.append(ObjectiveChoice("reflection", self.reflection.weight, own))
        return chosen
