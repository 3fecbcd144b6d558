"""Objectives of a user's own that leave word of what reached them, or fall over."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tutelage.training.examples import Encoder, Example
from tutelage.training.objectives.likelihood import Likelihood
from tutelage.training.reading import ForwardPass


class Recording(Likelihood):
    """Likelihood that writes down the tokens of each answer whose loss it sums."""

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        targets = seen.targets("completion")
        rows: dict[int, list[int]] = {}
        for row, label in zip(targets.rows_N.tolist(), targets.labels_N.tolist(), strict=True):
            rows.setdefault(row, []).append(label)
        with (Path(os.environ["RECORDED"]) / f"rank-{os.environ.get('RANK', '0')}.jsonl").open("a") as file:
            file.writelines(json.dumps(ids) + "\n" for ids in rows.values())
        return super().loss(seen)


class Greedy(Likelihood):
    """Likelihood for which more than one answer at once is too much memory in the second process."""

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        if os.environ.get("RANK") == "1" and len(set(seen.targets("completion").rows_N.tolist())) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().loss(seen)


class Slow(Likelihood):
    """Likelihood in whose steps there is time for something to happen."""

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        time.sleep(0.5)
        return super().loss(seen)


class Faulty(Likelihood):
    """Likelihood with a mistake in it."""

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> list[bool]:
        known: dict[str, bool] = {}
        return [known["nothing"] for _ in examples]
