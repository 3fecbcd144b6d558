"""Weigh the steps in which a right and a wrong chain differ [EDIT: Dai et al. 2024, arXiv 2405.19737, section 3.3 and the authors' code]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field
from rapidfuzz.distance import Levenshtein

from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.training.duals import mistake_of
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import bounded_nll
from tutelage.training.reading import ForwardPass, Targets
from tutelage.training.rows import RowPart


class Keys(Struct, frozen=True):
    """What each token of a right chain counts, and of the wrong one beside it, where there is one."""

    right: list[float]
    wrong: list[int]
    wrong_weights: list[float]


class KeySteps(Settings):
    """Right chains, with more weight where they differ from wrong ones, and a small negative weight on what the wrong ones say there.

    A sum over the tokens of a chain divided by their number, and a mean over the lessons, as the authors' code has it.
    """

    name: ClassVar[str] = "key_steps"
    whole: ClassVar[bool] = True
    plain: Annotated[float, Field(ge=0)] = Field(
        1.0, description="weight of a right chain's other tokens [EDIT: 0, behind a training without it]"
    )
    key: Annotated[float, Field(ge=0)] = Field(
        1.0, description="what a key token of a right chain counts more [EDIT: 1]"
    )
    wrong: Annotated[float, Field(ge=0)] = Field(
        0.025,
        description="what a key token of a wrong chain counts less than nothing [EDIT: 0.025; 0.05 loses all of the gain]",
    )
    most: Annotated[float, Field(gt=0)] = Field(
        20.0, description="a wrong token that costs more nats is unlikely enough [EDIT: 20]"
    )

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Keys]:
        """The key tokens of both chains: what an edit of one into the other deletes, inserts or replaces."""
        kept = [self._keys(example, encoder) for example in examples]
        if not any(one.wrong for one in kept):
            raise LessonError(
                f"objective {self.name!r} has nothing to work on: none of {len(examples)} lessons has a mistake beside it, or "
                "all are longer than training.max_length"
            )
        return kept

    def _keys(self, example: Example, encoder: Encoder) -> Keys:
        lesson, right = example.lesson, example.completion
        text = mistake_of(lesson)
        other = encoder.example(replace(lesson, completion=text)) if text else None
        if other is None or not encoder.fits(other.answered):
            return Keys([self.plain] * len(right), [], [])
        wrong = other.completion
        rights, wrongs = [self.plain] * len(right), [0.0] * len(wrong)
        for edit in Levenshtein.opcodes(right, wrong):
            if edit.tag != "equal":
                ours, theirs = slice(edit.src_start, edit.src_end), slice(edit.dest_start, edit.dest_end)
                rights[ours] = [self.plain + self.key] * len(rights[ours])
                wrongs[theirs] = [-self.wrong] * len(wrongs[theirs])
        return Keys(rights, wrong if any(wrongs) else [], wrongs)

    def works_on(self, kept: Keys) -> bool:
        """Whether there is a wrong chain beside a lesson."""
        return bool(kept.wrong)

    def parts(self, example: Example, kept: Keys, place: str) -> list[RowPart]:
        """Both chains, each token weighed and divided by the number of its chain's tokens."""
        parts = [RowPart("right", example.answered, [weight / len(kept.right) for weight in kept.right])]
        if kept.wrong:
            weights = [weight / len(kept.wrong) for weight in kept.wrong_weights]
            parts.append(RowPart("wrong", Branch(kept.wrong, example.asked), weights))
        return parts

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The weighted sums, a mean over the lessons."""
        targets = seen.targets("right")
        loss = self._nll(targets, float("inf")) / seen.rows("right")
        if "wrong" not in seen:
            return loss, {"loss": loss}
        targets = seen.targets("wrong")
        term = self._nll(targets, self.most) / seen.rows("right")
        return loss + term, {"loss": loss, self.name: term}

    def _nll(self, targets: Targets, most: float) -> torch.Tensor:
        return targets.sum(partial(bounded_nll, most=most), targets.labels_N, targets.weights_N)
