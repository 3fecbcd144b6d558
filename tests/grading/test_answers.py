"""What is read from a text, for every kind of answer, traps included: the cases are the rows of verdicts.tsv."""

from pathlib import Path

import pytest

from tutelage.errors import ConfigError
from tutelage.grading.answers import READERS, grading
from tutelage.grading.verdicts import judge, strictly
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.types import Question

COLOURS = ("orange ball", "white ball", "blue ball")
OTHER = {"number": "123456789", "choice": "Z", "yes_no": "maybe", "date": "01/01/1000", "text": "something else"}
CASES = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "verdicts.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 330


@pytest.mark.parametrize(("kind", "text", "wanted", "committed"), CASES)
def test_verdicts(kind: str, text: str, wanted: str, committed: str) -> None:
    text = text.replace("\\n", "\n")
    task = Task(name="t", kind=kind, splits=(), load=lambda split: [], **grading(kind))
    choices = COLOURS if kind == "choice" else ()
    gold = Question(id="", text="", answer=wanted, choices=choices)
    other = Question(id="", text="", answer=OTHER[kind], choices=choices)
    if wanted == "-":
        assert judge(task, other, text) == (None, "unread")
        return
    assert judge(task, gold, text) == (wanted, "right")
    assert judge(task, other, text)[1] == "wrong"
    assert strictly(task, gold, text, "right") == ("right" if committed == "y" else "unread")


@pytest.mark.parametrize(
    ("kind", "answer", "gold", "same"),
    [
        ("number", "18", "18.0", True),
        ("number", "1000", "$1,000", True),
        ("number", "0.3333333", "0.33333333", True),
        ("number", "0.333", "0.33333333", False),
        ("number", "5", "-5", False),
        ("number", "1/3", "0.33333333", True),
        ("number", "1/3", "1/3", True),
        ("number", "50%", "50", True),
        ("number", "50%", "0.5", True),
        ("number", "50%", "50%", True),
        ("number", "0.5", "50%", True),
        ("number", "5%", "50", False),
        ("number", "5", "no number", False),
        ("date", "2021-05-01", "05/01/2021", True),
        ("date", "2021-05-01", "05/02/2021", False),
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


def test_the_published_reading_is_the_first_number_behind_the_marker() -> None:
    """An option of every task of numbers, and off unless it is asked for."""
    house, published = (find_task(f"word_problems?size=20{more}") for more in ("", "&reading=published"))
    same = find_task({"name": "word_problems", "size": 20, "reading": "published"})
    question = Question(id="", text="", answer="5")
    texts = {
        "The answer is 5 + 2.": (None, "5"),
        "The answer is -1,000.50 or 6": (None, "-1000.5"),
        "The answer is 3 + 2 = 5.": ("5", "3"),
        "3 and then 5": ("5", "3"),
        "The answer is five.": ("5", None),
        f"The answer is {'7' * 5000}": (None, None),
    }
    for text, wanted in texts.items():
        assert tuple(task.read(text, question) for task in (house, published, same)) == (*wanted, wanted[1]), text
    assert published.options == {**house.options, "reading": "published"}
    assert judge(published, question, "The answer is 5.") == ("5", "right")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("coin_flip?reading=published", "task 'coin_flip': reading=published is the first number behind the marker"),
        ("word_problems?reading=publshed", "reading: .*did you mean 'published'"),
        ("word_problems?readin=published", "no option 'readin'.*did you mean 'reading'"),
    ],
)
def test_other_readings_are_refused(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_task(spec)


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
