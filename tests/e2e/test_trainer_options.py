"""What transformers' Trainer is told beside our settings, through the command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.outside import cli, works

CONFIG: dict[str, Any] = {
    "recipe": "finetune_cot",
    "task": "word_problems?size=60",
    "questions": {"train_limit": 20, "test_limit": 6},
    "baselines": [],
    "exam": {"max_tokens": 4},
}


def write(folder: Path, student: Path, **training: Any) -> None:
    told = {"epochs": 1, "batch": 8, "precision": "float32", **training}
    (folder / "c.yaml").write_text(yaml.safe_dump({**CONFIG, "student": f"hf:{student}", "training": told}))


def test_a_training_takes_them_all(base_student: Path, tmp_path: Path) -> None:
    write(
        tmp_path,
        base_student,
        gradient_checkpointing=True,
        attention="sdpa",
        optimizer="adafactor",
        lora={"r": 2, "base": "float32"},
        trainer={"adam_beta2": 0.9},
    )
    works(tmp_path, "run", "c.yaml", "--into", "run")
    assert (tmp_path / "run" / "student" / "adapter_model.safetensors").exists()
    kept = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert kept["training"]["trainer"] == {"adam_beta2": 0.9}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trainer": {"adam_beta22": 0.9}}, "has no field 'adam_beta22'; did you mean 'adam_beta2'?"),
        ({"trainer": {"save_steps": 5}}, "follows from how lessons are planned"),
        ({"report_to": ["wandbee"]}, "the tracker 'wandbee' is not installed"),
        ({"optimizer": "adam"}, "unknown optimiser 'adam'"),
        ({"attention": "flash"}, "training.attention"),
    ],
)
def test_what_is_wrong_is_said_before_the_teacher_is_asked(
    given: dict[str, Any], said: str, base_student: Path, tmp_path: Path
) -> None:
    write(tmp_path, base_student, **given)
    done = cli(tmp_path, "run", "c.yaml", "--into", "run")
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "run" / "rationales").exists()
