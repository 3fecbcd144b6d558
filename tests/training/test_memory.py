"""What a training is said to need, against what it really holds: real students, and the door a user takes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests import door
from tests.contracts import architectures

from tutelage.models.local import weights
from tutelage.recipes import sizing
from tutelage.recipes.catalog import check_config
from tutelage.training import arguments, layout, learner, memory
from tutelage.training.settings import TrainingConfig

HOW: dict[str, dict[str, Any]] = {
    "full": {},
    "full, bfloat16": {"precision": "bfloat16"},
    "adapters": {"lora": {"r": 4}, "precision": "float32"},
    "adapters, bfloat16": {"lora": {"r": 4}, "precision": "bfloat16"},
    "adapters, float32 base": {"lora": {"r": 4, "base": "float32"}, "precision": "bfloat16"},
    "fused attention": {"attention": "sdpa"},
}


def really(student: dict[str, Any], config: TrainingConfig, lines: int, tokens: int) -> tuple[int, int, int]:
    """Bytes of the weights, of those that are trained, and of what a pass with real weights holds for its way back."""
    products = arguments.products(config, "cpu")
    model, *_ = learner.begin_with(student, config, products)
    model = learner.ready(model, config, "cpu", tokens).train()
    causal = layout.causal_of(model)
    ids = torch.zeros(lines, tokens, dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[0, 0] = 0  # lessons are not equally long: without any padding attention needs no mask
    with (
        learner.in_its_own_kind(model, products),
        memory.holding() as kept,
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=products == "bfloat16"),
    ):
        causal.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)
    total = sum(one.numel() * one.element_size() for one in model.parameters())
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return total, trained, memory.bytes_of(kept, (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_what_is_counted_without_weights_is_what_is_there_with_them(
    kind: str, how: str, base_student: Path, tmp_path: Path
) -> None:
    name = base_student if kind == "llama" else architectures.make(kind, base_student, tmp_path / kind)
    student = {"name": str(name), "cache": str(tmp_path / "cache")}
    config = TrainingConfig.model_validate(HOW[how])
    found = memory.needs(student, config, "cpu", 3, 40)
    total, trained, held = really(student, config, 3, 40)
    assert found.weights == total
    assert found.gradients == 4 * trained
    assert found.optimizer == 8 * trained
    assert found.layers == pytest.approx(1.36 * held, rel=0.02)


def test_less_is_needed_where_less_is_held(base_student: Path, tmp_path: Path) -> None:
    student = {"name": str(base_student), "cache": str(tmp_path)}

    def total(lines: int = 8, tokens: int = 64, **settings: Any) -> int:
        return memory.needs(student, TrainingConfig.model_validate(settings), "cpu", lines, tokens).total

    assert total(lines=4) < total() < total(tokens=128)
    assert total(gradient_checkpointing=True) < total()
    assert total(lora={"r": 2}, precision="bfloat16") < total(lora={"r": 2, "base": "float32"}, precision="bfloat16")
    assert total(optimizer="sgd") < total(optimizer="adamw_8bit") < total()


@pytest.mark.parametrize(
    ("needs", "one", "free", "says"),
    [
        (10, 3, 10, "holds it"),
        (31, 10, 20, "holds 4 at once (training.micro_batch=4)"),
        (31, 10, 9, "does not hold one such lesson"),
    ],
)
def test_the_verdict(needs: int, one: int, free: int, says: str) -> None:
    assert sizing._verdict(needs, one, free, 8).startswith(says)


def test_what_cannot_be_tried_without_weights_is_said(base_student: Path, tmp_path: Path) -> None:
    """Experts are chosen by what is read, and tensors that hold nothing choose none."""
    student = architectures.make("qwen3_moe", base_student, tmp_path / "moe")
    config = check_config({"recipe": "finetune_cot", "task": "coin_flip?size=40", "student": f"hf:{student}"}, "c.yaml")
    (line,) = sizing.memory_lines(config)
    assert line.startswith("memory: this student's code cannot be tried without its weights (RuntimeError: ")


def test_a_plan_says_what_a_training_takes(base_student: Path, tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=40",
        "teacher": "worked:",
        "student": f"hf:{base_student}",
        "training": {"max_length": 64},
    }

    def planned(**more: Any) -> str:
        (tmp_path / "c.yaml").write_text(yaml.safe_dump({**config, **more}))
        done = door.tutelage("plan", tmp_path / "c.yaml")
        assert done.returncode == 0, done.stderr
        return done.stdout.replace("\n", " ")

    said = planned()
    assert "a lesson of 64 tokens about 0.00; 8 of these at once about 0.0" in said
    assert "GB, which holds it" in said
    assert "may read several texts a lesson" not in said
    reflecting = planned(training={"max_length": 64, "reflection": {}})
    assert "GB, which holds it; the objectives chosen may read several texts a lesson and need more" in reflecting
    assert "memory: not known before the student is there: " in planned(student="hf:nobody/has-this")
    shared = planned(launch="processes:2?shard=always")
    assert "for each of 2 processes with its share of the student: " in shared
    assert "4 of these at once" in shared
    assert "for each of 2 processes: " in planned(launch="processes:2")


def test_a_share_is_a_part_and_what_is_put_together_for_a_moment(base_student: Path, tmp_path: Path) -> None:
    student = {"name": str(base_student), "cache": str(tmp_path)}
    needs = memory.needs(student, TrainingConfig(), "cpu", 1, 16)
    model, _ = weights.load(str(base_student), torch.float32, tmp_path)
    layer = sum(one.numel() for one in model.model.layers[0].parameters())
    outside = sum(one.numel() for one in model.parameters()) - 2 * layer
    assert needs.parameters == 2 * layer + outside
    assert needs.gathered == 8 * (2 * layer + outside)  # with their gradients
    share = needs.cut(4)
    assert share.weights == needs.parameters + needs.gathered
    assert (share.gradients, share.optimizer) == (needs.parameters, 2 * needs.parameters)
    assert (share.layers, share.logits) == (needs.layers, needs.logits)
