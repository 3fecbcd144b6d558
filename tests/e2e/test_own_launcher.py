"""The launcher of docs/add-a-launcher.md in a file of the user's, by its import path, through the command line."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works, write_page

from tutelage.errors import ConfigError
from tutelage.launch.catalog import find_launcher


@pytest.fixture(scope="module")
def own(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    small = {
        "task": "coin_flip?size=40",
        "student": {"name": f"hf:{base_student}", "dtype": "float32"},
        "baselines": ["zero_shot"],
        "training": {"epochs": 2, "batch": 8, "precision": "float32"},
        "exam": {"max_tokens": 4},
    }
    assert write_page("add-a-launcher.md", folder, small) == ["child.py", "apart.yaml"]
    works(folder, "run", "apart.yaml", "--into", "runs/apart")
    return folder


def test_the_student_is_the_one_that_is_trained_here(own: Path) -> None:
    """Where is no part of what: the same weights, the same digest, and the step is taken by a run elsewhere."""
    raw = yaml.safe_load((own / "apart.yaml").read_text())
    (own / "here.yaml").write_text(yaml.safe_dump({**raw, "launch": "here"}))
    works(own, "run", "here.yaml", "--into", "runs/here")
    apart, here = (own / "runs" / name / "student" for name in ("apart", "here"))
    assert (apart / "model.safetensors").read_bytes() == (here / "model.safetensors").read_bytes()
    assert {path.name for path in apart.iterdir()} == {path.name for path in here.iterdir()}  # no job, no lessons
    inputs = [json.loads((step / "step.json").read_text())["inputs"] for step in (apart, here)]
    assert inputs[0] == inputs[1]
    done = works(own, "run", "runs/apart/config.yaml", "--on", "here")
    assert "(kept)" in done.stdout


def test_its_report_is_that_of_any_run(own: Path) -> None:
    text = report_text(own, "runs/apart")
    assert re.search(r"^Fine-tune-CoT: \d+\.\d% right .* of 8 questions; zero-shot: \d+\.\d%\.", text, re.MULTILINE)
    assert re.search(r"\| Fine-tune-CoT \| \d+\.\d% \|", text)
    assert "| student | 28 | 8 |" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "runs/apart"], "Fine-tune-CoT: "),
        (["compare", "runs/apart", "runs/apart"], "Fine-tune-CoT: "),
        (["export", "runs/apart", "--to", "mine", "--check", "4"], "4 of 4 answers"),
        (
            ["exam", "hf:runs/apart/student", "--task", "coin_flip?size=40", "--into", "again", "--on", "child:Child", "exam.max_tokens=4"],
            "exam",
        ),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)  # fmt: skip
def test_every_other_door_takes_it(own: Path, words: list[str], said: str) -> None:
    done = works(own, *words)
    assert said in done.stdout


def test_what_goes_wrong_in_the_child_is_said(own: Path) -> None:
    raw = yaml.safe_load((own / "apart.yaml").read_text())
    raw["training"] = {**raw["training"], "max_length": 8}
    (own / "short.yaml").write_text(yaml.safe_dump(raw))
    done = cli(own, "run", "short.yaml", "--into", "runs/short")
    assert done.returncode == 2
    assert "error: none of the 28 lessons fits into training.max_length=8 tokens" in done.stderr


WRONG = {
    "hree": "unknown launcher 'hree'; did you mean 'here'?, or package.module:NAME",
    "no_such_module:IT": "unknown launcher 'no_such_module'; known: here, processes, ray (No module named 'no_such_module')",
    "tutelage.launch.here:NOTHING": "has no attribute 'NOTHING'",
    "tutelage.launch.catalog:find_launcher": "is a function without fit and open; it needs fit and open",
    "tests.e2e.test_own_launcher:Opens": "launcher 'tests.e2e.test_own_launcher:Opens' is a Opens without fit",
    "tests.e2e.test_own_launcher:Asks": "is the class Asks, which is made without arguments: ",
}


class Opens:
    """Half of a launcher."""

    def open(self) -> None:
        """Open nothing."""


class Asks(Opens):
    """A launcher that wants to be told more."""

    def __init__(self, machines: int) -> None:
        self.machines = machines

    def fit(self) -> None:
        """Train nobody."""


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_a_name_that_is_no_launcher_is_one_sentence(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        find_launcher(name)
    assert said in str(error.value)
