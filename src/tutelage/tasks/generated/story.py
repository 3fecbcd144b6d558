"""What a story of `word_problems` is, and how its sums are done."""

import operator
from collections.abc import Mapping
from typing import NamedTuple

Span = tuple[int, int] | tuple[int, int, bool]  # lowest, highest; True: a small factor that difficulty does not raise
Sum = tuple[str, str, str]  # left, operator, right: names of numbers, earlier results (r1, r2, …) or literal numbers


class Story(NamedTuple):
    """One template: what it asks in several phrasings, its numbers, its sums, and a sentence a sum in several wordings.

    Sentences are format strings over the slots {name} {she} {her} {She} {Her} {other}, {things} and the numbers; "=="
    stands for the sum with its result ("3 + 4 = 7").
    """

    name: str
    numbers: dict[str, Span]
    sums: tuple[Sum, ...]
    asks: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]  # for each sum, the same sentence in three wordings
    things: tuple[str, ...] = ("items",)


_OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}


def solve(story: Story, numbers: Mapping[str, int]) -> list[int] | None:
    """The results of a story's sums, or None when one is not a whole number of zero or more."""
    known = dict(numbers)
    for index, (left, sign, right) in enumerate(story.sums, start=1):
        a, b = (known[side] if side in known else int(side) for side in (left, right))
        if sign == "/" and (b == 0 or a % b):
            return None
        known[f"r{index}"] = _OPERATORS[sign](a, b)
        if known[f"r{index}"] < 0:
            return None
    return [known[f"r{index}"] for index in range(1, len(story.sums) + 1)]
