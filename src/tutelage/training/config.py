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
    """How a student learns its lessons. The defaults are those of Ho et al. 2022 for open students, appendix."""

    epochs: Annotated[int, Field(ge=1)] = Field(20, description="passes over the lessons [Ho et al. 2022: 20]")
    learning_rate: Annotated[float, Field(gt=0)] = Field(3e-4, description="AdamW [Ho et al. 2022: 3e-4]")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="[Ho et al. 2022: constant]")
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="share of the steps that warm up")
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch: Annotated[int, Field(ge=1)] = Field(8, description="lessons a step [Ho et al. 2022: 8]")
    micro_batch: Annotated[int, Field(ge=1)] | None = Field(
        None, description="lessons at once, if a batch does not fit"
    )
    max_length: Annotated[int, Field(ge=8)] = Field(
        1024, description="longest lesson in tokens; longer ones are dropped"
    )
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    prompt_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="of a prompt token's loss beside 1 for a completion token [Wang et al. 2023: 0.1]"
    )
    reflection: ReflectionConfig | None = Field(
        None, description="self-reflection on the student's own mistakes; needs lessons with mistakes"
    )
    lora: LoraConfig | None = Field(None, description="adapters instead of full fine-tuning")
    template: Literal["own", "paper"] = Field(
        "own", description="the model's chat template if it has one, or the paper's '{question} ###' format"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the products; weights stay float32. auto: bfloat16 where the hardware has it"
    )
    checkpoint_minutes: Annotated[float, Field(gt=0)] = Field(
        10.0, description="how often a long training is saved, so that a killed one goes on there"
    )
