"""What a model has read: a batch of rows, and what it keeps of them so that nothing is read twice."""

import inspect
from typing import Any, Literal, NamedTuple

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DummyLayer, DynamicLayer, DynamicSlidingWindowLayer

from tutelage.errors import ModelError
from tutelage.models.local import kernels
from tutelage.models.local.pretrained import ModelConfig

Keeping = Literal["rows", "whole", "nothing"]


class Way(NamedTuple):
    """How a model is to be read so that each row gets the answer that it would get alone; see `ability.measure`."""

    # "rows": transformers' cache, in which rows can be repeated and left out. "whole": the model's own state, which is
    # only handed back as it came. "nothing": every token reads its whole row again.
    keeping: Keeping = "rows"
    padded: bool = True  # rows of different lengths may share a batch, padded on the left


class PreallocatedLayer(DynamicLayer):
    """Keys and values of one layer with room for what will come: a new token is written, where a plain layer copies all."""

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: torch.Tensor
        self.values: torch.Tensor
        self.room = room
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep new keys and values (rows x heads x tokens x width); returns all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old = self.get_seq_length()
        new = old + key_states.shape[-2]
        if self._held is None or self.keys.data_ptr() != self._held[0].data_ptr() or new > self._held[0].shape[-2]:
            self._held = self._with_room(self.keys, key_states, old), self._with_room(self.values, value_states, old)
        keys, values = self._held
        keys[..., old:new, :], values[..., old:new, :] = key_states, value_states
        self.keys, self.values = keys[..., :new, :], values[..., :new, :]
        return self.keys, self.values

    def _with_room(self, kept: torch.Tensor, fresh: torch.Tensor, old: int) -> torch.Tensor:
        """A store for this many rows; after rows have left the batch it is made anew."""
        rows, heads, tokens, width = fresh.shape
        store = fresh.new_empty(rows, heads, max(self.room, old + tokens), width)
        if old:
            store[..., :old, :] = kept
        return store


def empty_cache(config: ModelConfig, room: int) -> DynamicCache:
    """A model's own cache, empty; a layer of keys and values gets room for the whole reply at once.

    So does one with a sliding window: the window is in its mask, which counts columns, and none lies between two
    tokens of a row. Then a prefix can be moved (`Reading.share`), which a layer that has dropped its beginning cannot.
    """
    cache = DynamicCache(config=config)
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    cache.layers = [PreallocatedLayer(room) if type(layer) in plain else layer for layer in cache.layers]
    return cache


def taken(model: PreTrainedModel) -> set[str]:
    """The arguments that a model's forward pass knows."""
    return set(inspect.signature(model.forward).parameters)


class Reading:
    """Rows of tokens that a model reads column by column, by a `Way` that is right for it."""

    def __init__(self, model: PreTrainedModel, way: Way, room: int) -> None:
        self.model = model
        self.way = way
        self.room = room  # tokens a row will have in the end
        self.ids_BT = self.mask_BT = torch.empty(0, 0, dtype=torch.long, device=model.device)
        self._takes = taken(model)
        self._name = "past_key_values" if "past_key_values" in self._takes else "cache_params"
        self._cache: Any = empty_cache(model.config, room) if way.keeping == "rows" else None

    def read(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """Read new columns of every row; returns the scores of the token after them (BV, float32).

        A 0 in the mask is padding, which stands before the first token of a row.
        """
        first = not self.ids_BT.numel()
        self.ids_BT = ids_BT if first else torch.cat([self.ids_BT, ids_BT], dim=1)
        self.mask_BT = mask_BT if first else torch.cat([self.mask_BT, mask_BT], dim=1)
        if self._cache is None:
            return self._forward(self.ids_BT, self.mask_BT)
        # A state alone has nothing to mask once the padding is behind it, and some take the mask amiss.
        looks_back = any(isinstance(layer, DynamicLayer) for layer in getattr(self._cache, "layers", ()))
        return self._forward(ids_BT, self.mask_BT if first or looks_back else None)

    def choose(self, rows_B: torch.Tensor) -> None:
        """Go on with these rows, each as often as it is named."""
        self.ids_BT, self.mask_BT = self.ids_BT[rows_B], self.mask_BT[rows_B]
        if self.way.keeping == "rows":
            self._cache.reorder_cache(rows_B)
        else:
            self._cache = None  # what cannot be repeated is read again

    def can_share(self) -> bool:
        """Whether rows can begin with what was read for one of them: where all that is kept are keys and values."""
        layers = self._cache.layers if self.way == Way() else []
        return bool(layers) and all(isinstance(layer, PreallocatedLayer | DummyLayer) for layer in layers)

    def share(self, prefix: list[int], sizes: list[int]) -> None:
        """Read a prefix once, for rows that go on after the first `sizes[row]` tokens of it.

        Each row's part is moved to the right end of the columns. Padding is then on the left, as everywhere: between
        the prefix and the rest it would count into every distance that a model takes from its columns, such as the
        reach of a sliding window.
        """
        device, width = self.model.device, max(sizes)
        ids_1T = torch.tensor([prefix[:width]], device=device)
        self.read(ids_1T, torch.ones_like(ids_1T))
        source_BT = torch.arange(width, device=device) - width + torch.tensor(sizes, device=device)[:, None]
        self.mask_BT = (source_BT >= 0).long()
        self.ids_BT = ids_1T[0][source_BT.clamp(min=0)]
        for layer in self._cache.layers:
            if isinstance(layer, PreallocatedLayer) and layer.is_initialized:
                layer.keys, layer.values = (
                    part[0][:, source_BT.clamp(min=0)].transpose(0, 1) for part in (layer.keys, layer.values)
                )

    def _forward(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor | None) -> torch.Tensor:
        inputs = {
            "input_ids": ids_BT,
            "attention_mask": mask_BT,
            "position_ids": (self.mask_BT.cumsum(-1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :],
            "use_cache": self.way.keeping != "nothing",
            "logits_to_keep": 1,
            self._name: self._cache,
        }
        with kernels.sound(self.model.device):
            out = self.model(
                **{key: value for key, value in inputs.items() if key in self._takes and value is not None}
            )
        if self.way.keeping == "whole":
            names = [
                name for name in ("past_key_values", "cache_params", "state") if getattr(out, name, None) is not None
            ]
            if not names:
                raise ModelError(f"{type(self.model).__name__} hands nothing back to go on from")
            self._name, self._cache = names[0], getattr(out, names[0])
        scores_BV: torch.Tensor = out.logits[:, -1].float()
        return scores_BV
