"""What is read from a text, for every kind of answer, traps included."""

import pytest

from tutelage.tasks.answers import READERS
from tutelage.types import Question

NUMBERS = [
    ("The answer is 5", "5"),
    ("The answer is: 5.", "5"),
    ("Therefore, the answer (arabic numerals) is 8.", "8"),
    ("**Answer:** 12", "12"),
    ("3 + 4 = 7 --> 7", "7"),
    ("#### 1,000", "1000"),
    ("The answer is $1,234.50.", "1234.5"),
    ("The answer is 18.0", "18"),
    ("The answer is -3", "-3"),
    ("The answer is \u22123", "-3"),
    ("The answer is -$5", "-5"),
    ("The answer is $-5", "-5"),
    ("So we have 5-3", "3"),
    ("The answer is 5-3", "5"),
    ("x-5", "5"),
    ("(3,4)", "4"),
    ("1,2,3", "3"),
    ("The answer is .5", "0.5"),
    ("The answer is 0.50 dollars", "0.5"),
    ("The answer is 50%", "50"),
    ("She has 2 left.7 more make 9.So 9", "9"),
    ("step by step.The total is 12.", "12"),
    ("First 4, then 6", "6"),
    ("The answer is 4, not 6", "4"),
    ("The answer is 4. No, the answer is 6", "6"),
    ('The answer is 47.\nThe answer (words) is "forty-seven."', "47"),
    ("The answer is", None),
    ("3 apples. The answer is", "3"),
    ("The answer is unknown", None),
    ("I like cheese.", None),
    ("", None),
    ("covid19 b2b", None),
    ("v1.2.3", None),
    ("0", "0"),
    ("The answer is 000", "0"),
    ("The answer is 12,34", "12"),
    ("We took 100.", "100"),
    ("The answer is 2nd", "2"),
    ("The answer isn't 4 but 5", "5"),
    ("10,000,000 people", "10000000"),
    ("it costs US$5", "5"),
]

COLOURS = ("orange ball", "white ball", "blue ball")
CHOICES = [
    ("The answer is B", "B"),
    ("The answer is (B)", "B"),
    ("The answer is (b).", "B"),
    ("The answer is: **B**", "B"),
    ("The answer is B.", "B"),
    ("The answer is (C) 5", "C"),
    ("The answer is B because (A) is wrong", "B"),
    ("The answer is A because it is white", "A"),
    ("--> C", "C"),
    ("Therefore, among A through C, the answer is B.", "B"),
    ("(A) is wrong, so (C)", "C"),
    ("so it is C", "C"),
    ("A. no\nB. no\nC\n", "C"),
    ("The answer is the white ball", "B"),
    ("The answer is A white ball", "B"),
    ("Bob has the orange ball.", "A"),
    ("The answer is Bob", None),
    ("The answer is Bob's blue ball", "C"),
    ("Alice, Bob and Claire swap. Bob has it", None),
    ("The answer is (D)", None),
    ("The answer is D", None),
    ("J.B. Smith", None),
    ("Alice has orange ball, Bob has white ball", "B"),
    ("BLUE BALL", "C"),
    ("The answer is A/C", "A"),
    ("The answer is A's ball", None),
    ("I like cheese.", None),
    ("A good start", None),
    ("", None),
    ("The answer is", None),
    ("The answer is \n\n(C)", "C"),
    ("The answer is 'C'", "C"),
    ("Answer: C) blue ball", "C"),
    ("I pick C, as said", "C"),
    ("The white balloon", None),
    ("(A) (B) (C): the answer is (A)", "A"),
    ("choice (B).", "B"),
    ("The answer is none. Plan B", "B"),
    ("step by step.The answer is C", "C"),
    ("The answer is\nB", "B"),
]

YES_NO = [
    ("Therefore, the answer is: Yes", "yes"),
    ("Therefore, the answer (Yes or No) is no.", "no"),
    ("The answer is YES!", "yes"),
    ("The answer is **No**", "no"),
    ("--> yes", "yes"),
    ("The answer is true", "yes"),
    ("The answer is False.", "no"),
    ("No, it was flipped. Yes.", "yes"),
    ("The answer is no, not yes", "no"),
    ("yesterday", None),
    ("Nobody knows", None),
    ("nothing", None),
    ("I like cheese.", None),
    ("", None),
    ("The answer is unclear", None),
    ("Is it heads? no", "no"),
]

TEXTS = [
    ("The answer is yajo", "yajo"),
    ('The answer is "yajo".', "yajo"),
    ("The answer is: yajo", "yajo"),
    ("The answer is \u201cyajo\u201d", "yajo"),
    ("The answer is y a j o", "yajo"),
    ("The answer is **YAJO**.", "yajo"),
    ("--> yajo\nMore text", "yajo"),
    ("The answer is\n\nyajo", "yajo"),
    ("some thought\nyajo", "yajo"),
    ("The answer is '...'", None),
    ("", None),
    ("   \n ", None),
]


@pytest.mark.parametrize(("text", "wanted"), NUMBERS)
def test_numbers(text: str, wanted: str | None) -> None:
    assert READERS["number"][0](text, Question(id="", text="", answer="1")) == wanted


@pytest.mark.parametrize(("text", "wanted"), CHOICES)
def test_choices(text: str, wanted: str | None) -> None:
    assert READERS["choice"][0](text, Question(id="", text="", answer="A", choices=COLOURS)) == wanted


@pytest.mark.parametrize(("text", "wanted"), YES_NO)
def test_yes_no(text: str, wanted: str | None) -> None:
    assert READERS["yes_no"][0](text, Question(id="", text="", answer="yes")) == wanted


@pytest.mark.parametrize(("text", "wanted"), TEXTS)
def test_texts(text: str, wanted: str | None) -> None:
    assert READERS["text"][0](text, Question(id="", text="", answer="yajo")) == wanted


@pytest.mark.parametrize(
    ("kind", "answer", "gold", "same"),
    [
        ("number", "18", "18.0", True),
        ("number", "1000", "$1,000", True),
        ("number", "0.3333333", "0.33333333", True),
        ("number", "0.333", "0.33333333", False),
        ("number", "5", "-5", False),
        ("choice", "B", "(B)", True),
        ("choice", "A", "(B)", False),
        ("yes_no", "yes", "True", True),
        ("yes_no", "no", "yes", False),
        ("text", "yajo", '"Yajo."', True),
        ("text", "yajo", "yaja", False),
    ],
)
def test_sameness(kind: str, answer: str, gold: str, same: bool) -> None:
    assert READERS[kind][1](answer, Question(id="", text="", answer=gold)) is same


def test_longer_choice_hides_shorter_one_inside_it() -> None:
    question = Question(id="", text="", answer="A", choices=("5", "5.5", "ball", "red ball"))
    read = READERS["choice"][0]
    assert read("The answer is 5.5", question) == "B"
    assert read("He has the red ball", question) == "D"
    assert read("He has the ball", question) == "C"


def test_choices_inside_the_question_say_how_far_the_letters_go() -> None:
    six = Question(id="1", text="Which? (A) a (B) b (C) c (D) d (E) e (F) f", answer="F")
    assert READERS["choice"][0]("The answer is F.", six) == "F"
    three = Question(id="2", text="Which? (A) a (B) b (C) c", answer="C")
    assert READERS["choice"][0]("The answer is F.", three) is None
