"""Token by token: a batch of prompts in, the written tokens out."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tutelage.models.local.doubt import Doubt
from tutelage.models.local.pretrained import Tokenizer
from tutelage.models.local.reading import Reading, Way
from tutelage.models.local.templates import Prompt
from tutelage.types import Sampling

NO_IDS: Any = torch.empty(0, 0, dtype=torch.long)  # these warpers look at the scores only
_COLDEST = (
    1e-6  # below it scores divided by a temperature are no numbers in float32, and the draw is greedy long before
)
_WORTH = 64  # tokens in common from which on reading them once is worth a pass of its own


def _shared(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with, when it is worth it; each keeps one of its own."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)  # in lexical order: what these share all share
    same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    shortest, longest = min(map(len, prompts)), max(map(len, prompts))
    same = min(same, shortest - 1)
    # All rows read as many columns by themselves as the longest; what the shortest has of its prefix must be above that.
    return same if same >= _WORTH and longest - same < shortest else 0


class Decoder:
    """Decodes one batch, which shrinks as rows end."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer,
        stops: set[int],
        sampling: Sampling,
        way: Way | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        self.model = model
        self.doubt = doubt
        self.way = way or Way()
        self.tokenizer = tokenizer
        self.sampling = sampling
        self.stops = stops
        self._reach = 8 + max((len(stop.encode()) for stop in sampling.stop), default=0)  # tokens
        self._warpers = LogitsProcessorList()
        if sampling.temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(max(sampling.temperature, _COLDEST)))
            if sampling.top_k > 0:
                self._warpers.append(TopKLogitsWarper(sampling.top_k))
            if sampling.top_p < 1:
                self._warpers.append(TopPLogitsWarper(sampling.top_p))

    @torch.inference_mode()
    def steps(self, prompts: Sequence[Prompt], seeds: list[int]) -> Iterator[list[list[int]]]:
        """Decode `sampling.n` rows a prompt, one seed a row: yields, a token at a time, what all rows have written so far.

        A stop token is part of a row; rows that have ended grow no more.
        """
        # A row is one sample of one prompt. `written` and `most` keep every row, by its number; what is computed covers only the
        # rows still in the batch, and `rows` says which number each place of it has.
        # Names end in their shape: B places of the batch, R all rows, V the vocabulary, T time.
        most = [prompt.most for prompt in prompts for _ in range(self.sampling.n)]
        reading, logits_BV = self._begun([prompt.ids for prompt in prompts], max(most))
        draws_RT = self._draws(seeds)
        written: list[list[int]] = [[] for _ in seeds]
        rows, over = list(range(len(seeds))), set[int]()  # the rows that are still in the batch; those that have ended
        while True:
            # Every row that is still written to has as many tokens as the longest, since all are read in step.
            token_B = self._choose(logits_BV, draws_RT, rows, max(map(len, written)))
            if self.doubt is not None:
                self.doubt.note(logits_BV, [place for place, row in enumerate(rows) if row not in over])
            going = []
            for place, (row, token) in enumerate(zip(rows, token_B.tolist(), strict=True)):
                # One that has ended stays in the batch until enough have; what it draws meanwhile is thrown away.
                if row in over:
                    continue
                written[row].append(token)
                if len(written[row]) < most[row] and not self.ended(written[row]):
                    going.append(place)
                else:
                    over.add(row)
            # The same lists each time, not copies: whoever wants to keep a state of them copies it.
            yield written
            if not going:
                break
            if len(going) <= len(rows) * 3 // 4:  # dropping rows copies the cache: worth it once a quarter has ended
                keep_B = torch.tensor(going, device=self.model.device)
                reading.choose(keep_B)
                token_B, rows = token_B[keep_B], [rows[i] for i in going]
            # Last, so that nothing is read for a token after which all have ended.
            logits_BV = reading.read(token_B[:, None], torch.ones_like(token_B)[:, None])

    def _begun(self, prompts: list[list[int]], most: int) -> tuple[Reading, torch.Tensor]:
        """The prompts read, `sampling.n` rows of each, and the scores of their first new tokens."""
        device, pad = self.model.device, self.tokenizer.pad_token_id
        longest = max(map(len, prompts))
        reading = Reading(self.model, self.way, longest + most)
        shared = _shared(prompts) if reading.can_share() else 0
        # Each row reads its last `width` tokens by itself: without a shared beginning all of them, padded on the left. With
        # one every prompt is longer than that (`_shared`): a shorter prompt takes less of the beginning from the cache and
        # reads the end of it again, so that no padding stands between two of its tokens.
        width = longest - shared
        if shared:  # what all prompts begin with, such as worked examples, is read once
            reading.share(prompts[0][:shared], [len(prompt) - width for prompt in prompts])
        tails = [prompt[-width:] for prompt in prompts]
        ids_BT = torch.tensor([[pad] * (width - len(tail)) + tail for tail in tails], device=device)
        mask_BT = torch.tensor([[0] * (width - len(tail)) + [1] * len(tail) for tail in tails], device=device)
        # Each prompt is read once, and only then repeated for its samples: n times less to compute.
        logits_BV = reading.read(ids_BT, mask_BT)
        if self.sampling.n > 1:
            each_R = torch.arange(len(prompts), device=device).repeat_interleave(self.sampling.n)
            reading.choose(each_R)
            logits_BV = logits_BV[each_R]
        return reading, logits_BV

    def raw(self, tokens: list[int]) -> str:
        """The tokens as text, as they are."""
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def text(self, tokens: list[int]) -> tuple[str, bool]:
        """The tokens as text, cut before the first stop string; and whether one was found."""
        text = self.raw(tokens)
        places = [place for place in (text.find(stop) for stop in self.sampling.stop) if place >= 0]
        return text[: min(places, default=len(text))].strip(), bool(places)

    def _draws(self, seeds: list[int]) -> torch.Tensor | None:
        """One uniform number a row and step, from the row's own stream."""
        if self.sampling.temperature <= 0:
            return None
        # Drawn on the CPU before the first step, the same number of draws for every row: what a row draws depends on its seed
        # and on how long it is by now, never on the device, on its neighbours, or on which of them have ended.
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.rand(self.sampling.max_tokens, generator=stream) for stream in streams])

    def _choose(self, logits_BV: Any, draws_RT: torch.Tensor | None, rows: list[int], step: int) -> Any:
        if draws_RT is None:
            return logits_BV.argmax(-1)
        cumulative_BV = self._warpers(NO_IDS, logits_BV).softmax(-1).cumsum(-1)
        # The token at which the summed probability passes the draw. The sum's last entry is 1 only up to rounding, so the draw
        # is scaled by it; `right` skips tokens of no probability, and the clamp catches a draw that rounds to the sum itself.
        draw_B1 = draws_RT[rows, step].to(logits_BV.device)[:, None] * cumulative_BV[:, -1:]
        return torch.searchsorted(cumulative_BV, draw_B1, right=True)[:, 0].clamp(max=logits_BV.shape[-1] - 1)

    def ended(self, tokens: list[int]) -> bool:
        """Whether a row has ended: by a stop token, or by a stop string."""
        if not tokens:
            return False
        if tokens[-1] in self.stops:
            return True
        # Decoding all of a row at every token would cost the square of its length.
        # A stop that the last token completes is no longer in tokens than in bytes: only there is it looked for.
        tail = self.raw(tokens[-self._reach :]) if self.sampling.stop else ""
        return any(stop in tail for stop in self.sampling.stop) and self.text(tokens)[1]
