"""Adapters on a base in four bits: what is held, what is learned, and who reads the student afterwards."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests import door
from tests.contracts.test_objectives import train

from tutelage.errors import MissingPackage
from tutelage.models.local import weights
from tutelage.training import layout, learner, memory
from tutelage.training.settings import TrainingConfig

FOUR = {"r": 4, "base": "nf4"}


@pytest.fixture(scope="module", autouse=True)
def rounding() -> None:
    pytest.importorskip("bitsandbytes")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_on_four_bits_learn_as_on_all(base_student: Path, tmp_path: Path, precision: str) -> None:
    made = {
        base: train(tmp_path / base, base_student, "likelihood", lora={"r": 4, "base": base}, precision=precision)
        for base in ("auto", "nf4")
    }
    assert "nf4" in made["nf4"]["frozen_in"]
    assert made["nf4"]["losses"] != made["auto"]["losses"]
    assert made["nf4"]["losses"] == pytest.approx(made["auto"]["losses"], abs=0.1)
    assert made["nf4"]["losses"][-1] < made["nf4"]["losses"][0]
    adapters = load_file(tmp_path / "nf4" / "adapter_model.safetensors")
    assert {one.dtype for one in adapters.values()} == {torch.float32}
    again = train(tmp_path / "again", base_student, "likelihood", lora=FOUR, precision=precision)
    assert again["losses"] == made["nf4"]["losses"]


def test_training_goes_on_from_such_an_adapter(base_student: Path, tmp_path: Path) -> None:
    first = train(tmp_path / "first", base_student, "likelihood", lora=FOUR, precision="float32")
    second = train(tmp_path / "second", tmp_path / "first", "likelihood", lora=FOUR, precision="float32")
    assert second["losses"][0] < first["losses"][0]
    stated = json.loads((tmp_path / "second" / "adapter_config.json").read_text())
    assert stated["base_model_name_or_path"] == str(base_student)


def test_the_plan_counts_four_bits(base_student: Path, tmp_path: Path) -> None:
    student = {"name": str(base_student), "cache": str(tmp_path)}
    config = TrainingConfig.model_validate({"lora": FOUR, "precision": "bfloat16"})
    model, _, _ = learner.begin_with(student, config, "bfloat16")
    model = learner.with_adapters(model, config.lora)  # type: ignore[arg-type]
    held = 0
    for one in model.parameters():
        held += one.numel() * one.element_size()
        if (state := getattr(one, "quant_state", None)) is not None:
            held += state.absmax.numel() + state.state2.absmax.numel() * 4
    assert memory.needs(student, config, "cpu", 2, 32).weights == pytest.approx(held, rel=0.01)
    half = config.model_copy(update={"lora": config.lora.model_copy(update={"base": "bfloat16"})})  # type: ignore[union-attr]
    assert held < 0.8 * memory.needs(student, half, "cpu", 2, 32).weights
    assert any(type(one).__name__ == "Linear4bit" for one in layout.causal_of(model).modules())


def test_without_the_package_its_extra_is_named(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else usual(name, *more)
    )
    with pytest.raises(MissingPackage, match=r"tutelage\[4bit\]"):
        train(tmp_path / "s", base_student, "likelihood", lora=FOUR)


def test_a_run_on_four_bits_is_examined_and_exported(base_student: Path, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=40",
        "teacher": "worked:",
        "student": f"hf:{base_student}",
        "baselines": [],
        "training": {"epochs": 1, "lora": FOUR},
        "exam": {"max_tokens": 8},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))

    def cli(*words: str) -> str:
        done = door.tutelage(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "of these at once" in cli("plan", "c.yaml")
    cli("run", "c.yaml", "--into", "run")
    assert "nf4" in json.loads((tmp_path / "run" / "student" / "facts.json").read_text())["frozen_in"]
    cli("export", "run", "--to", "out")
    assert "trained on the base in four bits (NF4), merged here" in (tmp_path / "out" / "README.md").read_text()
    model, _ = weights.load(str(tmp_path / "out"), torch.float32, tmp_path)
    assert {one.dtype for one in model.parameters()} == {torch.float32}
