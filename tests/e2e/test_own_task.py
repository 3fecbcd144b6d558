"""The tasks of docs/add-a-task.md in files of the user's, by their import path, through the command line."""

import re
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works, write_page

from tutelage.errors import TutelageError
from tutelage.tasks.catalog import find_task


def smaller(file: Path, **small: object) -> None:
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **small}))


@pytest.fixture(scope="module")
def own(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    assert write_page("add-a-task.md", folder, {}) == ["mine.yaml", "doubles.py", "doubles.yaml"]
    student, exam = f"hf:{base_student}", {"max_tokens": 4}
    smaller(folder / "mine.yaml", model=student, exam=exam)
    training = {"epochs": 1, "batch": 8}
    smaller(folder / "doubles.yaml", task="doubles:make?size=20", student=student, exam=exam, training=training, baselines=["zero_shot"])  # fmt: skip
    page = (Path(__file__).parents[2] / "docs" / "add-a-task.md").read_text(encoding="utf-8")
    (folder / "questions.jsonl").write_text("\n".join(re.findall(r"^\{.*\}$", page, re.MULTILINE)) + "\n")
    works(folder, "run", "doubles.yaml", "--into", "runs/doubles")
    return folder


def test_its_report_has_the_right_headline_and_table(own: Path) -> None:
    text = report_text(own, "runs/doubles")
    assert re.search(r"^Fine-tune-CoT: \d+\.\d% right .* of 6 questions; zero-shot: \d+\.\d%\.", text, re.MULTILINE)
    assert re.search(r"\| Fine-tune-CoT \| \d+\.\d% \|", text)
    assert "doubles:make?size=20" in text.replace("\\", "")
    assert "not known here" not in text


DOORS = {
    "audit --task doubles:make?size=100": "all 100 gold answers are read back as right",
    "audit --task mine.yaml --split all": "all 2 gold answers are read back as right",
    "status runs/doubles": "Fine-tune-CoT: ",
    "compare runs/doubles runs/doubles": "Fine-tune-CoT: ",
    "grade runs/doubles": "Fine-tune-CoT: was",
    "plan doubles.yaml": "rationales: 14 calls",
    "export runs/doubles --to handed --check 4": "4 of 4 answers",
    "run runs/doubles/config.yaml": "(kept)",
    "run mine.yaml --into runs/mine": "exam",
    "exam hf:runs/doubles/student --task doubles:make?size=30 --into runs/more exam.max_tokens=4": "doubles:make?size=30",
}


@pytest.mark.parametrize("words", DOORS)
def test_every_door_takes_it(own: Path, words: str) -> None:
    done = works(own, *words.split())
    assert DOORS[words] in done.stdout


def test_other_options_are_other_questions(own: Path) -> None:
    done = cli(own, "run", "doubles.yaml", "task=doubles:make?size=40", "--into", "runs/doubles")
    assert done.returncode == 2
    assert "was started with another config: task" in done.stderr


TASK = "name='t', kind='number', splits=('train',), load=lambda split: {}, read=READERS['number'][0], same=READERS['number'][1]"
WRONG = {
    "no_such_module:make": "task 'no_such_module:make' is no package.module:NAME that can be imported: No module named",
    "own_wrong_task:nothing": "has no attribute 'nothing'",
    "own_wrong_task:NUMBER": "is a int; it must be a Task or a function returning one",
    "own_wrong_task:lacks": "cannot be made: .*own_wrong_task.py:4: TypeError: .* missing 1 required keyword-only argument: 'load'",
    "own_wrong_task:fails": "cannot be made: .*own_wrong_task.py:5: ZeroDivisionError: division by zero",
    "own_wrong_task:unreadable": "its `read` is a str; it must be a function",
    "own_wrong_task:unsplit": r"its `splits` are \(\); name them",
    "own_wrong_task:make?sise=3": "has no option 'sise'; did you mean 'size'",
    "own_wrong_task:make?size=x": "option 'size': Expected `int`, got `str`",
}


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_wrong_task.py").write_text(
        "from dataclasses import replace\nfrom tutelage.grading.answers import READERS\nfrom tutelage.tasks.task import Task\n"
        f"def lacks(): return Task({TASK.replace('load=lambda split: {}, ', '')})\n"
        "def fails(): return 1 / 0\n"
        f"def make(size: int = 3): return Task({TASK})\n"
        "def unreadable(): return replace(make(), read='number')\n"
        "def unsplit(): return replace(make(), splits=())\n"
        "def odd(): return replace(make(), load=lambda split: ['What is 1 plus 1?'])\n"
        "NUMBER = 3\n"
    )


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_what_is_no_task_is_one_sentence(name: str, said: str, wrong: None) -> None:
    with pytest.raises(TutelageError, match=said) as error:
        find_task(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "split", "said"),
    [
        ("own_wrong_task:make", "trian", "has no split 'trian'; did you mean 'train'"),
        ("own_wrong_task:make", "train", "its split 'train' holds no questions"),
        ("own_wrong_task:odd", "train", "number 0 of its split 'train' is a str; it must be a Question"),
    ],
)
def test_what_are_no_questions_is_one_sentence(name: str, split: str, said: str, wrong: None) -> None:
    with pytest.raises(TutelageError, match=said):
        find_task(name).load(split)
