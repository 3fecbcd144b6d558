"""How a student is trained: the settings, with no torch in sight."""

from typing import Annotated, Literal

from pydantic import Field

from tutelage.config import Settings


class LoraConfig(Settings):
    """Low-rank adapters instead of full fine-tuning [Hu et al. 2021]."""

    r: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str | list[str] = Field("all-linear", description="module names, or peft's 'all-linear'")


class ReflectionConfig(Settings):
    """Self-reflection: learn from one's own wrong answers by a triplet loss [Wang et al. 2023]."""

    weight: Annotated[float, Field(gt=0)] = Field(0.5, description="of the term, lambda [Wang et al. 2023: 0.5]")
    margin: Annotated[float, Field(gt=0)] = Field(1.0, description="[Wang et al. 2023: 1.0]")
    pooling: Literal["last_token", "mean"] = Field(
        "last_token", description="which state stands for a rationale [Wang et al. 2023: last_token]"
    )


class TrainingConfig(Settings):
    """How a student learns its lessons."""

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
    prompt_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="of a prompt token's loss beside 1 for a completion token"
    )
    reflection: ReflectionConfig | None = Field(
        None,
        description="self-reflection on the student's own mistakes; off: four ways of it gained nothing (LOG.md)",
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
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="how often a long training is saved, so that a killed one goes on there"
    )
