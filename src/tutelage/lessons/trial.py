"""A look at a teacher's first replies, before the rest is paid for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from tutelage.errors import LessonError
from tutelage.lessons.rationales import verdict_of
from tutelage.types import Attempt

Item = TypeVar("Item")

FIRST = 20  # replies that are looked at
MOST = 0.3  # share of them that may be lost
TOGETHER = 8  # chats that go up together under a limit on tokens: what is in flight can pass it


class Trial:
    """Counts what is lost of the first replies; raises LessonError once they are in and too many are.

    Lost is what is cut off, failed or unread: no lesson will come of it, and a setting, not the teacher, is to blame.
    `settings` is where that setting stands, "rationales" or "feedback"; `hint` is what else may help with what cannot be read.
    """

    def __init__(self, max_tokens: int, settings: str = "rationales", hint: str = "") -> None:
        self.max_tokens = max_tokens
        self.settings = settings
        self.hint = hint
        self.seen = 0
        self.lost: Counter[str] = Counter()

    def look(self, loss: str) -> None:
        """Take in one reply by what makes it no lesson; "" is none."""
        if self.seen >= FIRST:
            return
        self.seen += 1
        if loss:
            self.lost[loss] += 1
        if self.seen == FIRST and self.lost.total() > MOST * FIRST:
            raise LessonError(self._advice())

    def _advice(self) -> str:
        said = ", ".join(f"{count} {reason}" for reason, count in self.lost.most_common())
        (worst, _) = self.lost.most_common(1)[0]
        apart = "; rationales.calls=2 asks for the answer apart" if self.settings == "rationales" else ""
        remedy = {
            "cut off": f"give it more room with {self.settings}.max_tokens={4 * self.max_tokens}; a model that thinks needs thousands",
            "failed": "see the errors in the step's records",
            "unread": f"see what it writes in the step's records{apart}{self.hint}",
        }[worst]
        return (
            f"of the teacher's first {FIRST} replies {said}: no lesson would come of them, so the rest was not asked for. What "
            f"was paid for is kept. {remedy[0].upper()}{remedy[1:]} (in another --into), or go on with rationales.accept_cut=true"
        )


class Bounds(NamedTuple):
    """What ends a consultation early."""

    tokens: int | None = None  # once they are spent, no further chat goes up
    trial: Trial | None = None  # of its first replies


def first_and_rest(items: Sequence[Item], trial: Trial | None, replies: int = 1) -> list[Sequence[Item]]:
    """What brings the replies that are looked at, and all else; `replies` come of each item."""
    first = -(-FIRST // replies) if trial else 0
    return [part for part in (items[:first], items[first:]) if part]


def loss_of(attempt: Attempt) -> str:
    """Why a reply can be no lesson whatever its answer is; empty when it can."""
    if attempt.error:
        return "failed"
    if attempt.truncated:
        return "cut off"
    return "unread" if verdict_of(attempt) == "unread" else ""


def groups_of(items: Sequence[Item], limited: bool, trial: Trial | None) -> Iterator[Sequence[Item]]:
    """What goes up together: what a trial looks at first, and few at a time where it may cost only so much."""
    for part in first_and_rest(items, trial):
        size = TOGETHER if limited else len(part)
        yield from (part[start : start + size] for start in range(0, len(part), size))
