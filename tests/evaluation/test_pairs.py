"""Paired comparisons, and the metrics of several samples, against definitions and known values."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tutelage.errors import DataError
from tutelage.evaluation.intervals import holm, mcnemar, paired_rise
from tutelage.evaluation.metrics import majority, pass_at_k
from tutelage.evaluation.pairs import compare_exams
from tutelage.types import Attempt


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(right: list[bool], k: int) -> None:
    if k > len(right):
        assert pass_at_k(right, k) is None
        return
    draws = list(itertools.combinations(right, k))
    assert pass_at_k(right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_majority() -> None:
    assert majority(["4", "5", None, "5"]) == "5"
    assert majority(["4", "5", "5", "4"]) == "4"  # a tie: who came first
    assert majority([None, None]) is None


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_is_the_binomial_test_of_the_flips(fixed: int, broken: int) -> None:
    expected = stats.binomtest(fixed, fixed + broken).pvalue if fixed + broken else 1.0
    assert mcnemar(fixed, broken) == pytest.approx(expected, rel=1e-6)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_paired_rise() -> None:
    assert paired_rise([0, 0, 1, 1], [1, 0, 1, 1]) == (0.25, pytest.approx(0.25))
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_rise([1], [])


def exam(right: list[bool], **more: Any) -> list[Attempt]:
    return [Attempt(question=f"q{i}", verdict="right" if ok else "wrong", **more) for i, ok in enumerate(right)]


def test_a_pair_of_exams() -> None:
    rng = random.Random(0)
    before = [rng.random() < 0.4 for _ in range(200)]
    after = [old or rng.random() < 0.2 for old in before]
    after[before.index(True)] = False
    found = compare_exams(exam(before), exam(after))
    assert found.before == sum(before) / 200
    assert found.difference == pytest.approx((sum(after) - sum(before)) / 200)
    assert found.low < found.difference < found.high
    assert found.low > 0
    assert (len(found.broken), len(found.fixed)) == (1, sum(b > a for a, b in zip(before, after, strict=True)))
    assert found.p is not None
    assert found.p < 0.01
    assert "1 broken" in found.line()


def test_several_samples_have_no_mcnemar() -> None:
    both = [*exam([True, False]), *exam([False, False], sample=1)]
    found = compare_exams(both, [*exam([True, True]), *exam([True, False], sample=1)])
    assert found.p is None
    assert (found.before, found.after) == (0.25, 0.75)
    assert found.fixed == ("q0",)


def test_other_questions_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="not on the same questions: 1 are in one only, such as q2"):
        compare_exams(exam([True, True]), exam([True, True, True]))


def test_no_flip_at_all_is_not_certainty() -> None:
    same = [Attempt(question=str(i), verdict="right") for i in range(12)]
    found = compare_exams(same, same)
    assert found.difference == 0
    assert found.low == pytest.approx(-found.high)
    assert 0.1 < found.high < 0.3
