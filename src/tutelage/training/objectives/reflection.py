"""Self-reflection: right rationales of a question near each other, the student's own mistakes far [Wang et al. 2023]."""

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.lessons.wording import ARROW
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.losses import self_reflection
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart
from tutelage.training.settings import ReflectionOptions
from tutelage.types import Lesson

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

        others = [ids for ids in (*beside, *behind(lesson.right)) if ids != example.completion]
        found = others[:POSITIVES], behind(self._negatives(lesson))
        return Contrast(*([self._read(ids, example) for ids in some] for some in found))

    def _negatives(self, lesson: Lesson) -> Sequence[str]:
        """The mistakes; as the authors have them, with the answer of the lesson in place of their own."""
        if self.variant == "own":
            return lesson.wrong
        answer = lesson.completion.rpartition(ARROW)[2]
        return [f"{wrong.rpartition(ARROW)[0]}{ARROW}{answer}" for wrong in lesson.wrong]

    def _read(self, ids: Sequence[int], example: Example) -> Branch:
        """What is read of an answer: all of it, or for the authors all before the end token."""
        return Branch(ids if self.variant == "own" else ids[:-1], example.asked)

    def parts(self, example: Example, kept: Contrast, place: str) -> list[RowPart]:
        """One positive and one negative, others in each epoch. Only their states are read, so they cost no logits."""
        rng = random.Random(place)
        positive, negative = rng.choice(kept.positives), rng.choice(kept.negatives)
        texts = {"anchor": self._read(example.completion, example), "positive": positive, "negative": negative}
        return [RowPart(name, branch, fixed=self.variant == "paper") for name, branch in texts.items()]

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The triplet loss, a mean over the lessons that have something to compare."""
        anchor_AH, positive_AH, negative_AH = (
            seen.pooled(part, self.pooling) for part in ("anchor", "positive", "negative")
        )
        active_A = torch.ones(len(anchor_AH), dtype=torch.bool, device=anchor_AH.device)
        term = self_reflection(anchor_AH, positive_AH, negative_AH, active_A, self.margin, seen.rows("negative"))
        return term, {self.name: term}
