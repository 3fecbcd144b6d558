"""What a task is: four functions, and for procedural tasks two more."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.types import Chat, Message, Question


def ask_plainly(question: Question) -> Chat:
    """Ask the question's text as one user message."""
    return Chat(messages=(Message("user", question.text),), question=question.id, purpose="exam")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A set of questions that can be loaded, asked, read and graded.

    `load(split)` raises `ConfigError` for an unknown split and `DataError` for an empty one. `read(text, question)` returns the answer as a
    normalised string, or None when the text commits to none. `same(answer, question)` compares such an answer with
    the question's gold, None meaning that this cannot be decided. `commits(text, question)` says whether the text names one
    answer clearly, for the strict verdict; without it whatever was read counts. Procedural tasks also give `worked(question, variant)`, a step-by-step solution without the
    final "the answer is" (variants differ in wording only; variant 0 always exists, other variants may repeat), and
    `similar(question, rng)`, a fresh train-split question that needs the same skill.
    """

    name: str
    kind: str  # number, choice, yes_no, text: how answers are read; shown to the user
    splits: tuple[str, ...]
    load: Callable[[str], list[Question]]
    read: Callable[[str, Question], str | None]
    same: Callable[[str, Question], bool | None]
    commits: Callable[[str, Question], bool] | None = None
    ask: Callable[[Question], Chat] = ask_plainly
    worked: Callable[[Question, int], str] | None = None
    similar: Callable[[Question, random.Random], Question] | None = None
    options: Mapping[str, object] = field(
        default_factory=dict
    )  # what the task was made with: part of a step's identity
    grades_inventions: bool = True  # whether `same` can grade a question that is not of this task's own making
    samples: int = 1  # a question, as scores on it are usually given: 16 where that is avg@16
    trigger: str = "Therefore, the answer is"  # second call of zero-shot-CoT


def check_split(task: str, split: str, splits: tuple[str, ...]) -> None:
    """Refuse a split the task does not have."""
    if split not in splits:
        raise ConfigError(f"task {task!r} has no split {split!r}; {nearest(split, splits)}")


Draw = Callable[[random.Random, str], tuple[Question, str]]
Belongs = Callable[[str, str], bool]

# Shares of the unit interval that a question's fingerprint is sorted into: disjoint by construction, whatever the seed.
SHARES = {"train": (0.0, 0.7), "dev": (0.7, 0.8), "test": (0.8, 1.0)}


def share_of(fingerprint: str) -> str:
    """The split that a procedural question belongs to, decided by a hash of what makes it that question."""
    point = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest()[:6], "big") / 2**48
    return next(split for split, (low, high) in SHARES.items() if low <= point < high)


def draw_disjoint(draw: Draw, belongs: Belongs, task: str, split: str, count: int, seed: int) -> Iterator[Question]:
    """Draw `count` questions of one split from a generator, none twice, none that another split could hold.

    `draw(rng, split)` returns a question and its fingerprint, `belongs(fingerprint, split)` says whether that split
    may hold it. Question i depends on seed, split and i alone as far as earlier questions leave it free. Ids are the
    caller's to give.
    """
    seen: set[str] = set()
    for index in range(count):
        rng = random.Random(f"{task}/{seed}/{split}/{index}")
        for _ in range(1000):
            question, fingerprint = draw(rng, split)
            if fingerprint not in seen and belongs(fingerprint, split):
                break
        else:
            raise DataError(f"task {task!r} cannot make {count} different {split} questions; ask for at most {index}")
        seen.add(fingerprint)
        yield question


def subset(questions: Sequence[Question], limit: int | None, seed: int = 0) -> list[Question]:
    """All questions, or the first `limit` of a seeded permutation (the rule of Ho et al., 2022, for size studies)."""
    if limit is None:
        return list(questions)
    if limit < 1:
        raise ConfigError(f"a limit of {limit} leaves no questions; give at least 1, or none for all")
    import numpy as np

    order = np.random.RandomState(seed).permutation(len(questions))[:limit]
    return [questions[index] for index in order.tolist()]
