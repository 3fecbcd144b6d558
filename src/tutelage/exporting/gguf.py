"""An exported student as one GGUF file, for llama.cpp and what is built on it."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.errors import ConfigError, ModelError, nearest
from tutelage.exporting import gguf_vocabulary
from tutelage.types import JsonObject

KINDS = ("f16", "q8_0")
ARCHITECTURES = {"LlamaForCausalLM": "LLAMA", "Qwen2ForCausalLM": "QWEN2", "Qwen3ForCausalLM": "QWEN3"}
_ELSEWHERE = "Export without --gguf, and convert the folder with llama.cpp's convert_hf_to_gguf.py"


class Tensor(NamedTuple):
    """One tensor of the file, not yet read."""

    name: str
    shape: list[int]
    kind: Any  # gguf.GGMLQuantizationType
    file: Path | None  # of the weights, and the name there
    key: str
    heads: int  # whose rows llama.cpp wants in another order; 0: as they are


def check_gguf_kind(kind: str | None) -> None:
    """Refuse a kind that is not written here."""
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"--gguf {kind}: {nearest(kind, KINDS)}")


def check_student(folder: Path) -> None:
    """Refuse, before anything is written, a student whose architecture has no place in such a file."""
    if (folder / "config.json").exists():  # an adapter has none before it is merged
        _architecture(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def write_gguf(folder: Path, kind: str, name: str) -> Path:
    """Write the exported student in `folder` as `NAME.KIND.gguf` beside it, tensor by tensor; returns the file."""
    import gguf
    import numpy as np

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    architecture = gguf.MODEL_ARCH[_architecture(config)]
    file = folder / f"{name}.{kind}.gguf"
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[architecture])
    _describe(writer, config, kind, name)
    gguf_vocabulary.add(writer, folder, config["vocab_size"])
    tensors = list(_tensors(folder, config, gguf.get_tensor_name_map(architecture, config["num_hidden_layers"]), kind))
    for tensor in tensors:
        block, size = gguf.GGML_QUANT_SIZES[tensor.kind]
        count = math.prod(tensor.shape)
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), count // block * size, tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(_data(tensor, config))
    writer.close()
    return file


def _architecture(config: JsonObject) -> str:
    """The architecture's name in gguf; whatever its file could not say about the model is an error."""
    name = config["architectures"][0]
    rope = config.get("rope_parameters") or {}
    scaling = rope.get("rope_type", "default")
    if name not in ARCHITECTURES:
        raise ModelError(
            f"--gguf does not know the architecture {name} (it knows {', '.join(ARCHITECTURES)}). {_ELSEWHERE}"
        )
    if scaling != "default" and (scaling, name) != ("llama3", "LlamaForCausalLM"):
        raise ModelError(f"--gguf does not know the rope scaling {scaling!r} of {name}. {_ELSEWHERE}")
    if config.get("hidden_act", "silu") != "silu" or config.get("use_sliding_window"):
        raise ModelError(
            f"--gguf does not know {name} with another activation than silu or a sliding window. {_ELSEWHERE}"
        )
    return ARCHITECTURES[name]


def _describe(writer: Any, config: JsonObject, kind: str, name: str) -> None:
    """The metadata that says how the tensors are used."""
    import gguf

    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.upper()}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(_head(config))
    writer.add_key_length(_head(config))
    writer.add_value_length(_head(config))


def _head(config: JsonObject) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _tensors(folder: Path, config: JsonObject, names: Any, kind: str) -> Iterator[Tensor]:
    """Every tensor under the name and in the type it has in the file: matrices in `kind`, the rest in float32."""
    import gguf
    from safetensors import safe_open

    types = gguf.GGMLQuantizationType
    heads = config["num_attention_heads"]
    turned = {"q_proj": heads, "k_proj": config.get("num_key_value_heads") or heads}
    if config["rope_parameters"].get("rope_type", "default") == "llama3":
        yield Tensor("rope_freqs.weight", [_head(config) // 2], types.F32, None, "", 0)
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for key in sorted(weights.keys()):
                if key == "lm_head.weight" and config.get("tie_word_embeddings"):
                    continue
                name = names.get_name(key, try_suffixes=(".weight", ".bias"))
                if name is None:
                    raise ModelError(f"--gguf has no place for the tensor {key} of {folder}. {_ELSEWHERE}")
                shape = weights.get_slice(key).get_shape()
                fits = kind == "q8_0" and shape[-1] % gguf.GGML_QUANT_SIZES[types.Q8_0][0] == 0
                matrix = types.Q8_0 if fits else types.F16
                llama = config["architectures"][0] == "LlamaForCausalLM"
                of = turned.get(key.split(".")[-2], 0) if llama else 0
                yield Tensor(name, shape, matrix if len(shape) > 1 else types.F32, file, key, of)


def _data(tensor: Tensor, config: JsonObject) -> Any:
    """The numbers of a tensor as they stand in the file."""
    import gguf
    import numpy as np
    from safetensors import safe_open

    if tensor.file is None:
        return np.asarray(_stretch(config), dtype=np.float32)
    with safe_open(tensor.file, framework="pt") as weights:
        values = weights.get_tensor(tensor.key).float().numpy()
    if tensor.heads:  # llama.cpp rotates neighbours, transformers the two halves of a head
        halves = values.reshape(tensor.heads, 2, -1, *values.shape[1:])
        values = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    with np.errstate(over="ignore"):
        data = gguf.quants.quantize(values, tensor.kind)
    if data.dtype == np.float16 and not np.isfinite(data).all():
        raise ModelError(f"the tensor {tensor.key} holds numbers beyond what float16 can say. {_ELSEWHERE}, as bf16")
    return data


def _stretch(config: JsonObject) -> list[float]:
    """By how much each rotation is slowed under Llama 3's scaling for long contexts."""
    rope, size = config["rope_parameters"], _head(config)
    low, high = rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    whole, factor = rope["original_max_position_embeddings"], rope["factor"]
    stretched = []
    for place in range(0, size, 2):
        length = 2 * math.pi * rope["rope_theta"] ** (place / size)
        between = min(1.0, max(0.0, (whole / length - low) / (high - low)))
        stretched.append(1 / ((1 - between) / factor + between))
    return stretched
