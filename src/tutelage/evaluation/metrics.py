"""Scores from verdicts. Pure: sequences of numbers and booleans in, numbers out."""

import math
from collections.abc import Sequence


def accuracy(right: Sequence[bool]) -> float:
    """The share of right answers."""
    return sum(right) / len(right)


def avg_at_k(right_by_question: Sequence[Sequence[bool]]) -> float:
    """The mean over questions of the share of right samples (also called pass@1 estimated from k samples)."""
    return sum(accuracy(samples) for samples in right_by_question) / len(right_by_question)


def pass_at_k(right: Sequence[bool], k: int) -> float | None:
    """The chance that one of k samples is right, unbiased from n >= k samples [Chen et al. 2021, eq. 1]; None when n < k."""
    n, c = len(right), sum(right)
    if k < 1 or n < k:
        return None
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def majority(answers: Sequence[str | None]) -> str | None:
    """The answer most samples give [Wang et al. 2022, self-consistency]; among equals the one that came first; None if none was read."""
    read = [answer for answer in answers if answer is not None]
    return max(read, key=lambda answer: (read.count(answer), -read.index(answer))) if read else None
