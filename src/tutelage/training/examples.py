"""Lessons as tokens, exactly as the student is asked and answers in its exams."""

from collections.abc import Sequence

from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.models.local import offsets, templates
from tutelage.models.local.pretrained import Tokenizer
from tutelage.types import Lesson, Message

Span = tuple[int, int]  # characters of a completion, from the first to behind the last


class Branch(Struct, frozen=True):
    """Tokens that go on from a prompt, or from other tokens behind it; a prompt itself goes on from nothing."""

    ids: Sequence[int]
    after: "Branch | None" = None

    @property
    def depth(self) -> int:
        """How many tokens stand before it on its way from the prompt."""
        return 0 if self.after is None else self.after.depth + len(self.after.ids)

    @property
    def before(self) -> list[int]:
        """These tokens."""
        return [] if self.after is None else [*self.after.before, *self.after.ids]


class Example(Struct, frozen=True):
    """A lesson as tokens."""

    prompt: list[int]
    completion: list[int]  # ends in a stop token
    lesson: Lesson

    @property
    def length(self) -> int:
        """Tokens of prompt and completion."""
        return len(self.prompt) + len(self.completion)

    @property
    def asked(self) -> Branch:
        """The prompt, from which everything in a row goes on."""
        return Branch(self.prompt)

    @property
    def answered(self) -> Branch:
        """The completion behind the prompt."""
        return Branch(self.completion, self.asked)


class Encoder:
    """Texts as the student's tokens; `limit` is how many a row may hold from its prompt to the end of an answer."""

    def __init__(self, tokenizer: Tokenizer, stops: set[int], limit: int) -> None:
        self.tokenizer = tokenizer
        self.stops = stops
        self.limit = limit
        self.left_out: set[tuple[int, ...]] = set()  # texts beside lessons that no row can hold

    def example(self, lesson: Lesson) -> Example:
        """A lesson as tokens."""
        return Example(self.prompt(lesson.prompt), self.completion(lesson.prompt, lesson.completion), lesson)

    def prompt(self, text: str) -> list[int]:
        """A question as the student is asked it."""
        return templates.prompt_ids(self.tokenizer, [Message("user", text)])

    def completion(self, prompt: str, text: str) -> list[int]:
        """An answer as the student would write it behind a question; it ends in a stop token."""
        return templates.completion_ids(self.tokenizer, [Message("user", prompt)], text, self.stops)

    def fits(self, branch: Branch) -> bool:
        """Whether a row can hold what ends in this branch. What cannot be held is left out and counted, never cut."""
        if branch.depth + len(branch.ids) <= self.limit:
            return True
        self.left_out.add((*branch.before, *branch.ids))
        return False

    def touched(self, example: Example, spans: Sequence[Span]) -> list[bool]:
        """For each token of a lesson's completion whether it holds a character of one of these spans of the completion.

        The stop token holds none. Raises `ModelError` where a tokenizer does not tell which characters a token holds.
        """
        if not spans:
            return [False] * len(example.completion)
        held = offsets.completion_offsets(self.tokenizer, example.lesson, example.completion)
        return [any(start < last and first < end for first, last in spans) for start, end in held]


def encode_lessons(lessons: Sequence[Lesson], encoder: Encoder) -> list[Example]:
    """Lessons as tokens; one that is too long is dropped, never cut, since a cut one teaches to stop early."""
    fitting = [example for lesson in lessons if (example := encoder.example(lesson)).length <= encoder.limit]
    if not fitting:
        raise LessonError(
            f"none of the {len(lessons)} lessons fits into training.max_length={encoder.limit} tokens"
            if lessons
            else "there are no lessons to learn from"
        )
    return fitting
