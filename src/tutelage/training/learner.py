"""The student that is trained: its weights and tokenizer, what of it learns, and how it is kept."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError

from tutelage.errors import LessonError, RunError
from tutelage.models.local import templates, weights
from tutelage.models.local.pretrained import LanguageModel, Tokenizer
from tutelage.training.layout import causal_of
from tutelage.training.settings import LoraConfig, TrainingConfig
from tutelage.types import JsonObject

_PLAIN = 1024  # tokens up to which plain attention is faster on a CPU; its memory grows with their square


def begin_with(student: JsonObject, config: TrainingConfig, products: str) -> tuple[LanguageModel, Tokenizer, set[int]]:
    """The student's weights, its tokenizer with the template that it is taught and examined with, and what ends a reply.

    What is trained is float32; `products` is what weights are kept in that are not, unless the settings say.
    """
    trust = bool(student.get("trust_remote_code", False))
    base = kept_in(config, products)
    model, tokenizer = _load(student["name"], Path(student["cache"]), trust, config.lora, base)
    templates.prepare(tokenizer)
    if config.template == "paper" or not tokenizer.chat_template:
        templates.install_paper_template(tokenizer)
    return model, tokenizer, templates.stop_ids(tokenizer, model.generation_config)


def kept_in(config: TrainingConfig, products: str) -> torch.dtype:
    """What a student's weights are kept in: those that are trained in float32. Of a base in four bits, what is not."""
    lora = config.lora
    half = lora is not None and (products if lora.base in ("auto", "nf4") else lora.base) == "bfloat16"
    return torch.bfloat16 if half else torch.float32


def _load(
    name: str, cache: Path, trust: bool, lora: LoraConfig | None, base: torch.dtype
) -> tuple[LanguageModel, Tokenizer]:
    """The student to train. An adapter is trained on as the adapter it is, so that what is saved stands on the same base."""
    four_bits = lora is not None and lora.base == "nf4"
    if lora is None or not weights.is_adapter(name):
        return weights.load(name, base, cache, trust, four_bits)
    model, tokenizer = weights.load_adapter(name, base, cache, trust, train=True, four_bits=four_bits)
    rank = model.peft_config["default"].r
    if rank != lora.r:
        raise LessonError(
            f"the student {name} is an adapter of rank {rank}, and training.lora.r is {lora.r}: training goes on with the "
            "adapter as it is, so give its rank, or begin from another student"
        )
    return model, tokenizer


def ready(model: LanguageModel, config: TrainingConfig, device: str, longest: int) -> LanguageModel:
    """Choose what is trained, and how it attends on a device; `longest` is the longest lesson in tokens."""
    if config.gradient_checkpointing and not getattr(model, "supports_gradient_checkpointing", False):
        raise LessonError(
            f"training.gradient_checkpointing: {type(model).__name__} cannot compute its layers again; leave it out"
        )
    attend(model, config.attention, device, longest)
    if config.lora is not None and not hasattr(model, "peft_config"):
        model = with_adapters(model, config.lora)
    return model


def in_its_own_kind(model: LanguageModel, products: str) -> AbstractContextManager[object]:
    """Where products are rounded to bfloat16 anyhow, let adapters take their inputs as they come, and not as copies in float32.

    Nothing that is computed changes; layers that read the same input then hold it once for the way back, and in half the bytes.
    """
    if products != "bfloat16" or not hasattr(model, "peft_config"):
        return nullcontext()
    from peft.helpers import disable_input_dtype_casting

    return disable_input_dtype_casting(model)


def frozen_in(model: LanguageModel) -> JsonObject:
    """What the weights that are not trained are kept in, where there are any."""
    frozen = [one for one in model.parameters() if not one.requires_grad]
    kinds = {"nf4" if hasattr(one, "quant_state") else str(one.dtype).removeprefix("torch.") for one in frozen}
    return {"frozen_in": ", ".join(sorted(kinds))} if kinds else {}


def attend(model: LanguageModel, how: str, device: str, longest: int) -> None:
    """Let a model compute its attention as the settings say, or as the device does it best for lessons of so many tokens."""
    if how == "auto":
        if device != "cpu" or longest > _PLAIN:
            return
        how = "eager"  # on a CPU fused attention's backward pass is slower than plain products at lesson lengths
    try:
        model.set_attn_implementation(how)
    except (ValueError, ImportError) as error:
        raise LessonError(f"training.attention={how}: this student cannot have it here: {error}") from error


def with_adapters(model: LanguageModel, config: LoraConfig) -> LanguageModel:
    """A model with new adapters, which alone are trained."""
    from peft import LoraConfig as Adapters
    from peft import get_peft_model

    adapters = Adapters(
        r=config.r,
        lora_alpha=int(config.alpha) if config.alpha == int(config.alpha) else config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=config.targets,
        task_type="CAUSAL_LM",
        exclude_modules=_past_adapters(model) or None,
    )
    return get_peft_model(model, adapters)


def _past_adapters(model: LanguageModel) -> list[str]:
    """Layers of a Mamba block whose weights a fused kernel reads by itself: an adapter there would be learned for nothing."""
    blocks = [name for name, module in model.named_modules() if hasattr(module, "A_log") and hasattr(module, "D")]
    return [f"{name}.{layer}" for name in blocks for layer in ("out_proj", "conv1d")]


def write_student(
    model: LanguageModel,
    tokenizer: Tokenizer,
    stops: set[int],
    folder: Path,
    whole: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write weights and tokenizer; whoever generates with them stops where training put the stop token.

    `whole` are the weights by name where the model holds shares of them.
    """
    target = causal_of(model)
    target.generation_config.eos_token_id = sorted(stops)
    target.generation_config.pad_token_id = tokenizer.pad_token_id
    try:
        with weights.quiet():
            model.save_pretrained(folder, **({"state_dict": dict(whole)} if whole is not None else {}))
    except SafetensorError as error:  # how a full disk shows here
        raise RunError(
            f"cannot write the student into {folder}: {error}. Finished steps are kept; make room and run the same command again"
        ) from error
    target.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "student.json").write_text(json.dumps({"form": "taught"}))
