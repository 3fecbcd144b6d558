"""Writing a student as a folder that plain transformers loads and that answers as it did in its exam."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers import GenerationConfig

from tutelage.config import cache_folder
from tutelage.errors import RunError
from tutelage.exporting.modelfile import Format
from tutelage.exporting.source import Source
from tutelage.models.local import precision, templates, weights
from tutelage.models.local.devices import choose_device
from tutelage.models.local.pretrained import Tokenizer
from tutelage.types import Message

_ASKED = "\u2e28the question\u2e29"  # stands for a question where a template is probed


class Saved(NamedTuple):
    """What was written."""

    dtype: str
    parameters: int
    format: Format


def save(source: Source, folder: Path, dtype: str) -> Saved:
    """Write the weights as safetensors, an adapter merged into its base, with tokenizer, chat template and stop tokens."""
    options = source.options()
    wanted = getattr(torch, _exam_dtype(source) if dtype == "exam" else dtype)
    trust = bool(options.get("trust_remote_code", False))
    model, tokenizer = weights.load(str(source.student), wanted, cache_folder(), trust)
    templates.prepare(tokenizer)
    stops = sorted(templates.stop_ids(tokenizer, model.generation_config))
    model.generation_config = _generation(tokenizer, stops, source.setup.sampling.max_tokens)
    room = weights.room_of(model.config)
    if source.setup.sampling.flexible and source.setup.sampling.max_tokens >= room:
        # As in the exam, an answer ends where the model does.
        model.generation_config.max_new_tokens, model.generation_config.max_length = None, room
    try:
        with weights.quiet():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except SafetensorError as error:  # how a full disk shows here
        raise RunError(
            f"cannot write the student into {folder}: {error}; make room and run the same command again"
        ) from error
    return Saved(
        dtype=str(wanted).removeprefix("torch."),
        parameters=model.num_parameters(),
        format=_format(tokenizer, stops),
    )


def _exam_dtype(source: Source) -> str:
    """The dtype in which the student sat its exams: what the run says, or what this machine would choose."""
    options = source.options()
    named = str(options.get("dtype", "auto"))
    if named != "auto":
        return named
    settled = str(source.run.facts.get("settled", {}).get("decoding", ""))
    return settled or precision.choose("decoding", choose_device(options.get("device", "auto")))


def _generation(tokenizer: Tokenizer, stops: list[int], most: int) -> Any:
    """Greedy, as in the exam, and nothing else: a base model's own settings may hold a penalty that changes answers."""
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=stops,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def _format(tokenizer: Tokenizer, stops: list[int]) -> Format:
    before, _, after = templates.prompt_text(tokenizer, [Message("user", _ASKED)]).partition(_ASKED)
    begins = tokenizer.bos_token_id is not None and tokenizer("x").input_ids[:1] == [tokenizer.bos_token_id]
    return Format(
        before=before,
        after=after,
        bos=tokenizer.bos_token if begins else "",
        eos=tokenizer.eos_token,
        stops=tuple(tokenizer.convert_ids_to_tokens(stops)),
    )
