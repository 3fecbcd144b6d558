"""A process of ours as whoever has started it holds it, wherever it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol


class Hand(Protocol):
    """A process that is told something, says something, and ends."""

    log: Path  # what libraries in it printed; of another machine once it has ended

    def tell(self, message: Any) -> None:
        """Give it an order, without waiting until it is heard."""

    def kill(self) -> None:
        """End it at once, with all that it has started."""

    def said(self, lines: int = 1) -> str:
        """The last lines that it printed."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""

    @property
    def was_killed(self) -> bool:
        """Whether something from outside has ended it, and no error of its own."""

    @property
    def how_it_ended(self) -> str:
        """By what."""

    @property
    def where(self) -> str:
        """The machine that it runs on; nothing where that is this one, or not known yet."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has not begun because there is no room for it yet."""


Hear = Callable[[Any, Any], None]  # told of a hand and of its word, or None when it has ended
Hire = Callable[[int, Hear], Hand]  # starts the process of a number
