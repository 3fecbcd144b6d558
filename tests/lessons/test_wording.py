"""What a lesson keeps of a solution: all of its reasoning, and not the sentence that holds the answer alone."""

import pytest

from tutelage.lessons.wording import reasoning

FIRST = "The coin starts heads up."


@pytest.mark.parametrize(
    "last",
    [
        "The answer is no: it was flipped once.",
        "The answer is yes, the coin was flipped twice.",
        "So the answer is no \u2013 one flip turns it.",
        "Therefore, the answer is no, it was flipped an odd number of times.",
        "The answer is 6 (36-30).",
        "The answer is 6: 36 take away 30.",
        "The answer is 6, the difference of 36 and 30.",
        "The answer is 30/5.",
        "The answer is 36-30.",
        "The answer is 36 \u2212 30.",
        "The answer is 10 \u00f7 2.",
        "The answer is 36 minus 30.",
        "The answer is 3 times 2, that is 6.",
        "The answer is half of 12, 6.",
        "Therefore, the answer is 36 - 30 = 6.",
        "The answer is $36 - 30 = 6$.",
        "The answer is (B): the others sink.",
    ],
)
def test_a_sentence_that_reasons_stays(last: str) -> None:
    assert reasoning(f"{FIRST} {last}") == f"{FIRST} {last}"
    assert reasoning(f"{FIRST} {last} --> 6") == f"{FIRST} {last}"


@pytest.mark.parametrize(
    "last",
    [
        "The answer is 6.",
        "The answer is 6 apples.",
        "Therefore, the answer (arabic numerals) is: 6.",
        "The answer is $1,200.50.",
        "The answer is -5.",
        "The answer is 5%.",
        "The answer is 3/4.",
        "The answer is 05/06/1990.",
        "The answer is May 5, 1990.",
        "The answer is **yes**.",
        "**Final answer:** (B)",
        "The answer is (B) river bank, near town.",
        'The answer is "abcd".',
        "The answer is $\\frac{1}{2}$.",
        "The answer is \\boxed{5}.",
        "#### 72",
    ],
)
def test_a_sentence_that_holds_the_answer_alone_goes(last: str) -> None:
    assert reasoning(f"{FIRST} {last}") == FIRST
