"""Confidence intervals for scores. Pure."""

import math
import random
from collections.abc import Sequence

Z_95 = 1.959963984540054


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson's score interval for one proportion [Wilson 1927], by default at 95 %."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    share = successes / n
    spread = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / spread
    half = z / spread * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def clustered_bootstrap(means: Sequence[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap at 95 % over questions, whose samples hang together: resamples the questions' means."""
    if not means:
        raise ValueError("no questions to resample")
    rng = random.Random(seed)
    totals = sorted(sum(rng.choices(means, k=len(means))) / len(means) for _ in range(draws))
    return totals[int(0.025 * draws)], totals[min(draws - 1, math.ceil(0.975 * draws))]


def of_rises(rises: Sequence[float]) -> tuple[float, float]:
    """An interval at 95 % for the mean of one paired difference a question: a bootstrap over questions.

    Where all are the same a bootstrap would claim certainty; so many questions without another one still leave room for
    as many as Wilson's interval for none of them says, in either direction.
    """
    if len(set(rises)) == 1:
        room = wilson(0, len(rises))[1]
        return max(-1.0, rises[0] - room), min(1.0, rises[0] + room)
    return clustered_bootstrap(rises)


def of_shares(shares: Sequence[float]) -> tuple[float, float]:
    """An interval at 95 % for the mean of one share a question: Wilson's where each is 0 or 1, else a bootstrap over questions.

    Where all questions have the same share a bootstrap would claim certainty, so Wilson's interval stands in there.
    """
    if shares and (set(shares) <= {0.0, 1.0} or len(set(shares)) == 1):
        mean = sum(shares) / len(shares)
        low, high = wilson(round(mean * len(shares)), len(shares))
        return min(low, mean), max(high, mean)
    return clustered_bootstrap(shares)


def paired_rise(before: Sequence[float], after: Sequence[float]) -> tuple[float, float]:
    """The mean rise from before to after on the same questions, in the same order, and its standard error."""
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} and {len(after)} scores cannot be paired")
    rises = [b - a for a, b in zip(before, after, strict=True)]
    mean = sum(rises) / len(rises)
    variance = sum((rise - mean) ** 2 for rise in rises) / max(len(rises) - 1, 1)
    return mean, math.sqrt(variance / len(rises))


def mcnemar(fixed: int, broken: int) -> float:
    """The two-sided p value of McNemar's exact test [McNemar 1947]: could as many flips to one side be chance?

    `fixed` questions turned from wrong to right, `broken` ones from right to wrong; the others say nothing.
    """
    flips = fixed + broken
    if flips == 0:
        return 1.0
    tail: float = sum(math.comb(flips, i) for i in range(min(fixed, broken) + 1)) / 2**flips
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values of several comparisons, raised so that one false alarm among them all stays as rare [Holm 1979]."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
