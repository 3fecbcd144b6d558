"""Prefer the right step to one's own wrong one, where they part [SimPO, Meng et al. 2024; ORPO, Hong et al. 2024; DPO, Rafailov et al. 2023]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from msgspec import Struct
from msgspec.structs import replace
from pydantic import Field

from tutelage.config import Settings
from tutelage.errors import LessonError
from tutelage.training.duals import Dual, dual_of, since_of, weights_from
from tutelage.training.examples import Encoder, Example
from tutelage.training.losses import completion_nll, log_odds, preference, row_means, row_sums, token_logprobs
from tutelage.training.objectives.repair import check_repairs
from tutelage.training.reading import ForwardPass
from tutelage.training.references import Reference, References
from tutelage.training.rows import RowPart
from tutelage.types import Lesson


class Preferred(Struct, frozen=True):
    """What of a lesson counts, and the mistake beside it, where there is one."""

    weights: list[float]
    dual: Dual | None
    reference: tuple[Reference, Reference] | None = None  # what the student as it began thought of both answers


def _behind(lesson: Lesson, other: Lesson) -> str:
    """The wrong ending of another lesson behind the right beginning of this one, with the space between them that is its own."""
    joint = " " if lesson.mistaken[lesson.kept :][:1] == " " else "\n" if lesson.kept else ""
    return f"{lesson.completion[: lesson.kept]}{joint}{other.mistaken[other.kept :].lstrip()}"


class Prefer(Settings):
    """The repair's likelihood, which keeps it from becoming unlikely itself, and a preference for its step over the mistake's.

    Only the tokens from where the two part count in the preference: what both say is no difference between them.
    """

    name: ClassVar[str] = "prefer"
    whole: ClassVar[bool] = True
    form: Literal["simpo", "orpo", "dpo"] = Field(
        "simpo",
        description="of the preference: of mean log-probabilities, of the odds, or (dpo) of what the log-probabilities have moved since "
        "the round began",
    )
    strength: Annotated[float, Field(gt=0)] = Field(1.0, description="of the preference beside the likelihood, lambda")
    beta: Annotated[float, Field(gt=0)] = Field(
        2.0, description="how steep the preference is [SimPO: 2.0 to 2.5; ORPO: 1]"
    )
    margin: Annotated[float, Field(ge=0)] = Field(
        0.5, description="how much more likely the right step shall be, in nats a token times beta [SimPO: 0.3 to 1.6]"
    )
    span: Literal["step", "tail"] = Field(
        "step", description="what is compared: the step in which they part, or all from there on"
    )
    against: Literal["own", "others"] = Field(
        "own", description="others: the placebo, in which the mistake is one about another question"
    )

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Preferred]:
        """Every lesson, with its mistake where it repairs one. Refuses lessons of which none does."""
        check_repairs(self.name, examples)
        kept = []
        for example, mistaken in zip(examples, self._mistakes(examples), strict=True):
            weights = weights_from(example, since_of(example, encoder))
            kept.append(Preferred(weights, dual_of(example, encoder, mistaken) if mistaken else None))
        if not any(one.dual for one in kept):
            raise LessonError(
                f"objective {self.name!r} has nothing to work on: no repair differs from its mistake within max_length"
            )
        return kept

    def _mistakes(self, examples: Sequence[Example]) -> list[str]:
        """What each lesson is set against: its own mistake, or behind its beginning the ending of the next other question's."""
        lessons = [example.lesson for example in examples]
        if self.against == "own":
            return [lesson.mistaken for lesson in lessons]
        found = []
        for place, lesson in enumerate(lessons):
            others = (
                one
                for one in (*lessons[place + 1 :], *lessons[:place])
                if one.mistaken and one.question != lesson.question
            )
            other = next(others, None) if lesson.mistaken else None
            found.append(_behind(lesson, other) if other else "")
        return found

    def refer(self, examples: Sequence[Example], kept: Sequence[Preferred], references: References) -> list[Preferred]:
        """For DPO what the student as it begins thinks of both answers."""
        duals = [one.dual for one in kept if one.dual]
        if self.form != "dpo":
            return list(kept)
        branches = [part.branch for dual in duals for part in (dual.better(self.span), dual.worse(self.span))]
        told = references.own(self.name, branches)
        pairs = iter(zip(told[::2], told[1::2], strict=True))
        return [replace(one, reference=next(pairs)) if one.dual else one for one in kept]

    def works_on(self, kept: Preferred) -> bool:
        """Whether there is a mistake to compare a lesson with."""
        return kept.dual is not None

    def parts(self, example: Example, kept: Preferred, place: str) -> list[RowPart]:
        """The completion behind the student's own steps, and both steps where they part."""
        parts = [RowPart("completion", example.answered, kept.weights)]
        if kept.dual is None:
            return parts
        both = [kept.dual.better(self.span), kept.dual.worse(self.span)]
        if kept.reference:
            both = [replace(part, more=one.more(top=False)) for part, one in zip(both, kept.reference, strict=True)]
        return [*parts, *both]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What the repairs cost a token, and the preference a lesson that has a mistake; both are told."""
        targets = seen.targets("completion")
        loss = targets.sum(partial(completion_nll, targets=seen.total("completion")), targets.labels_N)
        if "worse" not in seen:
            return loss, {"loss": loss}
        better_A, worse_A = (self._score(seen, part) for part in ("better", "worse"))
        term = preference(
            better_A, worse_A, self.beta, self.margin if self.form == "simpo" else 0.0, seen.rows("worse")
        )
        won = (better_A > worse_A).float().sum() / seen.rows("worse")
        return loss + self.strength * term, {"loss": loss, self.name: term, "preferred": won}

    def _score(self, seen: ForwardPass, part: str) -> torch.Tensor:
        targets = seen.targets(part)
        logprobs_N = targets.each(token_logprobs, targets.labels_N)
        if self.form == "dpo":
            return row_sums(logprobs_N - targets.more["reference"], targets.rows_N)
        means_A = row_means(logprobs_N, targets.rows_N)
        return means_A if self.form == "simpo" else log_odds(means_A)
