"""The contract of every task of the table: its own gold is right, another question's is not, a non-answer is unread."""

import json
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from tests.tasks.test_procedural import SPECS

from tutelage.errors import DataError
from tutelage.grading.answers import READERS
from tutelage.grading.verdicts import judge
from tutelage.tasks import TASKS
from tutelage.tasks.auditing import audit
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task, subset
from tutelage.types import Question

DATA = os.environ.get("TUTELAGE_DATA", "")
GOLDS = {
    "number": ["1", "20", "-3.5", "1/4"],
    "choice": ["A", "B", "C", "A"],
    "yes_no": ["yes", "no", "yes", "no"],
    "date": ["01/02/2003", "05/11/1999", "12/31/2020", "07/04/1976"],
    "text": ["red", "blue", "light green", "black"],
    "math": [r"\frac{1}{2}", "x+1", r"\sqrt{2}", "(1,2)"],
}
PUBLISHED = [name for name, entry in TASKS.items() if entry.factory.endswith("published:make")]
CASES = [*SPECS, *PUBLISHED, *(f"local:{kind}" for kind in READERS), "hub"]


def own_file(folder: Path, kind: str) -> Task:
    """A task of the user's own: a file with an answer of each form that the kind knows."""
    rows = [
        {"question": f"Question {place}?", "answer": gold, "options": ["this", "that", "neither"]}
        for place, gold in enumerate(GOLDS[kind])
    ]
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"question": "question", "answer": "answer", **({"choices": "options"} if kind == "choice" else {})}
    return find_task({"name": "local", "path": str(file), "kind": kind, "fields": fields})


def made(case: str, folder: Path) -> tuple[Task, list[Question]]:
    """A task with some of its questions."""
    if case == "hub":
        pytest.skip("its questions are on the network; `make_local` reads and grades rows in the same way")
    if case in PUBLISHED and not DATA:
        pytest.skip("set TUTELAGE_DATA to a folder with copies of the published data")
    task = own_file(folder, case.partition(":")[2]) if case.startswith("local:") else find_task(case, data=DATA or None)
    for split in task.splits:
        try:
            return task, subset(task.load(split), 200)
        except DataError as error:
            if "no local copy" not in str(error):
                raise
    pytest.skip(f"no copy of {case} in {DATA}")


def test_every_task_of_the_table_is_here() -> None:
    names = {case.partition("?")[0].partition(":")[0] for case in CASES}
    assert names == set(TASKS)


@pytest.mark.parametrize("case", CASES)
def test_a_task_proves_its_own_grading(case: str, tmp_path: Path) -> None:
    task, questions = made(case, tmp_path)
    audit(task, questions)
    for nothing, verdict in (("I like cheese.", "wrong" if task.kind == "text" else "unread"), ("", "unread")):
        assert judge(task, questions[0], nothing)[1] == verdict
    if case.startswith("reasoning_gym:propositional_logic"):
        return  # many formulas follow from the premises: another question's answer may be right
    random.Random(0).shuffle(questions)
    by_gold = {question.answer: question for question in questions}
    assert len(by_gold) > 1
    for gold, other in pairwise(by_gold):
        assert judge(task, by_gold[gold], f"The answer is {other}")[1] == "wrong", (gold, other)
