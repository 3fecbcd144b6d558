"""Accuracy against what the teaching costs, and how much more one arm needs than another for the same accuracy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from tutelage.evaluation import seeds
from tutelage.evaluation.seeds import Estimate
from tutelage.studies.measures import in_the_end, question_shares
from tutelage.studies.outcomes import Outcome, OutcomeStore

DRAWS = 2000
_SAME = 0.01  # of the logarithm of a bill: two that differ by less are one


class Point(Struct, frozen=True, kw_only=True):
    """One exam of an arm: what its teacher had taken until then, and its accuracy, over the seeds."""

    title: str
    tokens: float
    dollars: float | None
    accuracy: Estimate


class Ratio(Struct, frozen=True, kw_only=True):
    """How many times as much `after` takes of its teacher as `before`, until it is as accurate."""

    before: str
    after: str
    level: float  # the accuracy that both reach
    ratio: float
    low: float
    high: float
    missed: float  # share of the draws in which one of them does not reach it; those are in no interval
    unit: str  # tokens, words or dollars
    bound: str = ""  # "at least" or "at most" where the smallest bill of one of them is enough already
    seeds: int


def points_of(kept: OutcomeStore, outcomes: Sequence[Outcome]) -> list[Point]:
    """The student's exams of the final table that all of the runs sat, in the order of the rounds."""
    first = outcomes[0]
    steps = [exam.step for exam in sorted(first.finals, key=lambda exam: exam.round or 0)]
    found = []
    for step in steps:
        exams = [outcome.exam(step) for outcome in outcomes]
        if None in exams:
            continue  # some stopped before
        rows = [question_shares(kept, exam, exam.verdicts) for exam in exams if exam]
        taken = [_until(outcome, exam.round) for outcome, exam in zip(outcomes, exams, strict=True) if exam]
        known = [dollars for _, dollars in taken if dollars is not None]
        found.append(
            Point(
                title=next(exam.title for exam in exams if exam),
                tokens=sum(tokens for tokens, _ in taken) / len(taken),
                dollars=sum(known) / len(known) if len(known) == len(taken) else None,
                accuracy=seeds.within_shares(seeds.over_seeds(rows)),
            )
        )
    return found


def _until(outcome: Outcome, number: int | None) -> tuple[float, float | None]:
    """Tokens and dollars of the lessons of all rounds up to this one."""
    rows = [cost for cost in outcome.bill if cost.taught and cost.round <= (number or 0)]
    known = [float(cost.dollars) for cost in rows if cost.dollars is not None]
    return float(sum(cost.tokens for cost in rows)), sum(known) if len(known) == len(rows) else None


def ratio_of(
    kept: OutcomeStore,
    before: Sequence[Mapping[int, Outcome]],
    after: Sequence[Mapping[int, Outcome]],
    names: tuple[str, str],
) -> Ratio | None:
    """How many times as much `after` takes as `before` at an accuracy that both reach (`_level`); None with fewer than two bills each.

    Each side holds, of each value of what is varied, the outcomes by their seeds. Between two bills the accuracy is taken to rise evenly with the
    logarithm of the bill. The interval is a percentile bootstrap over the seeds that all have, the same ones drawn on both sides,
    with the deviations of n seeds stretched by sqrt(n / (n - 1)).
    """
    import numpy as np

    sides = [[row for row in side if row] for side in (before, after)]
    if any(len(side) < 2 for side in sides):
        return None
    common = sorted(set.intersection(*(set(row) for side in sides for row in side)))
    if len(common) < 2:
        return None
    unit, tables = _tables(kept, sides, common)
    means = [table.mean(axis=2) for table in tables]
    if any(float(np.ptp(mean[0])) < _SAME for mean in means):
        return None  # what is varied is no bill
    level = _level(means)
    needed = [_needed(mean, level) for mean in means]
    edges = [bool(mean[1][0] >= level) for mean in means]
    if None in needed or all(edges):
        return None
    rng = np.random.default_rng(0)
    stretch = math.sqrt(len(common) / (len(common) - 1))
    ratios = []
    for _ in range(DRAWS):
        chosen = rng.integers(0, len(common), len(common))
        drawn = [
            mean + stretch * (table[:, :, chosen].mean(axis=2) - mean)
            for table, mean in zip(tables, means, strict=True)
        ]
        took = [_needed(one, level) for one in drawn]
        if None not in took:
            ratios.append(math.log(took[1] / took[0]))  # type: ignore[operator]
    if not ratios:
        return None
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Ratio(
        before=names[0], after=names[1], level=level, ratio=needed[1] / needed[0], low=math.exp(low), high=math.exp(high),  # type: ignore[operator]
        missed=1 - len(ratios) / DRAWS, unit=unit, seeds=len(common),
        bound="at least" if edges[0] else "at most" if edges[1] else "",
    )  # fmt: skip


def _tables(
    kept: OutcomeStore, sides: Sequence[Sequence[Mapping[int, Outcome]]], common: Sequence[int]
) -> tuple[str, list[Any]]:
    """Of each side an array [bill or accuracy, value, seed], by rising bills; in dollars where every price is known and not nothing."""
    import numpy as np

    bills = [[[_until(row[seed], 10**6) for seed in common] for row in side] for side in sides]
    priced = all(dollars for side in bills for row in side for _, dollars in row)
    tables = []
    for side, own in zip(sides, bills, strict=True):
        cost = np.array([[(dollars if priced else tokens) or 1.0 for tokens, dollars in row] for row in own])
        right = np.array([[_mean(in_the_end(kept, row[seed])) for seed in common] for row in side])
        order = cost.mean(axis=1).argsort(kind="stable")
        tables.append(np.stack([np.log(cost[order]), right[order]]))
    words = any(
        cost.words for side in sides for row in side for seed in common for cost in row[seed].bill if cost.taught
    )
    return ("dollars" if priced else "words" if words else "tokens"), tables


def _level(means: Sequence[Any]) -> float:
    """Halfway between the accuracy that both have at their smallest bills and the one that both reach, so that most draws reach it."""
    lowest, highest = max(float(mean[1][0]) for mean in means), min(float(mean[1].max()) for mean in means)
    return (lowest + highest) / 2 if lowest < highest else highest


def _mean(row: Mapping[str, float]) -> float:
    return sum(row.values()) / len(row)


def _needed(curve: Any, level: float) -> float | None:
    """The bill at which a curve of (log bill, accuracy) first reaches a level; None where it does not."""
    logs, right = curve
    if right[0] >= level:
        return math.exp(logs[0])  # or less: no smaller bill was tried
    for place in range(1, len(right)):
        if right[place] >= level:
            share = (level - right[place - 1]) / (right[place] - right[place - 1])
            return math.exp(logs[place - 1] + share * (logs[place] - logs[place - 1]))
    return None
