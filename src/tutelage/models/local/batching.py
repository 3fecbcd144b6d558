"""How many rows a batch has: what memory holds, and sizes that are even."""

import math
from typing import Any

from tutelage.models.local.devices import free_memory
from tutelage.models.local.pretrained import LanguageModel

FEWEST = 8  # rows of a batch below which sharing it out gains little


def even(count: int, rows: int, stretch: bool, engines: int = 1, fewest: int = 1) -> int:
    """Rows of batches of one size for `count` questions, since a small last batch takes nearly as long as a full one.

    At most `rows`, or with `stretch` up to half as many more, where that saves a batch. Several engines have equally many
    batches each, unless these would come to have fewer rows than `fewest`.
    """
    batches = max(1, round(count / rows) if stretch else math.ceil(count / rows))
    batches = max(batches, min(batches + -batches % engines, math.ceil(count / fewest)))
    return max(1, math.ceil(count / batches))


_MOST = {"cpu": 64, "cuda": 256}  # more rows at once gain nothing


def fitting(model: LanguageModel, length: int, sharing: int = 1) -> int:
    """How many rows of this many tokens a batch may have: half of what is free in memory, by powers of two.

    So many processes share what a CPU has.
    """
    config, kind = model.config.get_text_config(), model.device.type
    layers = getattr(config, "per_layer_config", None) or [config] * config.num_hidden_layers
    # Keys and values of every layer (a recurrent state is as large as those of some hundred tokens), and the scores of
    # the next token in float32 with their sorted copy.
    row = sum(map(_keys, layers)) * 2 * max(length, 256) * model.dtype.itemsize + 12 * config.vocab_size
    free = free_memory(kind) // (sharing if kind == "cpu" else 1)
    rows = _MOST.get(kind, 32)
    while rows > 1 and rows * row > free // 2:
        rows //= 2
    return rows


def _keys(layer: Any) -> int:
    """How many numbers are the keys of one token in a layer with this config."""
    heads = getattr(layer, "num_attention_heads", None) or 1
    width = getattr(layer, "head_dim", None) or layer.hidden_size // heads
    return int((getattr(layer, "num_key_value_heads", None) or heads) * width)
