"""Say what is wrong with one's own mistake, as the teacher said it: one line that is paid for already [after Wang et al. 2025, arXiv 2501.17703]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field

from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.training.duals import mistake_of
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import completion_nll
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart

ASKED = "{prompt}\n\nAn answer to this, which is wrong:\n{mistake}\n\nWhich step is the first wrong one, and why?"


class Critique(Settings):
    """A mean over the tokens of the teacher's line on a mistake. Put it beside another objective, with a weight of 0.1 to 0.25."""

    name: ClassVar[str] = "critique"
    lines: Literal["own", "shuffled"] = Field(
        "own", description="shuffled: the placebo, a line about another question's mistake"
    )

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Branch | None]:
        """The line behind question and mistake, for each lesson that has both."""
        lessons = [example.lesson for example in examples]
        mistakes = list(map(mistake_of, lessons))
        places = [place for place, one in enumerate(lessons) if one.feedback and mistakes[place]]
        lines = {place: lessons[place].feedback for place in places}
        if self.lines == "shuffled":
            lines = dict(zip(places, [lines[place] for place in places[1:] + places[:1]], strict=True))
        kept: list[Branch | None] = [None] * len(examples)
        for place, line in lines.items():
            asked = ASKED.format(prompt=lessons[place].prompt, mistake=mistakes[place])
            branch = Branch(encoder.completion(asked, line), Branch(encoder.prompt(asked)))
            kept[place] = branch if encoder.fits(branch) else None
        if not any(kept):
            raise LessonError(
                f"objective {self.name!r} has nothing to work on: of {len(examples)} lessons {sum(map(bool, mistakes))} have a mistake "
                f"and {sum(bool(one.feedback) for one in lessons)} a teacher's line on one; it needs feedback.writes=feedback"
            )
        return kept

    def parts(self, example: Example, kept: Branch, place: str) -> list[RowPart]:
        """The line, behind a prompt of its own."""
        return [RowPart("said", kept, [1.0] * len(kept.ids))]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What the lines cost, a target token."""
        targets = seen.targets("said")
        term = targets.sum(partial(completion_nll, targets=seen.total("said")), targets.labels_N)
        return term, {self.name: term}
