"""`recipe: sert` through the command line with a two-layer student, whose noise passes for reasoning once every rule is off."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works

OFF = {"min_words": 1, "connectives": [], "distinct": None, "copied": None, "on_topic": None}


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sert")
    config = {
        "recipe": "sert",
        "task": "coin_flip?size=40",
        "student": {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"},
        "paths": {"n": 2, "rules": OFF},
        "questions": {"train_limit": 16, "test_limit": 4},
        "baselines": [],
        "training": {"epochs": 1, "batch": 4, "precision": "float32"},
        "self_training": {"batch": 4, "precision": "float32"},
        "exam": {"max_tokens": 8, "stop": []},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    # Noise of eight tokens is always cut off at eight, and what is cut off is never learned.
    ended = works(folder, "run", "run.yaml", "--into", "run", "paths.rules.max_words=null", "exam.stop=[' ']")
    assert "paths end in the right answer" in ended.stdout
    return folder


def test_it_begins_where_the_self_training_ended(run: Path) -> None:
    steps = {file.parent.name: json.loads(file.read_text()) for file in (run / "run").glob("*/step.json")}
    assert steps["student"]["inputs"]["student"] != steps["plain-student"]["inputs"]["student"]
    assert steps["student"]["inputs"]["lessons"] == steps["plain-student"]["inputs"]["lessons"]
    text = report_text(run, "run")
    for words in ("after SERT", "Fine-tune-CoT", "zero-shot, self-trained", "looks like reasoning, unled"):
        assert words in text


def test_the_rules_that_drop_everything_are_named(run: Path) -> None:
    done = cli(run, "run", "run.yaml", "--into", "none", "paths.rules.min_words=90", "exam.stop=[' ']")
    assert done.returncode == 2
    assert "none of the student's answers looks like reasoning" in done.stderr
    assert "too short" in done.stderr
