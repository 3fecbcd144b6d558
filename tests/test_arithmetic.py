"""Chains of sums worked out rightly."""

import time

import pytest

from tutelage.arithmetic import has_sums, worked_out


@pytest.mark.parametrize(
    ("said", "true"),
    [
        ("The rest is 35 - 30 = 15. --> 15", "The rest is 35 - 30 = 5. --> 5"),
        ("3 + 4 = 8. Then 8 * 2 = 15. So 15 - 1 = 14 --> 14", "3 + 4 = 7. Then 7 * 2 = 14. So 14 - 1 = 13 --> 13"),
        ("3 + 4 = 7. --> 7", "3 + 4 = 7. --> 7"),
        ("2 + 3 * 4 = 20 --> 20", "2 + 3 * 4 = 14 --> 14"),
        ("$3 x 4 = $13, so $13", "$3 x 4 = $12, so $12"),
        ("10 − 4 = 7", "10 − 4 = 6"),
        ("12 ÷ 4 = 4", "12 ÷ 4 = 3"),
        ("1,200 / 7 = 171.43", "1,200 / 7 = 171.43"),  # rounded
        ("1,000 + 234 = 1,334 and 1,334 - 4 = 1,330", "1,000 + 234 = 1234 and 1234 - 4 = 1230"),
        ("7 / 2 = 3", "7 / 2 = 3.5"),
        ("5 / 0 = 3 --> 3", "5 / 0 = 3 --> 3"),
        ("x = 5, 5 = 5", "x = 5, 5 = 5"),
        ("no sums --> 5", "no sums --> 5"),
        ("5 - 9 = 4, 4 + 1 = 5", "5 - 9 = -4, -4 + 1 = -3"),
        # part of something longer, and left as it is
        ("2 * 3 + 4 = 6 + 4 = 10. Then 10 - 6 = 4 --> 4", "2 * 3 + 4 = 6 + 4 = 10. Then 10 - 6 = 4 --> 4"),
        ("(3 + 4) * 2 + 1 = 15", "(3 + 4) * 2 + 1 = 15"),
        ("-3 + 5 = 2", "-3 + 5 = 2"),
        ("5 apples * 3 + 2 = 17", "5 apples * 3 + 2 = 17"),
        ("1 1/2 * 10 = 15", "1 1/2 * 10 = 15"),
        ("10 + 5 = 16 + 3 = 19", "10 + 5 = 16 + 3 = 19"),
        ("0.5 + 1 = 1.5 and x3 + 4 = 9", "0.5 + 1 = 1.5 and x3 + 4 = 9"),
        ("20% * 50 + 1 = 11", "20% * 50 + 1 = 11"),
        # a sentence, or a list's number, before it is no part of it
        ("1. 3 + 4 = 8. 8 + 1 = 9.", "1. 3 + 4 = 7. 7 + 1 = 8."),
        ("The sum: 3 + 4 = 8 - that is 8", "The sum: 3 + 4 = 7 - that is 7"),
        # the second sum that gives 15 is right, so from there on a 15 is a 15
        ("9 + 5 = 15. 10 + 5 = 15. --> 15", "9 + 5 = 14. 10 + 5 = 15. --> 15"),
    ],
)  # fmt: skip
def test_wrong_results_are_followed_by_their_numbers(said: str, true: str) -> None:
    assert worked_out(said) == true


def test_a_text_without_sums_has_none() -> None:
    assert has_sums("So 3 + 4 = 8.")
    assert not has_sums("So 3 and 4 are 8.")


@pytest.mark.parametrize(
    "text", ["1+" * 100_000, "9" * 300_000 + " + 1 = 2", "1 " * 200_000, "3 + 4 = " * 50_000, "1,111" * 60_000]
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.monotonic()
    worked_out(text)
    assert time.monotonic() - begun < 2
