"""The tokenizer of an exported student in a GGUF file: tokens, merges, special tokens, and how text is split."""

import json
from pathlib import Path
from typing import Any

from tutelage.errors import ModelError
from tutelage.types import JsonObject

# How a byte-level tokenizer splits text before its merges -> the name that llama.cpp knows it by.
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {
    f"{_WORDS}\\p{{N}}{_REST}": "qwen2",
    f"{_WORDS}\\p{{N}}{{1,3}}{_REST}": "llama-bpe",
}


def add(writer: Any, folder: Path, size: int) -> None:
    """Add the tokenizer of an exported folder to a GGUF writer, filled up to `size` tokens."""
    import gguf

    tokenizer = _json(folder / "tokenizer.json")
    tokens, kinds = _tokens(tokenizer, size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_name(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=size)
    special.add_special_token.setdefault("bos", False)  # else llama.cpp decides by the name of the split
    ids, stops = special.special_token_ids, _json(folder / "generation_config.json")["eos_token_id"]
    stops = stops if isinstance(stops, list) else [stops]
    eos = ids.setdefault("eos", stops[0])
    ids.setdefault("bos", eos)  # else llama.cpp takes token 11
    for stop in stops:
        if stop != eos:
            ids.setdefault("eot", stop)  # the file has room for one more token that ends a turn
    special.add_to_gguf(writer, quiet=True)


def split_name(tokenizer: JsonObject) -> str:
    """What llama.cpp calls the way a tokenizer.json splits text; one that it has no name for here is an error."""
    model, normalizer = tokenizer["model"], tokenizer.get("normalizer") or {"type": "NFC"}
    name = _split(tokenizer.get("pre_tokenizer") or {})
    # llama.cpp takes a whole word that is a token without merging it in this one split only.
    whole_words = bool(model.get("ignore_merges")) == (name == "llama-bpe")
    if model["type"] != "BPE" or normalizer["type"] != "NFC" or not name or not whole_words:
        raise ModelError(
            "the tokenizer splits text in a way that --gguf does not know (it knows the byte-level ones of GPT-2, SmolLM, "
            "Qwen2 and Llama 3). Export without --gguf, and convert the folder with llama.cpp's convert_hf_to_gguf.py"
        )
    return name


def _split(how: JsonObject) -> str:
    parts = how["pretokenizers"] if how.get("type") == "Sequence" else [how]
    kinds = [part.get("type") for part in parts]
    last = parts[-1]
    if kinds[-1:] != ["ByteLevel"] or last.get("add_prefix_space"):
        return ""
    if last.get("use_regex", True):
        digits = kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits")
        return "gpt-2" if kinds == ["ByteLevel"] else "smollm" if digits else ""
    plain = kinds == ["Split", "ByteLevel"] and parts[0].get("behavior") == "Isolated" and not parts[0].get("invert")
    return _SPLITS.get(parts[0]["pattern"].get("Regex", ""), "") if plain else ""


def _tokens(tokenizer: JsonObject, size: int) -> tuple[list[str], list[int]]:
    """Every token with its kind; ids that no token has are filled with unused ones."""
    from gguf import TokenType

    words = {number: word for word, number in tokenizer["model"]["vocab"].items()}
    added = {token["id"]: token for token in tokenizer["added_tokens"]}
    words |= {number: token["content"] for number, token in added.items()}
    tokens = [words.get(number, f"[PAD{number}]") for number in range(size)]
    kinds = [int(TokenType.NORMAL if number in words else TokenType.UNUSED) for number in range(size)]
    for number, token in added.items():
        mark = token["special"] or (token["content"].startswith("<|") and token["content"].endswith("|>"))
        kinds[number] = int(TokenType.CONTROL if mark else TokenType.USER_DEFINED)
    return tokens, kinds


def _json(file: Path) -> JsonObject:
    loaded: JsonObject = json.loads(file.read_text(encoding="utf-8"))
    return loaded
