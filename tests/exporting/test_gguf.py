"""The GGUF file: read back by the gguf reader, by transformers, and by llama.cpp where it is installed."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tutelage
from tutelage.errors import ModelError
from tutelage.exporting import gguf_vocabulary, modelfile
from tutelage.exporting.gguf import write_gguf
from tutelage.exporting.modelfile import Format
from tutelage.tasks.catalog import find_task

Finished = Callable[[str, str, bool], Path]
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "eos_token_id": 1,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def made(folder: Path, tokens_of: Path, kind: str, **more: Any) -> Path:
    """An exported folder with a tiny model of an architecture and a real tokenizer; its weights fit into float16."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tokens_of)
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **more}, vocab_size=len(tokenizer) + 3)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    for parameter in model.parameters():
        parameter.data = (
            (parameter.data * 3 + (0.1 * torch.randn_like(parameter) if parameter.dim() == 1 else 0)).half().float()
        )
    model.generation_config.eos_token_id = [1, 2]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def logits(folder: Path, **more: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
    with torch.inference_mode():
        return model(torch.arange(3, 60)[None]).logits[0]


ARCHITECTURES = [
    ("Llama", {"tie_word_embeddings": True}),
    ("Llama", {"tie_word_embeddings": False, "head_dim": 32}),
    ("Qwen2", {"tie_word_embeddings": True}),
    ("Qwen3", {"tie_word_embeddings": False, "head_dim": 128}),
]


@pytest.mark.parametrize(("kind", "more"), ARCHITECTURES)
def test_transformers_reads_the_same_model(chat_student: Path, tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    import torch

    folder = made(tmp_path / "it", chat_student, kind, **more)
    whole = logits(folder)
    f16 = write_gguf(folder, "f16", "it")
    assert torch.allclose(logits(folder, gguf_file=f16.name), whole, atol=1e-4)
    q8 = write_gguf(folder, "q8_0", "it")
    off = (logits(folder, gguf_file=q8.name) - whole).norm() / whole.norm()
    assert 0 < off < 0.1
    assert q8.stat().st_size < f16.stat().st_size


def test_the_reader_finds_tensors_and_metadata(chat_student: Path, tmp_path: Path) -> None:
    import gguf

    folder = made(tmp_path / "it", chat_student, "Llama", tie_word_embeddings=True, rope_parameters=LLAMA3)
    reader = gguf.GGUFReader(write_gguf(folder, "q8_0", "it"))
    value = {name: field.contents() for name, field in reader.fields.items()}
    assert (value["general.architecture"], value["general.name"]) == ("llama", "it")
    assert (value["llama.block_count"], value["llama.attention.head_count_kv"]) == (2, 2)
    assert value["llama.rope.freq_base"] == 500000
    assert (value["tokenizer.ggml.model"], value["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert (value["tokenizer.ggml.eos_token_id"], value["tokenizer.ggml.eot_token_id"]) == (1, 2)
    assert value["tokenizer.ggml.add_bos_token"] is False
    assert "<turn>" in value["tokenizer.chat_template"]
    tokens, kinds = value["tokenizer.ggml.tokens"], value["tokenizer.ggml.token_type"]
    assert (
        len(tokens)
        == len(kinds)
        == value["llama.vocab_size"]
        == json.loads((folder / "config.json").read_text())["vocab_size"]
    )
    assert [kinds[tokens.index(name)] for name in ("<pad>", "<end>", "<turn>")] == [3, 3, 3]
    assert (tokens[-1], kinds[-1]) == (f"[PAD{len(tokens) - 1}]", int(gguf.TokenType.UNUSED))
    shapes = {tensor.name: (tensor.shape.tolist(), tensor.tensor_type.name) for tensor in reader.tensors}
    assert shapes["token_embd.weight"] == ([64, len(tokens)], "Q8_0")
    assert shapes["blk.1.attn_k.weight"] == ([64, 32], "Q8_0")
    assert shapes["blk.1.attn_norm.weight"] == ([64], "F32")
    assert shapes["rope_freqs.weight"] == ([8], "F32")
    assert "output.weight" not in shapes


def test_llama_3_positions_are_stretched_as_transformers_does(chat_student: Path, tmp_path: Path) -> None:
    import gguf
    import torch
    from transformers import AutoModelForCausalLM

    folder = made(tmp_path / "it", chat_student, "Llama", rope_parameters=LLAMA3)
    reader = gguf.GGUFReader(write_gguf(folder, "f16", "it"))
    factors = next(torch.tensor(tensor.data) for tensor in reader.tensors if tensor.name == "rope_freqs.weight")
    plain = 1 / 500000.0 ** (torch.arange(0, 16, 2) / 16)
    scaled = AutoModelForCausalLM.from_pretrained(folder).model.rotary_emb.inv_freq
    assert torch.allclose(plain / factors, scaled)
    assert len(set(factors.tolist())) > 2


def test_a_width_that_q8_0_cannot_hold_stays_f16(chat_student: Path, tmp_path: Path) -> None:
    import gguf

    folder = made(tmp_path / "it", chat_student, "Llama", hidden_size=48, head_dim=16)
    reader = gguf.GGUFReader(write_gguf(folder, "q8_0", "it"))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert (kinds["blk.0.attn_q.weight"], kinds["blk.0.attn_output.weight"]) == ("F16", "Q8_0")


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("GPTNeoX", {}, "does not know the architecture GPTNeoXForCausalLM"),
        (
            "Llama",
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
            "rope scaling 'linear'",
        ),
        ("Qwen2", {"rope_parameters": LLAMA3}, "rope scaling 'llama3'"),
        ("Llama", {"hidden_act": "gelu"}, "another activation"),
    ],
)
def test_what_the_file_could_not_say_is_an_error(
    chat_student: Path, tmp_path: Path, kind: str, more: dict[str, Any], says: str
) -> None:
    folder = made(tmp_path / "it", chat_student, kind, **more)
    with pytest.raises(ModelError, match=f"{says}.*convert_hf_to_gguf.py"):
        write_gguf(folder, "f16", "it")
    assert not list(folder.glob("*.gguf"))


def test_numbers_beyond_float16_are_an_error(chat_student: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    folder = made(tmp_path / "it", chat_student, "Llama")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.up_proj\.weight holds numbers beyond"):
        write_gguf(folder, "f16", "it")


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
UNSPLIT = {**BYTES, "use_regex": False}
DIGITS = {"type": "Digits", "individual_digits": True}


def sequence(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def by_words(digits: str) -> str:
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert PRETOKENIZE_REGEX.count(r"\p{N}|") == 1
    return PRETOKENIZE_REGEX.replace(r"\p{N}|", rf"\p{{N}}{digits}|")


@pytest.mark.parametrize(
    ("how", "whole_words", "name"),
    [
        (BYTES, False, "gpt-2"),
        (sequence(BYTES), False, "gpt-2"),
        (sequence(DIGITS, BYTES), False, "smollm"),
        (sequence(split(by_words("")), UNSPLIT), False, "qwen2"),
        (sequence(split(by_words("{1,3}")), UNSPLIT), True, "llama-bpe"),
        (sequence(split(by_words("{1,3}")), UNSPLIT), False, ""),
        (sequence(split(by_words("{1,2}")), UNSPLIT), False, ""),
        ({**BYTES, "add_prefix_space": True}, False, ""),
        (UNSPLIT, False, ""),
        ({"type": "Metaspace"}, False, ""),
        (None, False, ""),
    ],
)
def test_the_split_is_recognised_or_refused(how: Any, whole_words: bool, name: str) -> None:
    tokenizer = {"model": {"type": "BPE", "ignore_merges": whole_words}, "normalizer": None, "pre_tokenizer": how}
    if name:
        assert gguf_vocabulary.split_name(tokenizer) == name
    else:
        with pytest.raises(ModelError, match="splits text in a way that --gguf does not know.*convert_hf_to_gguf.py"):
            gguf_vocabulary.split_name(tokenizer)


def test_an_exported_gguf_gives_the_answers_of_the_safetensors(finished: Finished, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = tutelage.export(finished("finetune_cot", "chat", False), tmp_path / "out", "float16", 0, "f16")
    assert made.gguf is not None
    texts = [question.text for question in find_task("coin_flip?size=100").load("test")[:6]]
    said = []
    alone = tmp_path / "alone"  # beside a tokenizer.json transformers reads half of each
    alone.mkdir()
    made.gguf.rename(alone / made.gguf.name)
    for folder, more in ((made.path, {}), (alone, {"gguf_file": made.gguf.name})):
        tokenizer = AutoTokenizer.from_pretrained(folder, **more)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more)
        for text in texts:
            prompt = tokenizer.apply_chat_template(
                [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=True, return_tensors="pt"
            )
            assert prompt["input_ids"][0, 0] == tokenizer.convert_tokens_to_ids("<turn>")
            said.append(model.generate(**prompt, max_new_tokens=12, do_sample=False)[0].tolist())
    assert said[:6] == said[6:]


def test_llama_cpp_begins_its_answers_alike(finished: Finished, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="needs llama-cpp-python, which is compiled at installation")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = tutelage.export(finished("finetune_cot", "chat", False), tmp_path / "out", "float32", 0, "f16")
    tokenizer = AutoTokenizer.from_pretrained(made.path)
    model = AutoModelForCausalLM.from_pretrained(made.path)
    other = llama_cpp.Llama(str(made.gguf), n_ctx=256, verbose=False)
    for question in find_task("coin_flip?size=100").load("test")[:4]:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question.text}], add_generation_prompt=True, tokenize=False
        )
        ids = tokenizer(prompt, add_special_tokens=False).input_ids
        assert other.tokenize(prompt.encode(), add_bos=False, special=True) == ids
        reply = model.generate(**tokenizer(prompt, add_special_tokens=False, return_tensors="pt"), max_new_tokens=4)
        drawn = other.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0)
        assert [next(drawn) for _ in range(4)] == reply[0, len(ids) : len(ids) + 4].tolist()


STRINGS = [
    "Maya has 1234567 beads, 3.5 m and 20 % more.\n\n  She'll  count:\tone, TWO... (it's 7*8=56)!",
    "Ünïcödé 数字 12三 — naïve\r\n\r\n   end   ",
    "<turn>user\nWhat is 2 + 40?<end>\n",
]


@pytest.mark.parametrize(
    ("digits", "whole_words"), [(None, False), ("alone", False), ("", False), ("{1,3}", True)], ids=str
)
def test_llama_cpp_splits_text_alike(chat_student: Path, tmp_path: Path, digits: str | None, whole_words: bool) -> None:
    """Each split that is recognised by name is the one that llama.cpp makes under that name."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="needs llama-cpp-python, which is compiled at installation")
    from tokenizers import Tokenizer, pre_tokenizers, trainers

    source = json.loads((chat_student / "tokenizer.json").read_text())
    how = {None: BYTES, "alone": sequence(DIGITS, BYTES)}.get(digits) or sequence(
        split(by_words(digits or "")), UNSPLIT
    )
    raw = Tokenizer.from_str(json.dumps(source | {"pre_tokenizer": how}))
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<pad>", "<end>", "<turn>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    raw.train_from_iterator(STRINGS * 3, trainer)
    tokens = shutil.copytree(chat_student, tmp_path / "tokens")
    trained = json.loads(raw.to_str())
    trained["model"]["ignore_merges"] = whole_words
    (tokens / "tokenizer.json").write_text(json.dumps(trained))
    folder = made(tmp_path / "it", tokens, "Llama")
    other = llama_cpp.Llama(str(write_gguf(folder, "f16", "it")), vocab_only=True, verbose=False)
    ours = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in STRINGS:
        assert other.tokenize(text.encode(), add_bos=False, special=True) == ours.encode(text).ids, text


@pytest.mark.parametrize(("kind", "more"), [*ARCHITECTURES, ("Llama", {"rope_parameters": LLAMA3})])
def test_llama_cpp_computes_the_same(chat_student: Path, tmp_path: Path, kind: str, more: dict[str, Any]) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="needs llama-cpp-python, which is compiled at installation")
    import torch

    folder = made(tmp_path / "it", chat_student, kind, **more)
    whole = logits(folder)
    other = llama_cpp.Llama(str(write_gguf(folder, "f16", "it")), n_ctx=256, logits_all=True, verbose=False)
    other.eval(list(range(3, 60)))
    scores = torch.tensor(other.scores[:57])
    assert (scores - whole).norm() < 0.01 * whole.norm()


def go(template: str) -> str:
    """The few words of Go's template language that a Modelfile here uses, in Jinja's."""
    ends: list[str] = []

    def word(match: re.Match[str]) -> str:
        text = match.group(1)
        if text == "range .Messages":
            ends.append("endfor")
            return "{% for message in messages %}"
        if found := re.fullmatch(r'if eq \.Role "(\w+)"', text):
            ends.append("endif")
            return f"{{% if message.role == '{found.group(1)}' %}}"
        if text == "end":
            return f"{{% {ends.pop()} %}}"
        plain = {"else": "{% else %}", ".Role": "{{ message.role }}", ".Content": "{{ message.content }}"}
        return {**plain, ".Prompt": "{{ messages[-1].content }}", '"{{"': "{{ '{{' }}"}[text]

    return re.sub(r"\{\{ (.*?) \}\}", word, template)


DEFAULT = "<|im_start|>system\nYou are {{ helpful }}.<|im_end|>\n"
CHATML_TURN = "<|im_start|>user\n"
CHATML_END = "<|im_end|>\n<|im_start|>assistant\n"
TALK = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "And {{ two }} | `three`?"},
]


@pytest.mark.parametrize(
    ("format", "talk", "expected"),
    [
        (Format("", " ###", "", "<end>", ("<end>",)), TALK, "One? ### Yes.<end>And {{ two }} | `three`? ###"),
        (Format("<s>", " ###", "<s>", "</s>", ("</s>",)), TALK[-1:], "And {{ two }} | `three`? ###"),
        (
            Format(CHATML_TURN, CHATML_END, "", "<|im_end|>", ("<|im_end|>",)),
            TALK,
            "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n"
            "<|im_start|>user\nAnd {{ two }} | `three`?<|im_end|>\n<|im_start|>assistant\n",
        ),
        (Format("[{{Q}}] ", " [A] ", "", "</s>", ("</s>",)), TALK[-1:], "[{{Q}}] And {{ two }} | `three`? [A] "),
    ],
)
def test_the_modelfile_writes_the_prompt_of_the_chat_template(
    format: Format, talk: list[dict[str, str]], expected: str
) -> None:
    import jinja2

    text = modelfile.modelfile_text("it.gguf", format, 96)
    template = re.search(r'^TEMPLATE """(.*?)"""$', text, re.DOTALL | re.MULTILINE)
    assert template is not None
    environment = jinja2.Environment(keep_trailing_newline=True)
    assert environment.from_string(go(template.group(1))).render(messages=talk) == expected
    assert text.startswith("FROM ./it.gguf\n")
    assert f'PARAMETER stop "{format.stops[0]}"' in text
    assert "PARAMETER temperature 0\nPARAMETER repeat_penalty 1\nPARAMETER num_predict 96\n" in text


def test_a_default_system_message_goes_into_the_modelfile() -> None:
    text = modelfile.modelfile_text(
        "it.gguf", Format(DEFAULT + CHATML_TURN, CHATML_END, "", "<|im_end|>", ("<|im_end|>",)), 96
    )
    assert 'SYSTEM """You are {{ helpful }}."""\n' in text
    with pytest.raises(ModelError, match="no Modelfile can"):
        modelfile.modelfile_text("it.gguf", Format('"""', "", "", "</s>", ()), 96)
