"""The vLLM engine behind the model seam. Its package needs a GPU, so a stand-in with the same doors answers here."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from tutelage import runner
from tutelage.errors import ConfigError, MissingPackage
from tutelage.models import opening
from tutelage.models.local import templates
from tutelage.types import Chat, Message, Sampling

CHATS = [Chat(messages=(Message("user", text),), question=text) for text in ("heads", "the coin is up")]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the engine was given."""
    seen: dict[str, Any] = {}

    class LLM:
        def __init__(self, model: str, **options: Any) -> None:
            seen.update(model=model, options=options)

        def get_tokenizer(self) -> Any:
            return AutoTokenizer.from_pretrained(seen["model"])

        def generate(self, prompts: Any, settings: Any, use_tqdm: bool) -> list[Any]:
            seen.update(prompts=prompts, settings=settings)
            said = [SimpleNamespace(text=f" yes {i}", token_ids=[1] * (i + 1), finish_reason="stop" if i else "length") for i in range(len(prompts))]  # fmt: skip
            return [SimpleNamespace(outputs=[one]) for one in said]

    package = ModuleType("vllm")
    package.LLM, package.SamplingParams = LLM, lambda **given: given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", package)
    return seen


def test_it_asks_as_a_local_model_is_asked(chat_student: Path, engine: dict[str, Any]) -> None:
    model = opening.open_model({"kind": "vllm", "name": str(chat_student), "memory": 0.5})
    got = dict(model.answer(CHATS, Sampling(n=2, temperature=0.7, max_tokens=9, seed=3, stop=("Q:",))))
    tokenizer = AutoTokenizer.from_pretrained(chat_student)
    wanted = [templates.prompt_ids(tokenizer, chat.messages) for chat in CHATS for _ in range(2)]
    assert [one["prompt_token_ids"] for one in engine["prompts"]] == wanted
    assert len({one["seed"] for one in engine["settings"]}) == 4
    first = engine["settings"][0]
    assert (first["temperature"], first["max_tokens"], first["stop"], first["top_k"]) == (0.7, 9, ["Q:"], -1)
    assert first["stop_token_ids"] == sorted(templates.stop_ids(tokenizer))
    assert [reply.text for reply in got[1]] == ["yes 2", "yes 3"]
    assert [reply.finish for reply in got[0]] == ["length", "eos"]
    assert got[0][1].tokens_in == len(wanted[0])
    assert engine["options"]["gpu_memory_utilization"] == 0.5


def test_without_the_package_it_says_what_to_install(chat_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingPackage, match=r"tutelage\[vllm\]"):
        list(opening.open_model(f"vllm:{chat_student}").answer(CHATS, Sampling()))


def test_an_adapter_has_to_be_merged_first(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="tutelage export"):
        opening.open_model(f"vllm:{tmp_path}")


def test_a_student_goes_on_as_one_after_it_was_trained(
    chat_student: Path, tmp_path: Path, engine: dict[str, Any]
) -> None:
    """Its checkpoints are opened as it was, with its options, and not as another kind that has none of them."""
    config = {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=20",
        "teacher": "worked:",
        "student": {"kind": "vllm", "name": str(chat_student), "gpus": 2, "dtype": "float32"},
        "baselines": ["zero_shot"],
        "training": {"epochs": 1},
        "exam": {"max_tokens": 4},
    }
    scores = runner.run(config, tmp_path / "run")
    assert list(scores) == ["zero-shot", "Fine-tune-CoT"]
    assert engine["model"] == str(tmp_path / "run" / "student")
    assert (engine["options"]["tensor_parallel_size"], engine["options"]["dtype"]) == (2, "float32")
    assert (tmp_path / "run" / "student" / "model.safetensors").exists()
