"""`recipe: committee` through the command line: a two-layer student, two teachers of the user's own, and what the report says of them."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works

TEACHERS = '''
from tutelage.tasks.catalog import find_task

GOLD = {one.id: one.answer for one in find_task("coin_flip?size=40").load("train")}

def say(chat, name, score):
    if chat.purpose == "explain":
        return f"{name} says that the first flip was missed."
    if chat.purpose == "review":
        return f"Sound. [{score}]"
    return f"{name} turns it once more. The answer is {GOLD[chat.question]}."

def ann(chat, sample):
    return say(chat, "Ann", 5)

def ben(chat, sample):
    return say(chat, "Ben", 2)

def errs(chat, sample):
    """A student that is always wrong where it is untaught."""
    return f"Perhaps. The answer is {'no' if GOLD.get(chat.question) == 'yes' else 'yes'}."
'''


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("committee")
    (folder / "mine.py").write_text(TEACHERS)
    config = {
        "recipe": "committee",
        "task": "coin_flip?size=40",
        "teacher": "scripted:mine:ann",
        "peers": ["scripted:mine:ben"],
        "student": {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"},
        "questions": {"test_limit": 4},
        "baselines": [],
        "training": {"epochs": 1, "batch": 4, "precision": "float32"},
        "exam": {"max_tokens": 24},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_student_that_says_nothing_readable_makes_no_mistakes(run: Path) -> None:
    done = cli(run, "run", "run.yaml", "--into", "none")
    assert done.returncode == 2
    assert "the student made no mistake that could be read" in done.stderr


def test_from_another_s_mistakes_a_student_learns_what_both_gates_let_through(run: Path) -> None:
    """The mistakes are put where the untaught student's would be: noise of random weights makes none."""
    assert "teacher 2: reviews, at the most: " in works(run, "plan", "run.yaml").stdout
    words = ["student=scripted:mine:errs", "--into", "half"]
    stopped = cli(run, "run", "run.yaml", *words)
    assert stopped.returncode == 2  # a script cannot be trained, but all that the committee says is there by then
    lessons = [json.loads(line) for line in (run / "half" / "lessons" / "records.jsonl").read_text().splitlines()]
    assert lessons
    assert {one["teacher"] for one in lessons} == {"scripted:mine:ben"}  # Ben finds nothing of Ann's sound
    assert all(one["feedback"].endswith("says that the first flip was missed.") for one in lessons)
    text = report_text(run, "half")
    assert "teacher 1 (scripted:mine:ann)" in text
    assert "right ones are not above it" in text


def test_it_is_listed_with_both_columns(run: Path) -> None:
    assert "committee" in works(run, "recipes").stdout
    assert "Li et al. 2024" in works(run, "show", "committee").stdout
