"""`recipe: edit` through the command line, offline: the worked solutions' slips, and a two-layer student that learns where they part."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import report_text, works


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edit")
    config = {
        "recipe": "edit",
        "task": "word_problems?difficulty=1&size=40",
        "student": {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"},
        "questions": {"train_limit": 12, "test_limit": 4},
        "pairs": {"corrupt": 8},
        "baselines": [],
        "training": {"epochs": 1, "batch": 4, "precision": "float32"},
        "key_training": {"batch": 4, "precision": "float32"},
        "exam": {"max_tokens": 8},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    works(folder, "run", "run.yaml", "--into", "run")
    return folder


def test_the_second_training_goes_on_from_the_first_and_works_on_every_pair(run: Path) -> None:
    steps = {file.parent.name: json.loads(file.read_text()) for file in (run / "run").glob("*/step.json")}
    assert steps["keys-student"]["inputs"]["student"] != steps["chains-student"]["inputs"]["student"]
    facts = json.loads((run / "run" / "keys-student" / "facts.json").read_text())
    assert facts["lessons"] == len((run / "run" / "corrupted-pairs" / "records.jsonl").read_text().splitlines()) > 4
    assert facts["unused"] == 0
    text = report_text(run, "run")
    assert "EDIT" in text
    assert "corrupted" in text


def test_it_goes_on_where_it_was(run: Path) -> None:
    assert works(run, "run", "run.yaml", "--into", "run").stdout.count("(kept)") >= 7


def test_the_plan_and_both_columns(run: Path) -> None:
    assert "rectified or corrupted chains, at the most: 12 calls" in works(run, "plan", "run.yaml").stdout
    shown = works(run, "show", "edit").stdout
    assert "key_training.learning_rate" in shown
    assert "5e-06" in shown
