"""A tiny random model of every architecture that today's students come in, by the name of its config."""

import shutil
from pathlib import Path
from typing import Any

VOCABULARY = 600
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1}
_SIZES = {
    **_TOKENS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
}
_HEAD = {"head_dim": 8}
_FOUR = {"num_hidden_layers": 4}
_EXPERTS = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
}
_WINDOW = {"sliding_window": 24}  # shorter than the prompts of the tests
_DROP = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "dropout": 0.0}  # chance is no part of a comparison
_GPT = {**_TOKENS, "bos_token_id": None, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, **_DROP}
_LATENT = {
    **_HEAD,
    **_EXPERTS,
    "num_key_value_heads": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
_DELTA = {
    **_HEAD,
    **_FOUR,
    "layer_types": ["linear_attention", "full_attention"] * 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
_MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}
_MIXED = ["mamba", "hybrid", "mamba", "hybrid"]
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_VISION = {
    "depth": 1,
    "hidden_size": 32,
    "out_hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
}
_MROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}}
_TEXT = {**_SIZES, **_HEAD}

# Attention alone.
ATTENTION: dict[str, dict[str, Any]] = {
    "llama": _SIZES,
    "mistral": {**_SIZES, **_WINDOW},
    "qwen2": _SIZES,
    "qwen3": {**_SIZES, **_HEAD},
    "qwen3_moe": {**_SIZES, **_HEAD, **_EXPERTS},
    "gemma2": {**_SIZES, **_HEAD, **_WINDOW, "query_pre_attn_scalar": 8},
    "gemma3": {
        **_TOKENS,
        "text_config": {**_TEXT, **_WINDOW, "num_hidden_layers": 6},
        "vision_config": _VISION,
        "mm_tokens_per_image": 4,
    },
    "gemma4": {
        **_TOKENS,
        "text_config": {
            **_TEXT,
            **_WINDOW,
            "num_hidden_layers": 6,
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 8,
        },
        "vision_config": None,
        "audio_config": None,
    },
    "granite": _SIZES,
    "phi3": _SIZES,
    "smollm3": _SIZES,
    "olmo3": {**_SIZES, **_FOUR, **_WINDOW},
    "cohere2": {**_SIZES, **_FOUR, **_WINDOW},
    "exaone4": {**_SIZES, **_FOUR, **_WINDOW},
    "gpt_oss": {**_SIZES, **_HEAD, **_WINDOW, **_EXPERTS},
    "deepseek_v3": {**_SIZES, **_LATENT},
    "llama4_text": {
        **_SIZES,
        **_HEAD,
        **_FOUR,
        **_EXPERTS,
        "attention_chunk_size": 24,
        "intermediate_size_mlp": 64,
    },
    "modernbert-decoder": {
        **_SIZES,
        **_FOUR,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "sep_token_id": 1,
        "local_attention": 24,
    },
    "gpt2": _GPT,
    "gpt_neo": {
        **_TOKENS,
        "bos_token_id": None,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 24,
        "max_position_embeddings": 512,
    },
    "gptj": {**_GPT, "rotary_dim": 4},
    "gpt_neox": _SIZES,
    "opt": {**_SIZES, "ffn_dim": 64, "dropout": 0.0, "word_embed_proj_dim": 32},
    "bloom": {**_TOKENS, "bos_token_id": None, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "mpt": {**_TOKENS, "bos_token_id": None, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 512},
    "openai-gpt": _GPT,
    "mistral3": {
        **_TOKENS,
        "text_config": {**_TEXT, "model_type": "mistral"},
        "vision_config": {**_VISION, "head_dim": 16, "model_type": "pixtral"},
    },
    "qwen2_5_vl": {**_TOKENS, "text_config": {**_TEXT, **_MROPE}, "vision_config": _QWEN_VISION},
    "qwen3_vl": {**_TOKENS, "text_config": {**_TEXT, **_MROPE}, "vision_config": _QWEN_VISION},
}

# A recurrent state, alone or beside attention.
RECURRENT: dict[str, dict[str, Any]] = {
    "qwen3_5": {**_TOKENS, "text_config": {**_TEXT, **_DELTA}, "vision_config": _QWEN_VISION},
    "qwen3_next": {**_SIZES, **_DELTA, **_EXPERTS, "shared_expert_intermediate_size": 32},
    "olmo_hybrid": {**_SIZES, **_DELTA},
    "lfm2": {
        **_SIZES,
        **_FOUR,
        "layer_types": ["conv", "full_attention"] * 2,
        "block_ff_dim": 64,
        "block_auto_adjust_ff_dim": False,
    },
    "granitemoehybrid": {
        **_SIZES,
        **_FOUR,
        **_MAMBA2,
        **_EXPERTS,
        "layer_types": ["mamba", "attention"] * 2,
        "mamba_expand": 2,
        "shared_intermediate_size": 32,
    },
    "mamba": {**_TOKENS, "bos_token_id": None, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "mamba2": {
        **_TOKENS,
        "bos_token_id": None,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 8,
        "num_heads": 4,
        "head_dim": 16,
        "n_groups": 1,
        "chunk_size": 16,
    },
    "falcon_mamba": {**_TOKENS, "bos_token_id": None, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    "falcon_h1": {**_SIZES, **_HEAD, **_MAMBA2, "mamba_d_ssm": 64},
    "bamba": {**_SIZES, **_FOUR, **_MAMBA2, "attn_layer_indices": [1, 3]},
    "zamba": {
        **_SIZES,
        **_FOUR,
        "mamba_d_state": 8,
        "n_mamba_heads": 2,
        "layers_block_type": _MIXED,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
    },
    "zamba2": {
        **_SIZES,
        **_FOUR,
        "mamba_d_state": 8,
        "n_mamba_heads": 4,
        "mamba_ngroups": 1,
        "mamba_headdim": 16,
        "layers_block_type": _MIXED,
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
        "num_mem_blocks": 1,
        "use_mem_rope": True,
        "chunk_size": 16,
        "adapter_rank": 4,
    },
    "jamba": {
        **_SIZES,
        **_FOUR,
        **_EXPERTS,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "nemotron_h": {
        **_SIZES,
        **_FOUR,
        **_HEAD,
        "layers_block_type": ["mamba", "attention"] * 2,
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "ssm_state_size": 8,
        "n_groups": 1,
        "chunk_size": 16,
        "use_mamba_kernels": False,
    },
    "recurrent_gemma": {
        **_SIZES,
        **_HEAD,
        "num_hidden_layers": 3,
        "lru_width": 32,
        "attention_window_size": 24,
        "block_types": ["recurrent", "recurrent", "attention"],
    },
    "minimax": {**_SIZES, **_HEAD, **_EXPERTS, "block_size": 16},
    "rwkv": {
        **_TOKENS,
        "bos_token_id": None,
        "hidden_size": 32,
        "attention_hidden_size": 32,
        "num_hidden_layers": 2,
        "context_length": 512,
    },
    "xlstm": {
        **_TOKENS,
        "bos_token_id": 2,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_heads": 4,
        "num_blocks": 2,
        "qk_dim_factor": 1.0,
        "v_dim_factor": 1.0,
        "chunk_size": 16,
    },
}
ALL = {**ATTENTION, **RECURRENT}


def row(name: str, way: Any, apart: str) -> str:
    """What was found of an architecture, as a line of the table in docs/students.md."""
    answers = {"rows": "one cache, rows leave as they end", "whole": "own state, read again as rows end"}
    said = answers.get(way.keeping, "no cache: every token reads its row again")
    batch = "any lengths" if way.padded else "one length"
    learns = "one row" if not apart else "three rows"
    if apart.startswith("padding"):
        learns += ", padded on the right"
    return f"| `{name}` | {batch} | {said} | {learns} |"


def main() -> None:
    """Print the table: every architecture is made, read and laid out once."""
    import tempfile

    import torch
    from tests.conftest import make_student

    from tutelage.models.local import ability, weights
    from tutelage.training import layout
    from tutelage.training.examples import Branch
    from tutelage.training.rows import Row, RowPart

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = make_student(Path(folder) / "tokenizer", chat=False)
        print("| Architecture | A batch of | Answering | Self-reflection |\n|---|---|---|---|")
        for name in ALL:
            model, _ = weights.load(str(make(name, tokenizer, Path(folder) / name)), torch.float32, Path(folder))
            prompt = Branch(list(range(3, 90)))
            ends = [list(range(90, 100)), [100, 101, 102], [103, 104, 105, 106]]
            shown = Row({"it": [RowPart(str(end), Branch(end, prompt)) for end in ends]})
            print(row(name, ability.measure(model), layout.why_apart(model, [shown], 0)))


def make(name: str, tokenizer: Path, folder: Path) -> Path:
    """A student of an architecture, with the tokenizer in another student's folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **ALL[name])
    reader = AutoModelForCausalLM if name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else AutoModelForImageTextToText
    model = reader.from_config(config)
    with torch.no_grad():
        for where, weights in model.named_parameters():
            # Fresh weights are so small that every token is as likely as the next, and fresh biases are zero, which
            # would hide what leaks out of padding.
            if (weights.ndim > 1 and weights.std() < 0.05) or (weights.ndim == 1 and where.endswith("bias")):
                weights.normal_(0, 0.15)
    model.float().save_pretrained(folder)
    for file in tokenizer.glob("*token*"):
        shutil.copy(file, folder)
    return folder


if __name__ == "__main__":
    main()
