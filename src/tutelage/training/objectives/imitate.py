"""Think of each next token as a teacher does whose probabilities are known [Hinton et al. 2015, arXiv 1503.02531]."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, ClassVar

import torch
from msgspec import Struct
from pydantic import Field

from tutelage.config import Settings
from tutelage.lessons.rollouts import ROLLOUT
from tutelage.models.specs import ModelSpec
from tutelage.training.duals import mistake_of
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import completion_nll, top_divergence
from tutelage.training.reading import ForwardPass
from tutelage.training.references import Reference, References
from tutelage.training.rows import RowPart


class Imitated(Struct, frozen=True):
    """The teacher's view of a lesson, and of what the student itself wrote about its question."""

    lesson: Reference | None = None
    own: Sequence[int] = ()
    of_own: Reference | None = None


class Imitate(Settings):
    """Likelihood of the lesson, and the divergence from a teacher with the student's tokenizer, on the lesson and on the student's own text."""

    name: ClassVar[str] = "imitate"
    whole: ClassVar[bool] = True
    scorer: ModelSpec = Field(
        description="whose probabilities: a local model with the student's tokenizer and template"
    )
    top: Annotated[int, Field(ge=1)] = Field(
        32, description="likeliest tokens of the teacher in each place; all others are one"
    )
    share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="of the divergence; the rest is the likelihood's"
    )
    beta: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="0: KL(teacher, student); 1: KL(student, teacher); between them the generalised Jensen-Shannon divergence of GKD",
    )
    rollouts: bool = Field(True, description="on the student's own mistake, too, where a lesson has one")

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Imitated]:
        """Every lesson, with the student's own text beside it."""
        return [self._beside(example, encoder) for example in examples]

    def _beside(self, example: Example, encoder: Encoder) -> Imitated:
        text = _own_text(example) if self.rollouts and example.lesson.kind != ROLLOUT else ""
        ids = encoder.completion(example.lesson.prompt, text) if text else []
        return Imitated(own=ids if encoder.fits(Branch(ids, example.asked)) else ())

    def refer(self, examples: Sequence[Example], kept: Sequence[Imitated], references: References) -> list[Imitated]:
        """What the teacher thinks of both, asked once."""
        own = [(example, one) for example, one in zip(examples, kept, strict=True) if one.own]
        texts = [example.lesson.completion for example in examples] + [_own_text(example) for example, _ in own]
        told = references.of(self.name, self.scorer, [*examples, *(example for example, _ in own)], texts, self.top)
        others = iter(told[len(examples) :])
        return [
            Imitated(lesson, one.own, next(others) if one.own else None)
            for one, lesson in zip(kept, told[: len(examples)], strict=True)
        ]

    def parts(self, example: Example, kept: Imitated, place: str) -> list[RowPart]:
        """The completion and the student's own text, each token with the teacher's likeliest ones.

        A lesson that is a rollout is the student's own text, and nothing that it is to write.
        """
        assert kept.lesson is not None
        name = "own" if example.lesson.kind == ROLLOUT else "completion"
        parts = [RowPart(name, example.answered, [1.0] * len(example.completion), kept.lesson.more(top=True))]
        if kept.of_own:
            own = Branch(kept.own, example.asked)
            parts.append(RowPart("own", own, [1.0] * len(kept.own), kept.of_own.more(top=True)))
        return parts

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Likelihood and divergence, a token each; both are told."""
        names = [name for name in ("completion", "own") if seen.has(name)]
        both = seen.targets(*names)
        of = partial(top_divergence, beta=self.beta)
        apart = both.sum(of, both.more["top_ids"], both.more["top_logprobs"]) / seen.total(*names)
        if "completion" not in names:
            return self.share * apart, {self.name: apart}
        targets = seen.targets("completion")
        loss = targets.sum(partial(completion_nll, targets=seen.total("completion")), targets.labels_N)
        return (1 - self.share) * loss + self.share * apart, {"loss": loss, self.name: apart}


def _own_text(example: Example) -> str:
    """What the student itself wrote about a lesson's question, its mistake first; empty where there is nothing."""
    return mistake_of(example.lesson) or next(iter(example.lesson.right), "")
