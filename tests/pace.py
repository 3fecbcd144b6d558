"""Seconds that mean the same on a slow machine and on a busy one."""

import re
import time
from collections.abc import Callable

_TEXT = "The answer is 7, not (3 + 4) * 2. " * 600
_ORDINARY = 0.0075  # seconds that the work below takes on the machine the limits were made on


def pace() -> float:
    """How many times as long as there this machine takes just now over the same piece of reading; 1 where it is quicker."""
    best = min(timed(_read) for _ in range(3))
    return max(1.0, best / _ORDINARY)


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of this process that a piece of work takes, in seconds of the ordinary machine.

    What takes so long that a limit may be near is done again: processors that share a core with others have slow moments.
    """
    seconds = timed(work)
    if seconds < 0.2:
        return seconds
    return min(seconds / pace(), timed(work) / pace())


def timed(work: Callable[[], object]) -> float:
    """Seconds of this process, as they are."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _read() -> int:
    words = re.findall(r"\w+|[^\w\s]", _TEXT)
    return sum(len(word) for word in words if word.strip("().,") and word.lower() != "answer")
