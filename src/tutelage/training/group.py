"""The processes that train one student together, each with its own share of every batch."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

# One process reads for all what a student as it begins thinks of its lessons, which may take long; whoever has begun the processes sees
# when one of them ends, so nothing else waits so long.
_TIMEOUT = timedelta(days=1)


class Group(NamedTuple):
    """Which of how many processes this is. Whatever is decided by the clock or the disk, the first decides for all."""

    rank: int = 0
    size: int = 1
    shard: str = (
        "auto"  # whether they hold a share of the student each: as `sharding` finds it well, "always" or "never"
    )

    @property
    def is_first(self) -> bool:
        """Whether this process tells, writes and decides for all."""
        return self.rank == 0

    def agreed(self, *flags: bool) -> list[bool]:
        """The flags of the first process."""
        if self.size == 1:
            return list(flags)
        told = torch.tensor([int(flag) for flag in flags], device=_device())
        dist.broadcast(told, 0)
        return [bool(flag) for flag in told.tolist()]

    def least(self, number: int) -> int:
        """The smallest of the processes' numbers."""
        if self.size == 1:
            return number
        told = torch.tensor([number], device=_device())
        dist.all_reduce(told, dist.ReduceOp.MIN)
        return int(told)

    def sums(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sum of each number over the processes; one that a process does not have is nothing there."""
        if self.size == 1:
            return dict(numbers)
        total: dict[str, float] = {}
        for own in self._gathered(json.dumps(numbers)):
            for name, number in json.loads(own).items():
                total[name] = total.get(name, 0.0) + number
        return total

    def _gathered(self, text: str) -> list[str]:
        """The text of every process, in their order. As bytes of equal number: what torch has for objects pickles them."""
        own = torch.tensor(list(text.encode()), dtype=torch.uint8, device=_device())
        sizes = [torch.zeros(1, dtype=torch.long, device=own.device) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(own)], device=own.device))
        longest = max(int(size) for size in sizes)
        padded = torch.nn.functional.pad(own, (0, longest - len(own)))
        texts = [torch.zeros_like(padded) for _ in range(self.size)]
        dist.all_gather(texts, padded)
        return [bytes(one[: int(size)].tolist()).decode() for one, size in zip(texts, sizes, strict=True)]

    def wait(self) -> None:
        """Go on when all have come so far."""
        if self.size > 1:
            dist.barrier()


ALONE = Group()
"""A process that trains by itself."""


def joined() -> Group:
    """The group that this process has joined, or itself alone."""
    if not dist.is_initialized():
        return ALONE
    return Group(dist.get_rank(), dist.get_world_size(), os.environ.get("TUTELAGE_SHARD", "auto"))


def join(meeting: str, device: str) -> Group:
    """Meet the other processes as RANK and WORLD_SIZE say: at a file, or where torchrun's variables say."""
    size, rank = int(os.environ.get("WORLD_SIZE") or 1), int(os.environ.get("RANK") or 0)
    if size == 1:
        return ALONE
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    how: dict[str, Any] = {"init_method": f"file://{meeting}", "rank": rank, "world_size": size} if meeting else {}
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_TIMEOUT, **how)
    return joined()


def _device() -> str:
    return "cpu" if dist.get_backend() == "gloo" else "cuda"
