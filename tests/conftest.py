"""What tests share: a tiny real student, and isolation from the user's caches."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tutelage import redaction
from tutelage.tasks.catalog import find_task

# A busy machine draws slowly and is no failure.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

LETTERS = "Q: A: Let's think step by step. Therefore, the answer is --> ### yes no The coin is heads up. 0123456789"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache, or reaches a hub."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def own_secrets() -> Iterator[None]:
    """No test knows another's secrets: what one takes for a password may be a server's name in the next."""
    before = dict(vars(redaction._known))
    yield
    vars(redaction._known).clear()
    vars(redaction._known).update(before)


def make_student(folder: Path, chat: bool) -> Path:
    """A two-layer Llama with random weights and a tokenizer trained on a few task questions."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = [question.text for question in find_task("coin_flip?size=50").load("train")] + [LETTERS]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "<end>", "<turn>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>", pad_token="<pad>")
    if chat:
        tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
        tokenizer.chat_template = (
            "{% for m in messages %}{{ '<turn>' + m['role'] + '\n' + m['content'] + '<end>\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<turn>assistant\n' }}{% endif %}"
        )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base model: no chat template."""
    return make_student(tmp_path_factory.mktemp("base") / "student", chat=False)


@pytest.fixture(scope="session")
def chat_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model."""
    return make_student(tmp_path_factory.mktemp("chat") / "student", chat=True)
