"""What may go wrong in a student beside its accuracy: answers that grow, are cut off, repeat themselves, or are all alike."""

import zlib
from collections.abc import Sequence
from statistics import mean, median
from typing import NamedTuple

from tutelage.evaluation.metrics import avg_at_k, pass_at_k
from tutelage.types import Attempt


class Canaries(NamedTuple):
    """Signs of one exam; shares are of its answers."""

    answers: int
    tokens: float  # in the mean
    cut: float  # share that reached the limit
    ended: float  # share that ended by themselves
    shrinks: float  # the median of a text's size over that of its compressed form: what says the same again and again shrinks most
    alike: float  # share of the texts that another question's answer repeats letter for letter
    once: float | None  # pass@1, where there are several samples a question
    several: float | None  # pass@n
    samples: int


def canaries(attempts: Sequence[Attempt]) -> Canaries:
    """The signs of an exam with at least one answer."""
    texts = [attempt.text for attempt in attempts]
    said: dict[str, set[str]] = {}
    rows: dict[str, list[bool]] = {}
    for attempt in attempts:
        said.setdefault(attempt.text, set()).add(attempt.question)
        rows.setdefault(attempt.question, []).append(attempt.verdict == "right")
    n, count = min(map(len, rows.values())), len(attempts)
    passed = [share for row in rows.values() if (share := pass_at_k(row, n)) is not None]
    return Canaries(
        answers=count,
        tokens=mean(attempt.tokens_out for attempt in attempts),
        cut=sum(attempt.truncated for attempt in attempts) / count,
        ended=sum(not attempt.truncated and not attempt.error for attempt in attempts) / count,
        shrinks=median(_shrinks(text) for text in texts),
        alike=sum(len(said[text]) > 1 for text in texts) / count,
        once=avg_at_k(list(rows.values())) if n > 1 else None,
        several=mean(passed) if n > 1 else None,
        samples=n,
    )


def _shrinks(text: str) -> float:
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0
