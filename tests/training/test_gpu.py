"""What only a GPU can show: the same losses, answers and resumes as on a CPU. Skipped where there is none; `make gpu` runs these."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from tutelage.errors import Interrupted
from tutelage.models.local import kernels, weights
from tutelage.models.local.hf import Hf
from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig
from tutelage.training.trainer import fit
from tutelage.types import Chat, Lesson, Message, Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]

LESSONS = [
    Lesson(question=str(i), prompt=f"A coin is heads up. {'Maya flips it. ' * i}Is it?", completion=f"It {'was ' * i}is. --> yes", kind="rationale")
    for i in range(12)
]  # fmt: skip
CHATS = [
    Chat(messages=(Message("user", f"A coin is heads up. {'Maya flips it. ' * (i % 7)}Is it?"),), question=str(i))
    for i in range(20)
]


def train(
    folder: Path, student: Path, device: str, stop_after: int = 10**6, lessons: Any = None, **settings: Any
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    steps: list[int] = []

    def stopping() -> bool:
        steps.append(1)
        return len(steps) >= stop_after

    config = TrainingConfig(**{"epochs": 2, "batch": 4, "learning_rate": 1e-3, "precision": "float32", **settings})
    spec = {"name": str(student), "cache": "", "device": device}
    return fit(spec, lessons or LESSONS, config, 3, folder, Callbacks(lambda tick: None, stopping))


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32: what is compared is the code, not the rounding of products."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("settings", [{}, {"micro_batch": 3}, {"lora": {"r": 2}}, {"prompt_weight": 0.1}])
def test_losses_are_those_of_a_cpu(chat_student: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    cpu = train(tmp_path / "cpu", chat_student, "cpu", **settings)
    cuda = train(tmp_path / "cuda", chat_student, "cuda", **settings)
    assert cuda["losses"] == pytest.approx(cpu["losses"], abs=2e-3)


@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_an_interrupted_training_ends_like_an_undisturbed_one(chat_student: Path, tmp_path: Path, lora: Any) -> None:
    whole = train(tmp_path / "whole", chat_student, "cuda", lora=lora)
    with pytest.raises(Interrupted):
        train(tmp_path / "part", chat_student, "cuda", stop_after=3, lora=lora)
    assert train(tmp_path / "part", chat_student, "cuda", lora=lora)["losses"] == pytest.approx(
        whole["losses"], abs=1e-4
    )


@pytest.mark.parametrize("sampling", [Sampling(max_tokens=24), Sampling(max_tokens=24, n=3, temperature=0.8, seed=5)])
def test_answers_are_those_of_a_cpu(chat_student: Path, sampling: Sampling) -> None:
    def answers(device: str) -> dict[int, list[str]]:
        model = Hf(str(chat_student), dtype="float32", device=device)
        return {i: [reply.text for reply in replies] for i, replies in model.answer(CHATS, sampling)}

    assert answers("cuda") == answers("cpu")


def test_a_batch_that_does_not_fit_is_halved(chat_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real refusal of the allocator, not a made-up one."""
    whole = {
        i: replies[0].text
        for i, replies in Hf(str(chat_student), dtype="float32", device="cuda").answer(CHATS, Sampling(max_tokens=8))
    }
    model = Hf(str(chat_student), dtype="float32", device="cuda", batch=16)
    model.loaded()
    generate, refused = Hf._generate, list[int]()

    def greedy_for_memory(self: Hf, prompts: list[list[int]], *rest: Any) -> Any:
        if len(prompts) > 4:
            refused.append(len(prompts))
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
        return generate(self, prompts, *rest)

    monkeypatch.setattr(Hf, "_generate", greedy_for_memory)
    assert {i: replies[0].text for i, replies in model.answer(CHATS, Sampling(max_tokens=8))} == whole
    assert refused


def test_bfloat16_is_chosen_and_trains(chat_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", chat_student, "cuda", precision="auto", epochs=10)
    assert facts["last_loss"] < facts["first_loss"]
    assert facts["visible_gpus"] == torch.cuda.device_count()


@pytest.fixture(scope="module")
def real_heads(chat_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student whose attention has the sizes of real ones, so that the kernels chosen for it are those of real ones."""
    folder = tmp_path_factory.mktemp("heads") / "student"
    _, tokenizer = weights.load(str(chat_student), torch.float32, Path())
    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "intermediate_size": 256, "num_attention_heads": 3, "num_key_value_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=2, max_position_embeddings=1024, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("words", [1, 6, 20])
def test_bfloat16_learns_what_float32_learns(real_heads: Path, tmp_path: Path, words: int) -> None:
    """Rows of one batch end at different places, through the kernels that real heads get."""
    lessons = [
        Lesson(question=str(i), prompt=f"A coin is heads up. {'Maya flips it. ' * (i % 5) * words}Is it?", completion=f"It {'was ' * i}is. --> yes", kind="rationale")
        for i in range(32)
    ]  # fmt: skip
    losses = {
        precision: train(tmp_path / precision, real_heads, "cuda", lessons=lessons, precision=precision)["losses"]
        for precision in ("float32", "bfloat16")
    }
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


@pytest.mark.parametrize("length", [64, 192, 704])
def test_attention_behind_a_mask_has_gradients(length: int) -> None:
    """Where all scores are far below nothing, as in some heads of real models, cuDNN's gradients are no numbers on Hopper."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 1, length, 64, device="cuda", dtype=torch.bfloat16) * 0.1
    query[..., 0], key[..., 0] = 1.0, -120 * 8.0
    parts = [part.clone().requires_grad_() for part in (query, key, value)]
    mask = torch.ones(length, length, dtype=torch.bool, device="cuda").tril()[None, None]
    with kernels.sound("cuda"):
        F.scaled_dot_product_attention(*parts, attn_mask=mask).sum().backward()
    for part in parts:
        assert part.grad is not None
        assert part.grad.isfinite().all()
