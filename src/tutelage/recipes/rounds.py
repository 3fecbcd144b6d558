"""Which of several rounds is kept, and when there are no more: by the student's exams on dev questions."""

from collections.abc import Sequence

from tutelage.evaluation import intervals
from tutelage.evaluation.pairs import shares
from tutelage.types import Attempt


def _share(attempts: Sequence[Attempt]) -> float:
    return sum(attempt.verdict == "right" for attempt in attempts) / len(attempts)


def rounds_without_rise(rounds: Sequence[Sequence[Attempt]]) -> int:
    """How many rounds it is since dev rose by more than the standard error of the paired rise."""
    best, idle = rounds[0], 0
    for later in rounds[1:]:
        rise, error = intervals.paired_rise(list(shares(best).values()), list(shares(later).values()))
        best, idle = (later, 0) if rise > error else (best, idle + 1)
    return idle


def latest_that_holds(rounds: Sequence[Sequence[Attempt]]) -> int:
    """The place of the last round whose dev did not fall by more than the standard error of the paired fall.

    A later student has learned more, and a small dev set would often call it worse by chance.
    """
    best = 0
    for place in range(1, len(rounds)):
        rise, error = intervals.paired_rise(*(list(shares(rounds[i]).values()) for i in (best, place)))
        best = place if rise >= -error else best
    return best


def why_kept(best: int, rounds: Sequence[Sequence[Attempt]]) -> str:
    """What speaks for a round: the dev accuracy of all, and how sure the choice is, as paired differences with their standard errors."""
    told = ", ".join(f"{_share(attempts):.1%}" for attempts in rounds)
    sure = [f"round {best + 1} is {_rise(rounds, 0, best)} above round 1"] if best else []
    sure += [f"round {place + 1} is {_rise(rounds, best, place)} above it" for place in range(best + 1, len(rounds))]
    behind = f" ({'; '.join(sure)}; n={len(shares(rounds[0]))})" if sure else ""
    return f"round {best + 1}, the latest that holds on dev: {told}{behind}"


def _rise(rounds: Sequence[Sequence[Attempt]], before: int, after: int) -> str:
    rise, error = intervals.paired_rise(*(list(shares(rounds[place]).values()) for place in (before, after)))
    return f"{100 * rise:+.1f} ± {100 * error:.1f} points"
