"""Think of one's own text as one would with the teacher's line on it in sight [after Agarwal et al. 2023, arXiv 2306.13649, and Snell et al. 2022, arXiv 2209.15189]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field

from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.lessons.wording import SHOWN_AGAIN
from tutelage.training.duals import mistake_of
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import top_divergence
from tutelage.training.reading import ForwardPass
from tutelage.training.references import Reference, References
from tutelage.training.rows import RowPart


class Rollout(Struct, frozen=True):
    """The student's own text, as the answer to its question and as the answer to what shows its teacher's line, too."""

    ids: Sequence[int]
    shown: Branch
    reference: Reference | None = None


class SelfDistil(Settings):
    """The divergence from the student as it began the round, which was shown the feedback. Put it beside another objective.

    `tutelage probe` says whether the feedback helps the student at all; where it does not, there is nothing to distil.
    """

    name: ClassVar[str] = "self_distil"
    top: Annotated[int, Field(ge=1)] = Field(32, description="likeliest tokens in each place; all others are one")
    most: Annotated[float, Field(gt=0)] = Field(2.0, description="nats that a token counts at the most")

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Rollout | None]:
        """The lessons with a mistake and the teacher's line on it."""
        kept = [self._rollout(example, encoder) for example in examples]
        if not any(kept):
            raise LessonError(
                f"objective {self.name!r} has nothing to work on: none of {len(examples)} lessons has both a mistake of the student's and a "
                "teacher's line on it; it needs feedback.writes=feedback"
            )
        return kept

    def _rollout(self, example: Example, encoder: Encoder) -> Rollout | None:
        lesson, mistake = example.lesson, mistake_of(example.lesson)
        if not lesson.feedback or not mistake:
            return None
        asked = SHOWN_AGAIN.format(question=lesson.prompt, mistake=mistake, feedback=lesson.feedback)
        ids = encoder.completion(lesson.prompt, mistake)
        shown = Branch(ids, Branch(encoder.prompt(asked)))
        return Rollout(ids, shown) if encoder.fits(shown) else None

    def refer(self, examples: Sequence[Example], kept: Sequence[Rollout], references: References) -> list[Rollout]:
        """What the student as it begins thinks of its own texts with the line in sight."""
        told = references.own(self.name, [one.shown for one in kept], self.top)
        return [replace(one, reference=found) for one, found in zip(kept, told, strict=True)]

    def parts(self, example: Example, kept: Rollout, place: str) -> list[RowPart]:
        """The student's own text behind the question alone."""
        assert kept.reference is not None
        own = Branch(kept.ids, example.asked)
        return [RowPart("own", own, [1.0] * len(kept.ids), kept.reference.more(top=True))]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The divergence, a token."""
        targets = seen.targets("own")
        given = targets.more["top_ids"], targets.more["top_logprobs"]
        found = targets.sum(partial(top_divergence, most=self.most), *given)
        term = found / seen.total("own")
        return term, {self.name: term}
