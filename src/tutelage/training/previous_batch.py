"""Think of each token as one did a step ago: half of every batch is that of the one before it [DLB, Shen et al. 2022, arXiv 2203.16172; after DynSDPB, Fu et al. 2024, arXiv 2411.16991].

Of DynSDPB only an outline is to be had: how far a thought is trusted, and how soft it is made, falls and grows here in a straight line with
its entropy.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file

from tutelage.errors import LessonError
from tutelage.training.examples import Example
from tutelage.training.losses import exact, softened_divergence
from tutelage.training.reading import ForwardPass, Targets
from tutelage.training.rows import RowPart
from tutelage.training.settings import PreviousBatchConfig

NEW, AGAIN = (
    "new",
    "again",
)  # what a lesson is in a batch: it comes again in the next one, or has come in the one before
_FILES = "previous-*.safetensors"  # of a checkpoint, one a process


class Thought(NamedTuple):
    """What was thought in the places of a lesson's N tokens: the K likeliest tokens of each, softened, and how much it counts."""

    ids_NK: torch.Tensor
    logprobs_NK: torch.Tensor
    trust_N: torch.Tensor
    temperature_N: torch.Tensor


class PreviousBatch:
    """What a training thought of its last batch's new half, which it is held to in this one."""

    name = "previous_batch"

    def __init__(self, config: PreviousBatchConfig) -> None:
        self.config = config
        self._now: dict[int, Thought] = {}  # by lesson
        self._loaded: dict[int, Thought] = {}  # of a checkpoint, whose lessons may have been other processes'

    def begins(self, batches: int) -> int:
        """The batch from which on it counts; raises `LessonError` where it would never."""
        start = self.config.start
        begin = round(start * batches if start < 1 else start)
        if begin >= batches:
            raise LessonError(
                f"training.previous_batch.start={start:g} is behind the end of the training, which has {batches} steps; lower it"
            )
        return begin

    def part(self, example: Example, index: int, role: str) -> RowPart:
        """A lesson's completion, by its number in the training."""
        count = len(example.completion)
        return RowPart(role, example.answered, [1.0] * count, {"lesson": [index] * count})

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]] | None:
        """The divergence from what was thought a step ago, a token of what comes again; None where nothing does."""
        found = None
        if AGAIN in seen:
            targets = seen.targets(AGAIN)
            then, total = self._recalled(_lessons(targets)), seen.total(AGAIN)
            apart = targets.sum(softened_divergence, *then) / total
            found = apart, {self.name: apart, f"{self.name}/trust": then.trust_N.sum() / total}
        if NEW in seen:
            self._remember(seen.targets(NEW))
        return found

    def _recalled(self, lessons: Sequence[int]) -> Thought:
        own = [self._now.pop(one) if one in self._now else self._loaded[one] for one in lessons]
        return Thought(*(torch.cat(parts) for parts in zip(*own, strict=True)))

    @torch.no_grad()
    def _remember(self, targets: Targets) -> None:
        thought_NX = targets.each(self._thought, targets.labels_N)
        lessons_N = targets.more["lesson"]
        for lesson in _lessons(targets):
            own_NX = thought_NX[lessons_N == lesson]
            top = (own_NX.shape[1] - 2) // 2
            ids_NK, logprobs_NK = own_NX[:, :top].int(), own_NX[:, top : 2 * top]
            self._now[lesson] = Thought(ids_NK, logprobs_NK, own_NX[:, -2], own_NX[:, -1])

    def _thought(self, logits_NV: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
        """A `Thought` as one tensor; a token's number is exact in float32 up to 16 million."""
        config, logits_NV = self.config, exact(logits_NV)
        logprobs_NV = logits_NV.log_softmax(-1)
        doubt_N = torch.special.entr(logprobs_NV.exp()).sum(-1) / math.log(logits_NV.shape[1])
        low, high = config.temperature
        temperature_N = low + (high - low) * doubt_N
        trust_N = config.alpha * (1 - doubt_N)
        if config.right_only:
            trust_N = trust_N * (logits_NV.argmax(-1) == labels_N)
        soft_NV = (logits_NV / temperature_N[:, None]).log_softmax(-1)
        top_NK, ids_NK = soft_NV.topk(min(config.top, logits_NV.shape[1]))
        return torch.cat([ids_NK.to(top_NK), top_NK, trust_N[:, None], temperature_N[:, None]], dim=1)

    def save(self, folder: Path, rank: int) -> None:
        """Write what this process has thought of lessons that come again beside a checkpoint."""
        folder.mkdir(parents=True, exist_ok=True)
        held = {
            f"{lesson}/{key}": value.cpu().contiguous()
            for lesson, one in self._now.items()
            for key, value in one._asdict().items()
        }
        save_file({"top": torch.tensor(self.config.top), **held}, folder / _FILES.replace("*", f"{rank:05d}"))

    def load(self, folder: Path, device: torch.device) -> None:
        """Read what all processes had thought: which of them has a lesson again may be another one."""
        for file in sorted(folder.glob(_FILES)):
            held = load_file(file)
            for lesson in {int(key.partition("/")[0]) for key in held if "/" in key}:
                self._loaded[lesson] = Thought(*(held[f"{lesson}/{key}"].to(device) for key in Thought._fields))


def _lessons(targets: Targets) -> list[int]:
    """The lessons of some targets, in their order."""
    return list(dict.fromkeys(int(one) for one in targets.more["lesson"].tolist()))
