"""The published data sets, where copies of them are at hand: sizes, golds, and the recorded teacher's accuracy.

Set TUTELAGE_DATA to a folder with copies (NAME.jsonl or NAME.SPLIT.jsonl) to run these.
"""

import json
import os
from pathlib import Path

import pytest

from tutelage import tasks
from tutelage.errors import DataError
from tutelage.tasks.answers import READERS
from tutelage.tasks.base import Task
from tutelage.tasks.benchmarks import BENCHMARKS, make
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
    tasks.audit(task, questions)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", [name for name, row in BENCHMARKS.items() if row.template_sizes])
def test_template_splits(name: str, split: str) -> None:
    questions = load(make(name, data=FOLDER, template_split=True), split)
    assert len(questions) == BENCHMARKS[name].template_sizes[split]


@pytest.mark.parametrize(
    ("name", "kind", "choices", "right"),
    [
        # Published: 332 and 140, 432 and 189. LOG.md lists the 49 replies that are read otherwise, such as "5*5=25."
        ("multiarith", "number", 0, {"train": 337, "test": 142}),
        ("svamp", "number", 0, {"train": 441, "test": 191}),
        ("date_understanding", "choice", 6, {"train": 176, "test": 73}),
        ("tracking_shuffled_objects", "choice", 3, {"train": 282, "test": 111}),
        ("coin_flip", "yes_no", 0, {"train": 320, "test": 137}),
    ],
)
def test_recorded_teacher_is_read_as_published(name: str, kind: str, choices: int, right: dict[str, int]) -> None:
    path = RECORDED / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"no recorded teacher at {path}")
    read, same = READERS[kind]
    counted = {"train": 0, "test": 0}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        texts = tuple(f"choice number {index}" for index in range(choices))  # the letters alone decide
        question = Question(id="", text="", answer=str(row["gold"]), choices=texts)
        answer = read(f"The answer is {row['answer_reply']}", question)
        counted[row["split"]] += answer is not None and same(answer, question)
    assert counted == right
