"""Write what the lesson writes: negative log-likelihood of a lesson's completion [Ho et al. 2022, section 3.3]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from tutelage.config import Settings
from tutelage.training.examples import Encoder, Example
from tutelage.training.losses import completion_nll, weighted_nll
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart


class Likelihood(Settings):
    """A mean over the tokens of the completions; with `prompt_weight` the prompts' count too, as in Wang et al. 2023."""

    name: ClassVar[str] = "likelihood"
    whole: ClassVar[bool] = True
    prompt_weight: Annotated[float, Field(ge=0, le=1)] = 0.0

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[bool]:
        """Every lesson can be written."""
        return [True] * len(examples)

    def parts(self, example: Example, kept: bool, place: str) -> list[RowPart]:
        """The completion; and the prompt, whose first token is predicted by nothing, where it counts."""
        parts = [RowPart("completion", example.answered, [1.0] * len(example.completion))]
        if self.prompt_weight:
            parts.append(RowPart("prompt", example.asked, [self.prompt_weight] * len(example.prompt)))
        return parts

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What the lessons cost, a target token."""
        parts = ("completion", "prompt") if self.prompt_weight else ("completion",)
        targets, total = seen.targets(*parts), seen.total(*parts)
        if self.prompt_weight:
            loss = targets.sum(partial(weighted_nll, total=total), targets.labels_N, targets.weights_N)
        else:
            loss = targets.sum(partial(completion_nll, targets=total), targets.labels_N)
        return loss, {"loss": loss}
