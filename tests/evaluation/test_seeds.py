"""Estimates over seeds: against slow obvious versions, and by how often the intervals hold."""

import numpy as np
import pytest

from tutelage.evaluation import seeds
from tutelage.evaluation.seeds import Estimate, over_seeds


def drawn(
    rng: np.random.Generator, count: int, questions: int, shared: bool, spread: float = 0.03
) -> list[dict[str, float]]:
    """Differences of graded answers under each seed, whose true mean is 0.05."""
    hard, rows = rng.normal(0, 0.3, questions), []
    for place in range(count):
        own = hard if shared else rng.normal(0, 0.3, questions)
        chance = np.clip(0.5 + (0.05 + rng.normal(0, spread)) / 2 + own / 2, 0, 1)
        values = np.where(rng.random(questions) < chance, 1.0, -1.0)
        rows.append({f"q{i}" if shared else f"{place}/q{i}": float(value) for i, value in enumerate(values)})
    return rows


def by_hand(rows: list[dict[str, float]]) -> float:
    """The standard error of the mean, drawn one by one: seeds with their own questions, or a table of two ways."""
    rng, means = np.random.default_rng(3), []
    names = list(dict.fromkeys(name for row in rows for name in row))
    if len(names) == sum(map(len, rows)):  # every seed has its own: a seed goes with its questions
        whole = np.array([np.mean(list(row.values())) for row in rows])
        for _ in range(4000):
            means.append(np.mean([whole[rng.integers(len(rows))] for _ in rows]))
        return float(np.std(means)) * (len(rows) / (len(rows) - 1)) ** 0.5
    table = np.array(
        [[row[name] for name in names] for row in rows]
    )  # [Cornfield & Tukey 1956]: mean squares of both ways
    n, m = table.shape
    by_seed = m * table.mean(axis=1).var(ddof=1)
    by_question = n * table.mean(axis=0).var(ddof=1)
    rest = table - table.mean(axis=0) - table.mean(axis=1)[:, None] + table.mean()
    noise = (rest**2).sum() / ((n - 1) * (m - 1))
    return float(((by_seed + max(by_question - noise, 0)) / (n * m)) ** 0.5)


@pytest.mark.parametrize("shared", [False, True], ids=["own questions", "the same questions"])
@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_standard_error_is_that_of_an_obvious_version(count: int, shared: bool) -> None:
    rows = drawn(np.random.default_rng(count), count, 200, shared)
    found = over_seeds(rows, draws=8000)
    assert found.mean == pytest.approx(np.mean([np.mean(list(row.values())) for row in rows]))
    assert found.error == pytest.approx(by_hand(rows), rel=0.06)
    assert (found.seeds, found.questions) == (count, 200 if shared else 200 * count)


@pytest.mark.parametrize("shared", [False, True], ids=["own questions", "the same questions"])
@pytest.mark.parametrize("count", [5, 8])
def test_an_interval_holds_as_often_as_it_says(count: int, shared: bool) -> None:
    rng, held, studies = np.random.default_rng(11), 0, 1500
    true = np.mean([np.mean(list(drawn(np.random.default_rng(i), 1, 200, False)[0].values())) for i in range(4000)])
    for _ in range(studies):
        found = over_seeds(drawn(rng, count, 60, shared), draws=300)
        held += found.low <= true <= found.high
    assert 0.93 <= held / studies <= 0.97


def test_a_seed_by_itself_says_only_what_its_questions_do() -> None:
    found = over_seeds([{"a": 1.0, "b": 0.0, "c": 1.0, "d": 1.0}])
    assert found.mean == 0.75
    assert found.low < 0.75 < found.high
    assert "1 seed, so over its questions alone" in found.line()


def test_seeds_that_are_all_alike_leave_room() -> None:
    rows = [{f"{seed}/{i}": 0.0 for i in range(50)} for seed in range(5)]
    found = over_seeds(rows)
    assert (found.mean, found.p) == (0, 1)
    assert found.low < 0 < found.high
    assert seeds.detectable(found) > 0


def test_seeds_with_the_same_mean_are_no_certainty() -> None:
    """Two seeds of 50 questions, one more right in each: p says what the interval says."""
    rows = [{f"{seed}/{i}": float(i == 0) for i in range(50)} for seed in range(2)]
    found = over_seeds(rows)
    assert found.low < 0 < found.high
    assert 0.05 < found.p < 1


def test_the_same_numbers_give_the_same_interval() -> None:
    rows = drawn(np.random.default_rng(1), 5, 100, True)
    assert over_seeds(rows) == over_seeds(rows)


def test_differences_pair_questions() -> None:
    assert seeds.paired_rises([{"a": 0.0, "b": 1.0}], [{"b": 1.0, "a": 1.0}]) == [{"a": 1.0, "b": 0.0}]
    with pytest.raises(ValueError, match="pair 1 is not on the same questions"):
        seeds.paired_rises([{"a": 0.0}], [{"b": 1.0}])
    with pytest.raises(ValueError, match="2 and 1 seeds"):
        seeds.paired_rises([{"a": 0.0}] * 2, [{"a": 1.0}])
    with pytest.raises(ValueError, match="without questions"):
        over_seeds([{}])


def a_difference(mean: float, error: float) -> Estimate:
    return Estimate(
        mean=mean, low=0, high=0, t_low=0, t_high=0, error=error, freedom=7, p=1, singles=(mean,) * 8, questions=100
    )


def test_equivalence_is_two_tests_against_the_margin() -> None:
    """t at 7 degrees of freedom: 1.895 leaves 5 % above it."""
    assert seeds.equivalence(a_difference(0.0, 0.01), 0.01895) == pytest.approx(0.05, abs=0.001)
    assert seeds.equivalence(a_difference(0.01, 0.01), 0.01895) > 0.15
    assert seeds.equivalence(a_difference(-0.03, 0.001), 0.02) > 0.99


def test_the_detectable_difference_is_shown_four_times_of_five() -> None:
    rng, shown, studies = np.random.default_rng(5), 0, 2000
    error = 0.02
    wanted = seeds.shown_difference(error, 7)
    for _ in range(studies):
        means = rng.normal(wanted, error * 8**0.5, 8)
        found = over_seeds([{f"{i}": float(value)} for i, value in enumerate(means)], draws=200)
        shown += found.low > 0
    assert 0.76 <= shown / studies <= 0.84
