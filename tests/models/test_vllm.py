"""The vLLM engine behind the model seam. Its package needs a GPU, so a stand-in with the same doors answers here."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tutelage import runner
from tutelage.errors import ConfigError, MissingPackage, ModelError
from tutelage.models import opening
from tutelage.models.local import templates
from tutelage.models.local.hf import Hf
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

        def generate(self, prompts: Any, settings: Any, use_tqdm: bool, lora_request: Any = None) -> list[Any]:
            seen.update(prompts=prompts, settings=settings, adapter=lora_request)
            if "prompt_logprobs" in settings[0]:
                return [
                    SimpleNamespace(
                        prompt_logprobs=table(seen["model"], one["prompt_token_ids"], settings[0]["prompt_logprobs"])
                    )
                    for one in prompts
                ]
            said = [SimpleNamespace(text=f" yes {i}", token_ids=[1] * (i + 1), finish_reason="stop" if i else "length") for i in range(len(prompts))]  # fmt: skip
            return [SimpleNamespace(outputs=[one]) for one in said]

    package = ModuleType("vllm")
    package.LLM, package.SamplingParams = LLM, lambda **given: given  # type: ignore[attr-defined]
    requests = ModuleType("vllm.lora.request")
    requests.LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", package)
    monkeypatch.setitem(sys.modules, "vllm.lora.request", requests)
    return seen


def table(model: str, ids: list[int], top: int) -> list[Any]:
    """What vLLM tells of a prompt: nothing of its first token; of each other one its own entry and those of the likeliest, by rank."""
    logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(torch.tensor([ids])).logits[0].detach()
    found: list[Any] = [None]
    for row, token in zip(logits[:-1].log_softmax(-1), ids[1:], strict=True):
        ranks = {int(one): rank for rank, one in enumerate(row.argsort(descending=True), 1)}
        told = {one for one, rank in ranks.items() if rank <= top} | {token}
        found.append({one: SimpleNamespace(logprob=float(row[one]), rank=ranks[one]) for one in told})
    return found


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


def test_an_adapter_is_served_on_its_base(chat_student: Path, tmp_path: Path, engine: dict[str, Any]) -> None:
    AutoTokenizer.from_pretrained(chat_student).save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(chat_student), "r": 8}))
    got = dict(opening.open_model(f"vllm:{tmp_path}").answer(CHATS, Sampling(max_tokens=3)))
    assert len(got) == 2
    assert engine["model"] == str(chat_student)
    loaded = engine["options"]
    assert (loaded["tokenizer"], loaded["enable_lora"], loaded["max_lora_rank"]) == (str(tmp_path), True, 8)
    assert engine["adapter"] == ("student", 1, str(tmp_path))


def test_an_adapter_that_names_no_base_is_said(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="does not say which model it is an adapter of"):
        opening.open_model(f"vllm:{tmp_path}")


def test_engine_options_are_handed_on_and_ours_are_not_taken_twice(chat_student: Path, engine: dict[str, Any]) -> None:
    spec = {"kind": "vllm", "name": str(chat_student), "engine": {"kv_cache_dtype": "fp8", "max_logprobs": 5}}
    model = opening.open_model(spec)
    list(model.answer(CHATS, Sampling(max_tokens=3)))
    assert (engine["options"]["kv_cache_dtype"], engine["options"]["max_logprobs"]) == ("fp8", 5)
    assert engine["options"]["enable_prefix_caching"] is True
    with pytest.raises(ModelError, match="the 6 likeliest tokens are asked for, and its engine tells 5"):
        list(model.score(CHATS, ["yes", "no"], 6))  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"engine\.gpu_memory_utilization is set by us; it is the option memory"):
        opening.open_model({**spec, "engine": {"gpu_memory_utilization": 0.5}})


@pytest.mark.parametrize("top", [0, 3])
def test_scores_are_those_of_the_same_student_here(chat_student: Path, engine: dict[str, Any], top: int) -> None:
    """The stand-in's table is made by transformers, in the form of vLLM's."""
    replies = ["yes", "the coin is still heads up"]
    here = dict(Hf(str(chat_student), dtype="float32", device="cpu").score(CHATS, replies, top))
    there = dict(opening.open_model(f"vllm:{chat_student}").score(CHATS, replies, top))  # type: ignore[attr-defined]
    assert there.keys() == here.keys() == {0, 1}
    for place, scores in there.items():
        assert scores.tokens == here[place].tokens
        assert scores.logprobs == pytest.approx(here[place].logprobs, abs=1e-5)
        assert scores.top_tokens == here[place].top_tokens
        assert [list(row) for row in scores.top_logprobs] == [
            pytest.approx(list(row), abs=1e-5) for row in here[place].top_logprobs
        ]


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
