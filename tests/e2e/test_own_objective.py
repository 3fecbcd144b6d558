"""The objective of docs/add-a-objective.md in a file of the user's, by its import path, through the command line."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works, write_page

from tutelage.errors import TutelageError
from tutelage.training.mixing import Mix
from tutelage.training.settings import objective_choices

SMALL = {
    "task": "word_problems?size=60",
    "questions": {"train_limit": 20, "test_limit": 6},
    "baselines": ["zero_shot", "fine_tune"],
    "exam": {"max_tokens": 4},
}
TRAINING = {"epochs": 2, "batch": 8, "precision": "float32"}


@pytest.fixture(scope="module")
def own(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    small = {**SMALL, "student": f"hf:{base_student}", "training": {**TRAINING, "objective": "key_steps:KeySteps"}}
    assert write_page("add-a-objective.md", folder, small) == ["key_steps.py", "sums.yaml"]
    works(folder, "run", "sums.yaml", "--into", "runs/sums")
    return folder


def facts_of(folder: Path, step: str = "student") -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / step / "facts.json").read_text())
    return told


def test_its_number_is_kept_drawn_and_listed(own: Path) -> None:
    facts = facts_of(own / "runs" / "sums")
    curve = facts["numbers"]["key_steps"]
    assert len(curve) == facts["steps"]
    assert all(4 < number < 9 for number in curve)  # a student of 600 tokens that knows nothing: log(600) is 6.4
    assert facts_of(own / "runs" / "sums", "answers-student").get("numbers") is None  # the baseline is plain
    text = report_text(own, "runs/sums").replace("\\_", "_")
    assert re.search(r"^Fine-tune-CoT: \d+\.\d% right .* of 6 questions; zero-shot: \d+\.\d%\.", text, re.MULTILINE)
    heads = next(line for line in text.splitlines() if line.startswith("| training | lessons |"))
    assert "| last loss | last key_steps |" in heads
    assert re.search(rf"\| student \| 20 \| .* \| {curve[-1]:.3f} \|", text)
    assert "not known here" not in text
    page = (own / "runs" / "sums" / "report.html").read_text()
    assert "Key_steps at each training step" in page


@pytest.mark.parametrize(
    "words",
    [
        ["status", "runs/sums"],
        ["compare", "runs/sums", "runs/sums"],
        ["run", "runs/sums/config.yaml"],
        ["export", "runs/sums", "--to", "mine", "--check", "4"],
    ],
    ids=lambda words: words[0],
)
def test_every_other_door_takes_it(own: Path, words: list[str]) -> None:
    done = works(own, *words)
    said = {"status": "Fine-tune-CoT: ", "compare": "Fine-tune-CoT: ", "run": "(kept)", "export": "4 of 4 answers"}
    assert said[words[0]] in done.stdout


def test_it_may_stand_beside_others_and_be_weighed(own: Path) -> None:
    """The forms that the page names; and a step that learned otherwise is not taken for this one."""
    raw = yaml.safe_load((own / "sums.yaml").read_text())
    mixes: list[Any] = [
        {"likelihood": 1.0, "key_steps:KeySteps": 0.5},
        ["likelihood", {"name": "key_steps:KeySteps", "weight": 0.5, "boost": 2}],
    ]
    for number, mix in enumerate(mixes):
        own_raw = {**raw, "training": {**TRAINING, "epochs": 1, "objective": mix}, "baselines": []}
        (own / f"mix{number}.yaml").write_text(yaml.safe_dump(own_raw, sort_keys=False))
        done = works(own, "run", f"mix{number}.yaml", "--into", f"runs/mix{number}", "--reuse", "runs/sums")
        assert "active for likelihood 100%, key_steps 100% of them" in done.stdout
        assert facts_of(own / "runs" / f"mix{number}")["steps"] == 3
    first, second = (facts_of(own / "runs" / f"mix{number}") for number in (0, 1))
    # The first batch is the same whatever was weighed; from then on the two students differ.
    assert first["numbers"]["key_steps"][0] == second["numbers"]["key_steps"][0]
    students = [own / "runs" / f"mix{number}" / "student" / "model.safetensors" for number in (0, 1)]
    assert students[0].read_bytes() != students[1].read_bytes()


WRONG: dict[str, tuple[Any, str]] = {
    "no module": ("no_such_module:IT", "objective 'no_such_module:IT' is no package.module:NAME that can be imported: No module"),
    "no name": ("own_wrong_objective:NOTHING", "has no attribute 'NOTHING'"),
    "no object": ("own_wrong_objective:", "is no package.module:NAME"),
    "a function": ("own_wrong_objective:plain", "objective 'own_wrong_objective:plain' is a function without prepare, parts, loss, name"),
    "lacks a part": ("own_wrong_objective:Lacking", "objective 'own_wrong_objective:Lacking' is a Lacking without loss; it needs name, prepare"),
    "no settings": ("own_wrong_objective:Bare", "objective 'own_wrong_objective:Bare' is the class Bare; derive it from tutelage.config.Settings"),
    "an option": (
        [{"name": "own_wrong_objective:Whole", "bost": 2}],
        "training.objective 'own_wrong_objective:Whole': unknown key 'bost'; did you mean 'boost'",
    ),
    "a value": ([{"name": "own_wrong_objective:Whole", "boost": "much"}], "boost = 'much'"),
    "an object's option": ([{"name": "own_wrong_objective:MADE", "boost": 2}], "'own_wrong_objective:MADE' is an object, so it takes no options"),
    "one name": (
        {"own_wrong_objective:Whole": 1, "own_wrong_objective:MADE": 1},
        "own_wrong_objective:Whole and own_wrong_objective:MADE are both called 'whole'; each needs a name of its own",
    ),
}  # fmt: skip
MODULE = """
from typing import ClassVar
from tutelage.config import Settings
def plain(): ...
class Lacking(Settings):
    name: ClassVar[str] = "lacking"
    def prepare(self, examples, encoder): ...
    def parts(self, example, kept, place): ...
