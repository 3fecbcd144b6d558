"""Buying lessons until a bill is reached: what was taken so far, and which questions still go to the teacher."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tutelage.lessons.trial import TOGETHER
from tutelage.spending import Until
from tutelage.types import Attempt, Chat, Feedback, JsonObject

Item = TypeVar("Item")
Rows = Sequence[Attempt | Feedback]


class Buying:
    """The bill of a run's lessons, step by step: a step buys what the steps before it have left."""

    def __init__(self, until: Until | None) -> None:
        self.until = until
        self.tokens = self.calls = 0  # of the finished steps

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be bought."""
        return self.until is not None and self.until.is_reached(self.tokens, self.calls)

    def inputs(self) -> JsonObject:
        """What a step's inputs say of it; nothing where there is no limit, as before there were any."""
        if self.until is None:
            return {}
        return {"until": {"limit": self.until.model_dump(), "tokens": self.tokens, "calls": self.calls}}

    def count(self, rows: Rows) -> None:
        """Add a finished step."""
        tokens, calls = tokens_and_calls(rows)
        self.tokens += tokens
        self.calls += calls

    def parts(self, items: Sequence[Item], name: Callable[[Item], str], kept: Rows) -> Iterator[Sequence[Item]]:
        """What goes up together, as long as the bill is not reached; `kept` grows with the replies of the step, by question.

        What goes up depends on the replies to what went up before it alone, so that an interrupted step buys what an undisturbed one
        would. The last parts are smaller: what is in flight can pass a bill, but not by much.
        """
        before: set[str] = set()
        start = 0
        while start < len(items):
            tokens, calls = tokens_and_calls([row for row in kept if row.question in before])
            if self.until is None or self.until.is_reached(self.tokens + tokens, self.calls + calls):
                return
            each = (tokens / start, calls / start) if start else (0.0, 0.0)
            size = self._affordable(self.tokens + tokens, self.calls + calls, each)
            yield items[start : start + size]
            before.update(map(name, items[start : start + size]))
            start += size

    def _affordable(self, tokens: int, calls: int, each: tuple[float, float]) -> int:
        """How many questions go up at once, if each takes as much as those before it."""
        assert self.until is not None
        limits = ((self.until.tokens, tokens, each[0]), (self.until.calls, calls, each[1]))
        fits = [(limit - taken) / mean for limit, taken, mean in limits if limit is not None and mean]
        return max(1, min(TOGETHER, *(int(one) for one in fits))) if fits else TOGETHER

    def line(self, asked: int, left: int) -> str:
        """What was left out, for a step's line; empty where nothing was."""
        if self.until is None or not left:
            return ""
        limits = [
            f"budget.until.{name}={value}" for name, value in self.until.model_dump().items() if value is not None
        ]
        return f", {left} of {asked} left out at {' and '.join(limits)}"


def as_far_as(most: int, groups: Iterable[Sequence[Chat]], kept: Rows) -> Iterator[Sequence[Chat]]:
    """The groups as long as those before took fewer tokens than `most`; `kept` grows with their replies."""
    before: set[str] = set()
    for group in groups:
        spent, _ = tokens_and_calls([row for row in kept if row.question in before])
        if spent >= most:
            return
        yield group
        before.update(chat.question for chat in group)


def replies_in(row: Attempt | Feedback) -> int:
    """How many replies a record is made of: zero-shot-CoT asks a second time, for the answer, which may have failed."""
    return 2 if isinstance(row, Attempt) and row.text and (row.answer_text or row.error) else 1


def tokens_and_calls(rows: Rows) -> tuple[int, int]:
    """Tokens and calls of replies."""
    calls = sum(replies_in(row) for row in rows)
    return sum(row.tokens_in + row.tokens_out for row in rows), calls
