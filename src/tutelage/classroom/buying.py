"""Buying lessons until a bill is reached: what was taken so far, and which questions still go to the teacher."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from tutelage.spending import Until
from tutelage.types import Attempt, Feedback, JsonObject

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
        return {"until": {"limit": self.until, "tokens": self.tokens, "calls": self.calls}} if self.until else {}

    def count(self, rows: Rows) -> None:
        """Add a finished step."""
        tokens, calls = tokens_and_calls(rows)
        self.tokens += tokens
        self.calls += calls

    def groups(
        self, groups: Iterable[Sequence[Item]], name: Callable[[Item], str], kept: Rows
    ) -> Iterator[Sequence[Item]]:
        """The groups of what is asked as long as the bill is not reached; `kept` grows with the replies of the step, by question.

        Whether a group goes up depends on the groups before it alone, so that an interrupted step buys what an undisturbed one would.
        """
        before: set[str] = set()
        for group in groups:
            tokens, calls = tokens_and_calls([row for row in kept if row.question in before])
            if self.until is not None and self.until.is_reached(self.tokens + tokens, self.calls + calls):
                return
            yield group
            before.update(map(name, group))

    def line(self, asked: int, left: int) -> str:
        """What was left out, for a step's line; empty where nothing was."""
        if self.until is None or not left:
            return ""
        limits = [
            f"budget.until.{name}={value}" for name, value in self.until.model_dump().items() if value is not None
        ]
        return f", {left} of {asked} left out at {' and '.join(limits)}"


def tokens_and_calls(rows: Rows) -> tuple[int, int]:
    """Tokens and calls of replies; zero-shot-CoT asks twice."""
    calls = sum(1 + bool(getattr(row, "answer_text", "")) for row in rows)
    return sum(row.tokens_in + row.tokens_out for row in rows), calls
