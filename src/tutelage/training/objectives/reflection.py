"""Self-reflection: right rationales of a question near each other, the student's own mistakes far [Wang et al. 2023]."""

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import self_reflection
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart
from tutelage.training.settings import ReflectionOptions

POSITIVES = 10  # how many right rationales of its question a lesson may be drawn towards [Wang et al. 2023]


class Contrast(Struct, frozen=True):
    """What a lesson is drawn towards and away from."""

    positives: Sequence[Branch]  # other right rationales of the question
    negatives: Sequence[Branch]  # the student's wrong ones


class Reflection(ReflectionOptions):
    """A triplet loss over the student's last states of a lesson, of another right rationale and of its own mistake."""

    name: ClassVar[str] = "reflection"

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[Contrast | None]:
        """Each lesson with the other right rationales of its question: those of the lessons beside it, then its own."""
        by_question: dict[str, list[list[int]]] = {}
        for example in examples:
            by_question.setdefault(example.lesson.question, []).append(example.completion)
        found = [self._contrast(example, by_question[example.lesson.question], encoder) for example in examples]
        kept = [one if one.positives and one.negatives else None for one in found]
        if not any(kept):
            alone = sum(not one.positives for one in found)
            faultless = sum(not one.negatives for one in found)
            raise LessonError(
                f"self-reflection has nothing to compare: of {len(examples)} lessons {alone} have no other right rationale of "
                f"their question and {faultless} have no mistake of the student's. Ask the teacher for at least 2 rationales a "
                "question, let the student sit more samples, or set training.reflection=null"
            )
        return kept

    def _contrast(self, example: Example, beside: Sequence[list[int]], encoder: Encoder) -> Contrast:
        lesson = example.lesson

        def behind(texts: Sequence[str]) -> list[list[int]]:
            made = [encoder.completion(lesson.prompt, text) for text in texts]
            return [ids for ids in made if encoder.fits(Branch(ids, example.asked))]

        negatives = behind(lesson.wrong)
        others = [ids for ids in (*beside, *behind(lesson.right)) if ids != example.completion]
        return Contrast(*([Branch(ids, example.asked) for ids in some] for some in (others[:POSITIVES], negatives)))

    def parts(self, example: Example, kept: Contrast, place: str) -> list[RowPart]:
        """One positive and one negative, others in each epoch. Only their states are read, so they cost no logits."""
        rng = random.Random(place)
        positive, negative = rng.choice(kept.positives), rng.choice(kept.negatives)
        return [RowPart("anchor", example.answered), RowPart("positive", positive), RowPart("negative", negative)]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The triplet loss, a mean over the lessons that have something to compare."""
        anchor_AH, positive_AH, negative_AH = (
            seen.pooled(part, self.pooling) for part in ("anchor", "positive", "negative")
        )
        active_A = torch.ones(len(anchor_AH), dtype=torch.bool, device=anchor_AH.device)
        term = self_reflection(anchor_AH, positive_AH, negative_AH, active_A, self.margin, seen.rows("negative"))
        return term, {self.name: term}
