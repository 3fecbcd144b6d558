"""Go on from one's own right steps: likelihood of what comes behind them, and never of what stands before."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field

from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.training.duals import dual_of, since_of, weights_from
from tutelage.training.examples import Encoder, Example
from tutelage.training.losses import completion_nll
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart


class Repair(Settings):
    """A mean over the tokens that a teacher wrote behind the student's own right steps; other lessons are learned whole."""

    name: ClassVar[str] = "repair"
    whole: ClassVar[bool] = True
    begin: Literal["step", "token"] = Field(
        "step",
        description="with the first step that is not the student's, or with the first token that differs from its mistake",
    )

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[list[float]]:
        """Which tokens of each completion count. Refuses lessons of which none repairs anything."""
        check_repairs(self.name, examples)
        return [weights_from(one, self._first(one, encoder)) for one in examples]

    def _first(self, example: Example, encoder: Encoder) -> int:
        since, dual = since_of(example, encoder), dual_of(example, encoder) if self.begin == "token" else None
        return max(dual.apart, since) if dual else since

    def parts(self, example: Example, kept: list[float], place: str) -> list[RowPart]:
        """The completion, whose beginning is read and does not count."""
        return [RowPart("completion", example.answered, kept)]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What the repairs cost, a target token."""
        targets = seen.targets("completion")
        loss = targets.sum(partial(completion_nll, targets=seen.total("completion")), targets.labels_N)
        return loss, {"loss": loss}


def check_repairs(name: str, examples: Sequence[Example]) -> int:
    """How many lessons repair a mistake; none at all is an error, since the objective would be another one under its name."""
    found = sum(bool(example.lesson.mistaken) for example in examples)
    if not found:
        raise LessonError(
            f"objective {name!r} has nothing to work on: none of {len(examples)} lessons repairs a mistake. Ask the teacher with "
            f"feedback.form=scribe and set the objective for later rounds alone (later.objective={name}), or choose likelihood"
        )
    return found
