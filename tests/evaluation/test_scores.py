"""Scores and intervals against hand-computed values and slow, obvious versions."""

import math
import random

import pytest

from tutelage.evaluation import intervals, metrics
from tutelage.evaluation.scoreboard import score, several
from tutelage.types import Attempt, Verdict


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # Newcombe 1998, table I (score method without continuity correction)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_values(right: int, n: int, low: float, high: float) -> None:
    assert intervals.wilson(right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_solves_its_own_equation() -> None:
    for right, n in [(3, 17), (128, 256), (1, 1000)]:
        for bound in intervals.wilson(right, n):
            distance = abs(right / n - bound) / math.sqrt(bound * (1 - bound) / n)
            assert distance == pytest.approx(intervals.Z_95, rel=1e-9)


@pytest.mark.parametrize(("right", "n"), [(1, 0), (5, 4), (-1, 4)])
def test_wilson_refuses_what_is_no_proportion(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        intervals.wilson(right, n)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for trial in range(200):
        means = [sum(rng.random() < 0.3 for _ in range(4)) / 4 for _ in range(60)]
        low, high = intervals.clustered_bootstrap(means, draws=400, seed=trial)
        covered += low <= 0.3 <= high
    assert 180 <= covered <= 199


def test_avg_at_k_weighs_questions_alike() -> None:
    assert metrics.avg_at_k([[True], [False, False, False, True]]) == pytest.approx(0.625)


def attempt(question: str, sample: int, verdict: Verdict, **more: object) -> Attempt:
    return Attempt(question=question, sample=sample, verdict=verdict, tokens_out=10, **more)  # type: ignore[arg-type]


def test_a_score_counts_everything() -> None:
    exam = [
        attempt("a", 0, "right"),
        attempt("b", 0, "wrong", truncated=True),
        attempt("c", 0, "unread", error="HTTP 500"),
        attempt("d", 0, "right"),
    ]
    found = score(exam)
    assert (found.questions, found.right, found.accuracy, found.unread, found.truncated) == (4, 2, 0.5, 0.25, 0.25)
    assert (found.low, found.high) == intervals.wilson(2, 4)
    assert found.failed == 1
    assert "n=4, unread 25.0%, cut off 25.0%, 1 failed calls" in found.line()


def test_samples_of_one_question_do_not_narrow_the_interval() -> None:
    exam = [attempt(f"q{i}", s, "right" if i % 2 else "wrong") for i in range(40) for s in range(16)]
    found = score(exam)
    assert found.accuracy == 0.5
    assert found.high - found.low > 0.25  # Wilson on 640 attempts would claim 0.08
    assert "x16" in found.line()


def test_an_empty_exam_has_no_score() -> None:
    with pytest.raises(ValueError, match="without attempts"):
        score([])


def test_several_samples_are_scored_in_every_usual_way() -> None:
    """Two questions of four samples: one is right in 2 of 4 by majority, the other in 1 of 4 against it."""
    answers = {"a": ["5", "5", "7", None], "b": ["1", "2", "2", "3"]}
    gold = {"a": "5", "b": "1"}
    exam = [
        attempt(q, i, "unread" if said is None else "right" if said == gold[q] else "wrong", answer=said)
        for q, row in answers.items()
        for i, said in enumerate(row)
    ]
    found = {number.name: number.value for number in several(exam)}
    assert found == pytest.approx(
        {"avg@4": (2 / 4 + 1 / 4) / 2, "pass@2": ((1 - 1 / 6) + 1 / 2) / 2, "pass@4": 1.0, "maj@4": 0.5}
    )
    assert several(attempt_ for attempt_ in exam if attempt_.sample == 0) == []


def test_an_interval_is_never_empty() -> None:
    assert intervals.of_shares([0.0] * 12) == pytest.approx(intervals.wilson(0, 12))
    assert intervals.of_shares([1.0, 0.0]) == pytest.approx(intervals.wilson(1, 2))
    low, high = intervals.of_shares([0.5] * 7)
    assert low < 0.5 < high
    assert intervals.of_shares([0.25, 0.5, 0.75] * 5) == intervals.clustered_bootstrap([0.25, 0.5, 0.75] * 5)
