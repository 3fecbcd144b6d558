"""A completion beside the mistake that it repairs, token by token: where they part, and what of each is one step."""

from msgspec import Struct
from msgspec.structs import replace

from tutelage.lessons.steps import step_ends
from tutelage.lessons.wording import ARROW
from tutelage.training.examples import Branch, Encoder, Example
from tutelage.training.rows import RowPart
from tutelage.types import Lesson


def mistake_of(lesson: Lesson) -> str:
    """The student's mistake beside a lesson: the one that it repairs, or the first of its question; empty where there is none."""
    return lesson.mistaken or next(iter(lesson.wrong), "")


class Dual(Struct, frozen=True):
    """Two answers to one prompt that begin alike, as tokens. Places count from the answers' first token."""

    asked: Branch
    right: list[int]
    wrong: list[int]
    apart: int  # the first token in which the two differ
    right_step: int  # behind the last token of the step in which they part, in the right answer
    wrong_step: int  # and in the wrong one

    def better(self, span: str) -> RowPart:
        """What the right answer says where the two part: its "step", or its "tail" to the end."""
        return self._part("better", self.right, self.right_step if span == "step" else len(self.right))

    def worse(self, span: str) -> RowPart:
        """What the mistake says there."""
        return self._part("worse", self.wrong, self.wrong_step if span == "step" else len(self.wrong))

    def _part(self, name: str, ids: list[int], end: int) -> RowPart:
        return RowPart(name, Branch(ids[:end], self.asked), [float(place >= self.apart) for place in range(end)])


def dual_of(example: Example, encoder: Encoder, mistaken: str = "") -> Dual | None:
    """A lesson beside its mistake, or beside another text that begins with what the student wrote rightly.

    None where there is no such text, the two are the same tokens, or the text is longer than a row holds. Which token belongs to
    which step follows the characters, since a tokenizer may cut the two texts differently where they part.
    """
    lesson = example.lesson
    text = mistaken or lesson.mistaken
    if not text:
        return None
    other = encoder.example(replace(lesson, completion=text))
    if not encoder.fits(other.answered):
        return None
    right, wrong = example.completion, other.completion
    apart = next(
        (place for place, (a, b) in enumerate(zip(right, wrong, strict=False)) if a != b), min(len(right), len(wrong))
    )
    if apart >= min(len(right), len(wrong)):
        return None
    return Dual(
        example.asked,
        right,
        wrong,
        apart,
        max(_step_end(example, encoder, lesson.kept), apart + 1),
        max(_step_end(other, encoder, lesson.kept), apart + 1),
    )


def weights_from(example: Example, first: int) -> list[float]:
    """What each token of a completion counts, if all from this one on do."""
    return [float(place >= first) for place in range(len(example.completion))]


def since_of(example: Example, encoder: Encoder) -> int:
    """The first token of a completion that holds anything behind what the student wrote itself."""
    if not example.lesson.kept:
        return 0
    touched = encoder.touched(example, [(example.lesson.kept, len(example.lesson.completion))])
    return touched.index(True) if True in touched else len(touched) - 1


def _step_end(example: Example, encoder: Encoder, kept: int) -> int:
    """Behind the last token of the first step after `kept` characters; where only the answer comes, behind the end token."""
    text = example.lesson.completion
    body = text.rpartition(ARROW)[0][kept:]
    ends = step_ends(body)
    if not ends:
        return len(example.completion)
    touched = encoder.touched(example, [(kept, kept + ends[0])])
    return max(place for place, one in enumerate(touched) if one) + 1 if True in touched else len(example.completion)
