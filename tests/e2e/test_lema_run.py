"""`recipe: lema` through the command line, with a two-layer student and a writer of the user's own."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works

WRITER = '''
def errs(chat, sample):
    """A model whose second step is wrong on every question."""
    return "The coin is heads up. Nobody flips it. The answer is maybe." if sample else "The coin is heads up. Then 1 + 1 = 3. The answer is no."
'''
CONFIG = {
    "recipe": "lema",
    "task": "coin_flip?size=40",
    "writers": ["scripted:writing:errs"],
    "mistakes": {"n": 1, "temperature": 0},
    "questions": {"test_limit": 4},
    "baselines": [],
    "training": {"epochs": 1, "batch": 4, "precision": "float32"},
    "exam": {"max_tokens": 40},
}


@pytest.fixture(scope="module")
def runs(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three mixtures."""
    folder = tmp_path_factory.mktemp("lema")
    (folder / "writing.py").write_text(WRITER)
    spec = {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"}
    (folder / "run.yaml").write_text(yaml.safe_dump({**CONFIG, "student": spec}))
    for mix in ("both", "chains", "corrections"):
        works(folder, "run", "run.yaml", "--into", mix, f"mix={mix}")
    return folder


def facts(runs: Path, mix: str) -> dict[str, int]:
    told: dict[str, int] = json.loads((runs / mix / "student" / "facts.json").read_text())
    return told


def test_the_mixtures_train_on_as_many_tokens(runs: Path) -> None:
    tokens = {mix: facts(runs, mix)["target_tokens"] for mix in ("both", "chains", "corrections")}
    assert abs(tokens["chains"] / tokens["both"] - 1) < 0.05
    assert abs(tokens["corrections"] / tokens["both"] - 1) < 0.05
    assert facts(runs, "both")["too_long"] == 0


def test_the_report_and_the_lessons_say_what_is_a_correction(runs: Path) -> None:
    text = report_text(runs, "both")
    assert "LEMA" in text
    assert "training questions, writer 1" in text
    assert "correction" in text
    kept = [json.loads(line) for line in (runs / "both" / "1-corrections" / "records.jsonl").read_text().splitlines()]
    assert kept
    assert all(one["completion"].startswith(("Wrong step: ", "Why: ")) for one in kept)
    assert all("Rightly: " in one["completion"] for one in kept)


def test_it_goes_on_where_it_was(runs: Path) -> None:
    again = works(runs, "run", "run.yaml", "--into", "both")
    assert again.stdout.count("(kept)") >= 6


def test_its_lessons_are_exported(runs: Path) -> None:
    works(runs, "export", "both", "--to", "out", "--check", "2")
    assert any("Rightly: " in file.read_text() for file in (runs / "out").rglob("*.jsonl"))


def test_it_is_listed_with_its_values_and_the_paper_s(runs: Path) -> None:
    assert "lema" in works(runs, "recipes").stdout
    shown = works(runs, "show", "lema").stdout
    assert "An et al. 2023" in shown
    assert (
        cli(
            runs, "run", "run.yaml", "--into", "no", "writers=[scripted:writing:errs, scripted:writing:errs]"
        ).returncode
        == 2
    )
