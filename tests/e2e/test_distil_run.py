"""`recipe: distil` through the command line: a longer-taught student as the teacher of a fresh one."""

import json
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, report_text, works

FAST = {"batch": 4, "precision": "float32"}


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distil")
    spec = {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"}
    common = {
        "task": "coin_flip?size=24",
        "student": spec,
        "questions": {"train_limit": 8, "test_limit": 4},
        "baselines": [],
        "exam": {"max_tokens": 24},
    }
    long = {"recipe": "finetune_cot", **common, "training": {"epochs": 4, "learning_rate": 5e-3, **FAST}}
    (folder / "long.yaml").write_text(yaml.safe_dump(long))
    works(folder, "run", "long.yaml", "--into", "long")
    short = {
        "recipe": "distil",
        **common,
        "scorer": {**spec, "name": "hf:long/student"},
        "texts": "teacher",
        "rounds": 2,
        "training": {"epochs": 1, **FAST},
        "distilling": {"learning_rate": 1e-3, **FAST},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(short))
    works(folder, "run", "run.yaml", "--into", "run")
    return folder


def test_each_round_goes_on_from_the_student_before_and_nears_the_teacher(run: Path) -> None:
    steps = {file.parent.name: json.loads(file.read_text()) for file in (run / "run").glob("*/step.json")}
    begun = [str(steps[name]["inputs"]["student"]) for name in ("texts-student", "1-distilled", "2-distilled")]
    assert len(set(begun)) == 3
    told = [
        json.loads((run / "run" / name / "facts.json").read_text())["numbers"]["imitate"]
        for name in ("1-distilled", "2-distilled")
    ]
    assert told[1][-1] < told[0][0]
    kinds = [
        json.loads(line)["kind"] for line in (run / "run" / "2-lessons" / "records.jsonl").read_text().splitlines()
    ]
    assert set(kinds) == {"rollout"}
    text = report_text(run, "run")
    for words in ("taught its texts", "distilled, 2 rounds", "the scorer", "rollouts, round 1"):
        assert words in text


def test_it_goes_on_where_it_was(run: Path) -> None:
    assert works(run, "run", "run.yaml", "--into", "run").stdout.count("(kept)") >= 9


def test_a_scorer_with_another_tokenizer_is_refused_before_anything_is_learned(run: Path, chat_student: Path) -> None:
    done = cli(run, "run", "run.yaml", "--into", "other", f"scorer=hf:{chat_student}")
    assert done.returncode == 2
    assert "other tokens than the student" in done.stderr


def test_its_presets_are_listed_with_their_sources(run: Path) -> None:
    shown = works(run, "show", "distil").stdout
    assert "gkd: 0.5, on_policy: 1.0" in shown
    assert "Thinking Machines 2025" in shown
