"""What memory a training needs, found before any weights are loaded: the student's own code is run on tensors that hold nothing."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tutelage.models.local import weights
from tutelage.models.local.pretrained import LanguageModel
from tutelage.training import arguments, heads, layout, learner, sharding
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject

# Bytes of an optimiser's state a trained weight; where a name is not known, AdamW's.
_STATE = {"sgd": 0, "adafactor": 0, "lion": 4, "adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "lion_8bit": 1, "paged_lion_8bit": 1}  # fmt: skip
_ADAMW = 8
# Bytes of a weight in four bits: a scale of eight bits for 64 of them, and one of 32 bits for 256 of these.
_FOUR_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
# What was measured over what the layers' own tensors take: 1.34 to 1.37 times on a GPU, students of 0.5B to 7B (LOG.md, 2026-11-27).
_MEASURED = 1.36


class Needs(NamedTuple):
    """The memory of a training, in bytes, with lessons of so many tokens."""

    tokens: int  # of a lesson, as far as the student holds them
    weights: int
    gradients: int
    optimizer: int
    layers: int  # what the layers hold for the way back
    logits: int
    parameters: int = 0  # how many weights there are
    gathered: int = 0  # what a process puts together for a moment, where it holds only its share of the student

    @property
    def total(self) -> int:
        """All of it together."""
        return self.weights + self.gradients + self.optimizer + self.layers + self.logits

    def cut(self, size: int) -> "Needs":
        """What each of so many processes needs that cut the student among them."""
        share = {name: -(-getattr(self, name) // size) for name in ("weights", "gradients", "optimizer")}
        return self._replace(**share | {"weights": share["weights"] + self.gathered})


def needs(student: JsonObject, config: TrainingConfig, device: str, lines: int, tokens: int) -> Needs:
    """What the training of a student (`name`, `cache`, …) needs on a kind of device for so many lessons at once of so many tokens, or as
    many as the student holds.

    An estimate: weights, gradients and the optimiser's state are counted, what the layers
    hold is counted and multiplied by what a GPU was seen to take for it. Raises whatever the model's own code says to tensors that hold nothing.
    """
    products = arguments.products(config, device)
    with weights.quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = _outlined(student, config, products)
        causal = layout.causal_of(model)
        tokens = min(tokens, weights.room_of(causal.config))
        learner.attend(causal, config.attention, device, tokens)
        with learner.in_its_own_kind(model, products):
            held = _held(causal, lines, tokens, products)
    layers = int(getattr(causal.config.get_text_config(), "num_hidden_layers", 1))
    if config.gradient_checkpointing:  # the input of each, and one of them in full
        states = lines * tokens * int(causal.config.get_text_config().hidden_size) * (2 if config.lora else 4)
        held = held // layers + layers * states
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return Needs(
        tokens=tokens,
        weights=_weights(causal, model, config),
        gradients=4 * trained,
        optimizer=_STATE.get(config.optimizer, _ADAMW) * trained,
        layers=int(_MEASURED * held),
        logits=_logits(causal, lines, tokens),
        parameters=sum(one.numel() for one in model.parameters()),
        gathered=_gathered(causal),
    )


def _gathered(causal: LanguageModel) -> int:
    """Bytes of what is whole at once in a student that is cut: two layers, and what lies outside of them with its gradient."""

    def size(module: torch.nn.Module) -> int:
        return sum(one.numel() * (one.element_size() + 4 * one.requires_grad) for one in module.parameters())

    layers = [size(layer) for layer in sharding.layers_of(causal)]
    return size(causal) - sum(layers) + 2 * max(layers, default=0)


def _weights(causal: LanguageModel, model: LanguageModel, config: TrainingConfig) -> int:
    """Bytes of all weights. A base in four bits keeps its linear layers so, but for the last."""
    whole = sum(int(one.numel() * one.element_size()) for one in model.parameters())
    if config.lora is None or config.lora.base != "nf4":
        return whole
    last = causal.get_output_embeddings()
    linear = [one for one in causal.modules() if isinstance(one, torch.nn.Linear) and one is not last]
    frozen = [one.weight for one in linear if not one.weight.requires_grad]
    return whole - sum(int(one.numel() * (one.element_size() - _FOUR_BITS)) for one in frozen)


def _outlined(student: JsonObject, config: TrainingConfig, products: str) -> LanguageModel:
    """The student as it would be trained, of weights that take no memory."""
    trust = bool(student.get("trust_remote_code", False))
    stated, _ = weights.outline(student["name"], Path(student["cache"]), trust)
    reader = weights.reader_of(student["name"], stated)
    with torch.device("meta"):
        model = reader.from_config(stated, dtype=learner.kept_in(config, products), trust_remote_code=trust)
    model.train()
    return learner.with_adapters(model, config.lora) if config.lora else model


def _held(causal: LanguageModel, lines: int, tokens: int, products: str) -> int:
    """Bytes of the tensors that a pass of the decoder keeps for its way back, each once, and none that is a weight."""
    decoder = causal.get_decoder()
    decoder = decoder if hasattr(decoder, "config") else causal.base_model  # some call another part so
    with FakeTensorMode() as mode:
        given = _hollow(decoder, mode)
        ids = torch.zeros(lines, tokens, dtype=torch.long)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
        amp = torch.autocast("cpu", dtype=torch.bfloat16, enabled=products == "bfloat16")
        with holding() as kept, amp:
            torch.func.functional_call(decoder, given, (), inputs)
    return bytes_of(kept, given.values())


@contextmanager
def holding() -> Iterator[dict[int, torch.UntypedStorage]]:
    """What is computed inside keeps for its way back: each memory once, by its place."""
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(one: torch.Tensor) -> torch.Tensor:
        storage = one.untyped_storage()
        kept[storage._cdata] = storage
        return one

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda one: one):
        yield kept


def bytes_of(kept: Mapping[int, torch.UntypedStorage], but: Iterable[torch.Tensor] = ()) -> int:
    """The bytes of what was kept, but for what these tensors hold anyhow."""
    own = {one.untyped_storage()._cdata for one in but}
    return sum(storage.nbytes() for place, storage in kept.items() if place not in own)


def _hollow(module: torch.nn.Module, mode: FakeTensorMode) -> dict[str, torch.Tensor]:
    """A module's weights and buffers as tensors that hold nothing, on a CPU for all that its code can see."""
    named = [*module.named_parameters(), *module.named_buffers()]
    with mode:
        return {name: torch.empty(one.shape, dtype=one.dtype).requires_grad_(one.requires_grad) for name, one in named}


def _logits(causal: LanguageModel, lines: int, tokens: int) -> int:
    """Logits in their own precision and in float32, their logarithms, and the gradient; in pieces where they are many."""
    if not heads.too_many(causal, lines, tokens):
        return 14 * lines * tokens * heads.vocabulary_of(causal)
    head = causal.get_output_embeddings()
    trained = head.weight.numel() if head is not None and head.weight.requires_grad else 0
    return 14 * (heads.PIECE // 4) + 4 * trained  # a gradient that is added up on the way, beside the weight's own
