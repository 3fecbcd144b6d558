"""Scores from verdicts. Pure: sequences of numbers and booleans in, numbers out."""

from collections.abc import Sequence


def accuracy(right: Sequence[bool]) -> float:
    """The share of right answers."""
    return sum(right) / len(right)


def avg_at_k(right_by_question: Sequence[Sequence[bool]]) -> float:
    """The mean over questions of the share of right samples (also called pass@1 estimated from k samples)."""
    return sum(accuracy(samples) for samples in right_by_question) / len(right_by_question)
