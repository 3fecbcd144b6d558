"""Signs of an exam, against numbers worked out by hand."""

import pytest

from tutelage.evaluation.canaries import canaries
from tutelage.types import Attempt, Verdict


def attempt(question: str, text: str, verdict: Verdict = "right", sample: int = 0, **more: object) -> Attempt:
    return Attempt(question=question, text=text, verdict=verdict, sample=sample, **more)  # type: ignore[arg-type]


def test_signs_of_an_exam() -> None:
    found = canaries(
        [
            attempt("1", "So 3.", tokens_out=10),
            attempt("2", "So 3.", "wrong", tokens_out=20),
            attempt("3", "and " * 300, "unread", tokens_out=60, truncated=True),
            attempt("4", "", "unread", error="gone"),
        ]
    )
    assert (found.answers, found.tokens, found.cut, found.ended) == (4, 22.5, 0.25, 0.5)
    assert found.alike == 0.5  # those to 1 and 2
    assert (found.once, found.several) == (None, None)


def test_what_repeats_itself_shrinks() -> None:
    plain = canaries([attempt("1", "Tom has 3 + 4 = 7 apples. Then he gives 2 of them away.")])
    loop = canaries([attempt("1", "Tom has 3 + 4 = 7 apples. " * 20)])
    assert loop.shrinks > 5 * plain.shrinks


def test_several_samples_a_question() -> None:
    rows = [
        attempt("1", "a", "right", 0),
        attempt("1", "b", "wrong", 1),
        attempt("2", "c", "wrong", 0),
        attempt("2", "d", "wrong", 1),
    ]
    found = canaries(rows)
    assert (found.once, found.several, found.samples) == (pytest.approx(0.25), 0.5, 2)
