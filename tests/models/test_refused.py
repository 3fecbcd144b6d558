"""What cannot be a student is refused in one sentence, before a teacher is asked where its config lies on this machine."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import make_student

from tutelage import runner
from tutelage.errors import ModelError
from tutelage.models.local.hf import Hf
from tutelage.models.opening import open_model
from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig
from tutelage.training.trainer import fit
from tutelage.types import Chat, Lesson, Message, Sampling


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "an encoder-decoder model; students are decoder-only"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "fills in masked words"),
        ({"model_type": "vit"}, "of the architecture 'vit', and transformers .* has no causal language model of that"),
        ({"model_type": "llama9"}, r"'llama9'.*\(a newer one may\).*choose a student"),
    ],
)
def test_a_config_that_lies_here_is_enough_to_refuse(tmp_path: Path, stated: dict[str, Any], says: str) -> None:
    student = tmp_path / "student"
    student.mkdir()
    (student / "config.json").write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=says):
        open_model(f"hf:{student}")
    raw = {"recipe": "finetune_cot", "task": "coin_flip?size=60", "student": f"hf:{student}"}
    with pytest.raises(ModelError, match=says):
        runner.run(raw, tmp_path / "run")
    assert not (tmp_path / "run" / "rationales").exists()


def test_what_the_hubs_cache_says_of_a_model_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "t5", "is_encoder_decoder": True}))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file_name: str(file))
    with pytest.raises(ModelError, match="hf:google/flan is an encoder-decoder"):
        open_model("hf:google/flan")


def test_a_model_that_looks_at_later_tokens_neither_answers_nor_learns(tmp_path: Path) -> None:
    """A BERT under its causal head: transformers loads it, and it would be trained to copy what it is shown."""
    from transformers import BertConfig, BertLMHeadModel

    folder = make_student(tmp_path / "student", chat=False)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    bert = BertLMHeadModel(BertConfig(vocab_size=600, **sizes, is_decoder=False))
    with torch.no_grad():
        for weights in bert.parameters():
            weights.normal_(0, 0.3)
    bert.save_pretrained(folder)
    model = Hf(str(folder), dtype="float32", device="cpu")
    with pytest.raises(ModelError, match="BertLMHeadModel looks at later tokens"):
        list(model.answer([Chat(messages=(Message("user", "coin"),))], Sampling()))
    lessons = [Lesson(question="1", prompt="Is it?", completion="It is. --> yes", kind="rationale")]
    spec = {"name": str(folder), "cache": "", "device": "cpu"}
    with pytest.raises(ModelError, match="looks at later tokens"):
        fit(spec, lessons, TrainingConfig(), 0, tmp_path / "taught", Callbacks(lambda tick: None, lambda: False))
