"""Money as nouns: what was spent and what is in flight, and the most that may be."""

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field

from tutelage.config import Settings

MILLION = Decimal(1_000_000)


@dataclass(kw_only=True)
class Spending:
    """What a run has spent, and the most that its requests in flight may take, whichever models they are sent to.

    `dollars` is None as soon as something had no known price. Models are asked by threads of their own: whoever reads and
    then adds holds `lock`.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: Decimal | None = Decimal(0)
    held_tokens: int = 0
    held_dollars: Decimal = Decimal(0)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Tokens in all."""
        return self.tokens_in + self.tokens_out

    def line(self) -> str:
        """The spending in one line."""
        price = "unpriced" if self.dollars is None else f"${self.dollars:.4f}"
        return f"{self.calls} calls, {self.tokens_in} + {self.tokens_out} tokens, {price}"


class Until(Settings):
    """What lessons are bought for: no further question goes to a teacher once so much was taken, and that is no error.

    Counted are the replies that the run's lessons are made of, whoever paid for them and when, so that the same run buys the same
    lessons again. Dollars are none of it: a price may change.
    """

    tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="of prompts and replies; words, where a teacher has no tokens"
    )
    calls: Annotated[int, Field(ge=1)] | None = Field(None, description="replies")

    def is_reached(self, tokens: int, calls: int) -> bool:
        """Whether so much was taken."""
        return (self.tokens is not None and tokens >= self.tokens) or (self.calls is not None and calls >= self.calls)


class BudgetConfig(Settings):
    """The most a run may spend on its teacher, over all its sessions."""

    newer: ClassVar[frozenset[str]] = frozenset({"until"})
    until: Until | None = Field(None, description="lessons are bought until it is used, which is no error")
    dollars: Annotated[Decimal, Field(gt=0)] | None = Field(None, description="needs a model whose price is known")
    tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="of prompts and replies")
    calls: Annotated[int, Field(ge=1)] | None = Field(None, description="requests sent, retries included")

    def left(self, spent: Spending) -> str:
        """What remains of each cap, in one line; empty without caps."""
        parts = []
        if self.dollars is not None and spent.dollars is not None:
            parts.append(f"${max(self.dollars - spent.dollars, Decimal(0)):.4f}")
        if self.tokens is not None:
            parts.append(f"{max(self.tokens - spent.tokens, 0)} tokens")
        if self.calls is not None:
            parts.append(f"{max(self.calls - spent.calls, 0)} calls")
        return ", ".join(parts)