class Whole(Lacking):
    name: ClassVar[str] = "whole"
    boost: float = 1.0
    def loss(self, seen): ...
class Bare:
    name = "bare"
    prepare = parts = loss = plain
MADE = Whole()
"""


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_objective_is_one_sentence(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_wrong_objective.py").write_text(MODULE)
    given, said = WRONG[case]
    with pytest.raises(TutelageError) as error:
        Mix(objective_choices(given))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_it_is_said_before_the_teacher_is_asked(own: Path, tmp_path: Path) -> None:
    raw = yaml.safe_load((own / "sums.yaml").read_text())
    raw["training"]["objective"] = "key_stepz:KeySteps"
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    done = cli(tmp_path, "run", "c.yaml", "--into", "it")
    assert done.returncode == 2
    assert "error: objective 'key_stepz:KeySteps' is no package.module:NAME that can be imported" in done.stderr
    assert not (tmp_path / "it" / "rationales").exists()


def test_lessons_that_it_cannot_use_are_said(own: Path, tmp_path: Path) -> None:
    shutil.copy(own / "key_steps.py", tmp_path)
    raw = {**yaml.safe_load((own / "sums.yaml").read_text()), "task": "coin_flip?size=60", "baselines": []}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    done = cli(tmp_path, "run", "c.yaml", "--into", "it")
    assert done.returncode == 2
    assert re.search(r"error: key_steps finds no sum in any of \d+ lessons; use the objective likelihood", done.stderr)


def test_its_code_is_part_of_what_a_student_was_made_from(own: Path, tmp_path: Path) -> None:
    """The same name may stand for another loss tomorrow: a finished step is refused, and none is taken over."""
    here = tmp_path / "later"
    shutil.copytree(own, here)
    made = json.loads((here / "runs" / "sums" / "student" / "step.json").read_text())["inputs"]
    assert list(made["code"]) == ["key_steps:KeySteps"]
    file = here / "key_steps.py"
    file.write_text(file.read_text().replace("boost: float = 3.0", "boost: float = 30.0"))
    done = cli(here, "run", "runs/sums/config.yaml")
    assert done.returncode == 2
    assert "made from other inputs: code.key_steps:KeySteps:" in done.stderr
