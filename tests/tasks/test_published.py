"""The published data sets, where copies of them are at hand: sizes, golds, and the recorded teacher's accuracy.

Set TUTELAGE_DATA to a folder with copies (NAME.jsonl or NAME.SPLIT.jsonl) to run these.
"""

import json
import os
from pathlib import Path

import pytest

from tutelage.errors import DataError
from tutelage.grading.answers import Grading, Reading, grading
from tutelage.tasks.auditing import audit
from tutelage.tasks.datasets.published import BENCHMARKS, make
from tutelage.tasks.task import Task
from tutelage.types import Question

FOLDER = os.environ.get("TUTELAGE_DATA", "")
RECORDED = Path(FOLDER).parent / "recorded" / "text-davinci-002"

pytestmark = pytest.mark.skipif(not FOLDER, reason="set TUTELAGE_DATA to a folder with copies of the published data")


def load(task: Task, split: str) -> list[Question]:
    try:
        return task.load(split)
    except DataError as error:
        if "no local copy" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize(("name", "split"), [(name, split) for name, row in BENCHMARKS.items() for split in row.sizes])
def test_sizes_and_golds(name: str, split: str) -> None:
    task = make(name, data=FOLDER)
    questions = load(task, split)
    assert len(questions) == BENCHMARKS[name].sizes[split]
    assert len({question.id for question in questions}) == len(questions)
    audit(task, questions)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", [name for name, row in BENCHMARKS.items() if row.template_sizes])
def test_template_splits(name: str, split: str) -> None:
    questions = load(make(name, data=FOLDER, template_split=True), split)
    assert len(questions) == BENCHMARKS[name].template_sizes[split]


@pytest.mark.parametrize(
    ("name", "reading", "right"),
    [
        ("multiarith", "published", {"train": 332, "test": 140}),
        ("svamp", "published", {"train": 432, "test": 189}),
        # LOG.md lists the replies that are read otherwise, such as "5*5=25."
        ("multiarith", "house", {"train": 337, "test": 142}),
        ("svamp", "house", {"train": 441, "test": 190}),
    ],
)
def test_recorded_numbers(name: str, reading: Reading, right: dict[str, int]) -> None:
    assert counted(name, grading("number", reading), 0) == right


@pytest.mark.parametrize(
    ("name", "kind", "choices", "right"),
    [
        ("date_understanding", "choice", 6, {"train": 176, "test": 73}),
        ("tracking_shuffled_objects", "choice", 3, {"train": 282, "test": 111}),
        ("coin_flip", "yes_no", 0, {"train": 320, "test": 137}),
    ],
)
def test_recorded_teacher_is_read_as_published(name: str, kind: str, choices: int, right: dict[str, int]) -> None:
    assert counted(name, grading(kind), choices) == right


def counted(name: str, how: Grading, choices: int) -> dict[str, int]:
    """The recorded teacher's right answers on train and test."""
    path = RECORDED / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"no recorded teacher at {path}")
    found = {"train": 0, "test": 0}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts = tuple(f"choice number {index}" for index in range(choices))  # the letters alone decide
        question = Question(id="", text="", answer=str(row["gold"]), choices=texts)
        answer = how["read"](f"The answer is {row['answer_reply']}", question)
        found[row["split"]] += answer is not None and how["same"](answer, question) is True
    return found
