"""Make one's own wrong step less likely where it begins [Welleck et al. 2019, arXiv 1908.04319]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from tutelage.config import Settings
from tutelage.training.duals import Dual, dual_of
from tutelage.training.examples import Encoder, Example
from tutelage.training.losses import unlikely
from tutelage.training.objectives.repair import check_repairs
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart


class Unlikelihood(Settings):
    """A mean over the first tokens of the wrong steps. Alone it moves the mass to the next wrong digit: put it beside repair."""

    name: ClassVar[str] = "unlikelihood"
    tokens: Annotated[int, Field(ge=1)] = Field(
        3, description="of a wrong step, from where it parts from the right one"
    )
    above: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="tokens that are less likely than this count nothing"
    )

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Dual | None]:
        """The lessons that repair a mistake. Refuses lessons of which none does."""
        check_repairs(self.name, examples)
        return [dual_of(example, encoder) for example in examples]

    def parts(self, example: Example, kept: Dual, place: str) -> list[RowPart]:
        """The mistake, of which the first tokens count from where it parts."""
        worse = kept.worse("step")
        end = kept.apart + self.tokens
        return [RowPart("worse", worse.branch, [weight * (at < end) for at, weight in enumerate(worse.weights or ())])]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """How likely the mistakes' first tokens are, as -log(1 - p), a token."""
        targets = seen.targets("worse")
        term = targets.sum(partial(unlikely, above=self.above, total=seen.total("worse")), targets.labels_N)
        return term, {self.name: term}
