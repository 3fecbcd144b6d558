"""Token by token: a batch of prompts in, the written tokens out."""

from collections.abc import Iterator
from typing import Any

import torch
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.cache_utils import DynamicLayer

from tutelage.types import Sampling

NO_IDS: Any = torch.empty(0, 0, dtype=torch.long)  # these warpers look at the scores only


_WORTH = 64  # tokens in common from which on reading them once is worth a pass of its own


def _shared(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with, when it is worth it; each keeps one of its own."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)  # in lexical order: what these share all share
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    same = min(same, min(map(len, prompts)) - 1)
    return same if same >= _WORTH else 0


class Growing(DynamicLayer):
    """Keys and values of one layer with room for what will come: a new token is written, where a plain layer copies all."""

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys: Any
        self.values: Any
        self.room = room
        self._held: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
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


def _cache(config: Any, room: int) -> DynamicCache:
    """A model's own cache; layers without a window get room for the whole reply at once."""
    cache = DynamicCache(config=config)
    cache.layers = [Growing(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class Decoder:
    """Decodes one batch with a key-value cache that shrinks as rows end."""

    def __init__(self, model: Any, tokenizer: Any, stops: set[int], sampling: Sampling) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.stops = stops
        self._stop_B = torch.tensor(sorted(stops), device=model.device)
        self._warpers = LogitsProcessorList()
        if sampling.temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(sampling.temperature))
            if sampling.top_k > 0:
                self._warpers.append(TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1:
                self._warpers.append(TopPLogitsWarper(sampling.top_p))

    @torch.inference_mode()
    def steps(self, prompts: list[list[int]], seeds: list[int]) -> Iterator[list[list[int]]]:
        """Decode `sampling.n` rows a prompt, one seed a row: yields, a token at a time, what all rows have written so far.

        A stop token is part of a row; rows that have ended grow no more.
        """
        device = self.model.device
        shared = prompts[0][: _shared(prompts)]
        tails = [prompt[len(shared) :] for prompt in prompts]
        width = max(map(len, tails))
        pad = self.tokenizer.pad_token_id
        ids_BT = torch.tensor([[pad] * (width - len(p)) + p for p in tails], device=device)
        mask_BT = torch.tensor(
            [[1] * len(shared) + [0] * (width - len(p)) + [1] * len(p) for p in tails], device=device
        )
        cache = _cache(self.model.config, len(shared) + width + self.sampling.max_tokens)
        if shared:  # what all prompts begin with, such as worked examples, is read once
            self._forward(torch.tensor([shared], device=device), mask_BT[:1, : len(shared)], None, cache)
            cache.batch_repeat_interleave(len(prompts))
        position_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)[:, len(shared) :]
        logits_BV = self._forward(ids_BT, mask_BT, position_BT, cache)
        if self.sampling.n > 1:
            cache.batch_repeat_interleave(self.sampling.n)
            logits_BV = logits_BV.repeat_interleave(self.sampling.n, 0)
            mask_BT = mask_BT.repeat_interleave(self.sampling.n, 0)
        draws_RT = self._draws(seeds)
        written: list[list[int]] = [[] for _ in seeds]
        rows = list(range(len(seeds)))  # the rows that are still in the batch
        for step in range(self.sampling.max_tokens):
            token_B = self._choose(logits_BV, draws_RT, rows, step)
            for row, token in zip(rows, token_B.tolist(), strict=True):
                if not self.ended(written[row]):
                    written[row].append(token)
            yield written
            going = [i for i, row in enumerate(rows) if not self.ended(written[row])]
            if not going or step + 1 == self.sampling.max_tokens:
                break
            if len(going) <= len(rows) * 3 // 4:  # dropping rows copies the cache: worth it once a quarter has ended
                keep_B = torch.tensor(going, device=device)
                cache.batch_select_indices(keep_B)
                token_B, mask_BT, rows = token_B[keep_B], mask_BT[keep_B], [rows[i] for i in going]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)
            logits_BV = self._forward(token_B[:, None], mask_BT, mask_BT.sum(-1, keepdim=True) - 1, cache)

    def raw(self, tokens: list[int]) -> str:
        """The tokens as text, as they are."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def text(self, tokens: list[int]) -> tuple[str, bool]:
        """The tokens as text, cut before the first stop string; and whether one was found."""
        text = self.raw(tokens)
        places = [place for place in (text.find(stop) for stop in self.sampling.stop) if place >= 0]
        return text[: min(places, default=len(text))].strip(), bool(places)

    def _forward(self, ids_BT: Any, mask_BT: Any, position_BT: Any, cache: Any) -> Any:
        out = self.model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=position_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float()

    def _draws(self, seeds: list[int]) -> torch.Tensor | None:
        """One uniform number a row and step, from the row's own stream."""
        if self.sampling.temperature <= 0:
            return None
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.rand(self.sampling.max_tokens, generator=stream) for stream in streams])

    def _choose(self, logits_BV: Any, draws_RT: torch.Tensor | None, rows: list[int], step: int) -> Any:
        if draws_RT is None:
            return logits_BV.argmax(-1)
        cumulative_BV = self._warpers(NO_IDS, logits_BV).softmax(-1).cumsum(-1)
        draw_B1 = draws_RT[rows, step].to(logits_BV.device)[:, None] * cumulative_BV[:, -1:]
        return torch.searchsorted(cumulative_BV, draw_B1, right=True)[:, 0].clamp(max=logits_BV.shape[-1] - 1)

    def ended(self, tokens: list[int]) -> bool:
        """Whether a row has ended: by a stop token, or by a stop string."""
        if not tokens:
            return False
        if tokens[-1] in self.stops:
            return True
        return bool(self.sampling.stop) and self.text(tokens)[1]
