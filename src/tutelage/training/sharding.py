"""A student whose weights are cut among the processes that train it, each of which holds its share of every layer.

A layer is whole while it is computed and no longer [fully sharded data parallelism, Zhao et al. 2023, arXiv 2304.11277;
PyTorch's FSDP2]: what is computed is what one process computes, and N of them hold an N-th of weights, gradients and
optimiser each. Every pass is one that all of them make together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from tutelage.errors import LessonError
from tutelage.models.local.pretrained import LanguageModel
from tutelage.training.group import Group
from tutelage.training.layout import causal_of
from tutelage.training.settings import TrainingConfig

LARGE = 3_000_000_000  # weights from which on a student is cut, where nobody says
_KEEPS = (
    "adamw_torch",
    "adamw_torch_fused",
    "sgd",
)  # optimisers whose state is a number a weight, and is cut like them
_PART = "part-*.safetensors"  # of a checkpoint, one a process
_WEIGHT = "weight"


def is_wanted(model: LanguageModel, config: TrainingConfig, group: Group, last: Path | None) -> bool:
    """Whether a student is cut among the processes of a group; raises `LessonError` where it shall be and cannot.

    A training that was begun with a whole student goes on so: its checkpoint `last` is one.
    """
    count = sum(one.numel() for one in model.parameters())
    if group.size == 1 or not is_asked(group.shard, count) or (last is not None and not is_cut(last)):
        return False
    why = _why_not(model, config)
    if why and group.shard == "always":
        raise LessonError(f"shard=always: {why}; leave it out, or say shard=never")
    return not why


def is_asked(how: str, count: int) -> bool:
    """Whether a student of so many weights shall be cut: "always", "never", or "auto", where it is large."""
    return how == "always" or (how == "auto" and count >= LARGE)


def _why_not(model: LanguageModel, config: TrainingConfig) -> str:
    """Why a student cannot be cut; empty: it can."""
    if config.lora is not None and config.lora.base == "nf4":
        return "weights in four bits (training.lora.base=nf4) cannot be cut among processes"
    if config.optimizer not in _KEEPS:
        return (
            f"what training.optimizer={config.optimizer} keeps cannot be cut among processes ({', '.join(_KEEPS)} can)"
        )
    if any(one.options.get("variant") == "paper" for one in config.choices()):
        return "reflection.variant=paper reads texts in passes of its own, and passes must be of all processes"
    if not list(layers_of(model)):
        return f"{type(causal_of(model)).__name__} does not say what its layers are"
    return ""


def layers_of(model: LanguageModel) -> Iterator[torch.nn.Module]:
    """The modules that a model's own code calls its layers."""
    causal = causal_of(model)
    names = set(getattr(causal, "_no_split_modules", None) or ())
    return (module for module in causal.modules() if type(module).__name__ in names)


def share_out(model: LanguageModel, device: str) -> LanguageModel:
    """Cut a student on the CPU into shares of equal size along each weight's first dimension; this process's go to its device."""
    mesh = init_device_mesh(device.partition(":")[0], (dist.get_world_size(),))
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    causal = causal_of(model)
    # The language model and not what adapters put around it: passes begin there.
    fully_shard(causal, mesh=mesh, reshard_after_forward=True)
    # In transformers' word: it has its place and adds up its gradients by itself, so nothing is wrapped around it.
    causal._is_distributed_loading_by_transformers = True
    return model


def all_finite(model: LanguageModel, group: Group) -> bool:
    """Whether every weight is a number; the same answer in every process."""
    odd = sum(not own_of(one).isfinite().all() for one in model.parameters())
    return not group.sums({"odd": float(odd)})["odd"]


def whole(model: LanguageModel, group: Group) -> dict[str, torch.Tensor]:
    """All weights put together on the first process's CPU, by name, one after the other; nothing elsewhere. All must call it."""
    found: dict[str, torch.Tensor] = {}
    met: dict[int, torch.Tensor] = {}  # weights that go by two names stay one
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in met:
            full: torch.Tensor = (value.full_tensor() if isinstance(value, DTensor) else value).detach()
            met[id(value)] = full.cpu() if group.is_first else torch.empty(0)
        found[name] = met[id(value)]
    return found if group.is_first else {}


def save_share(model: LanguageModel, optimizer: torch.optim.Optimizer, folder: Path, group: Group) -> None:
    """Write this process's share of what is trained, and of what the optimiser keeps of it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, torch.Tensor] = {}
    for name, weight in _trained(model):
        kept[f"{_WEIGHT}/{name}"] = own_of(weight)
        for key, value in optimizer.state.get(weight, {}).items():
            kept[f"{key}/{name}"] = own_of(value)
    rate = torch.tensor([float(one["lr"]) for one in optimizer.param_groups], dtype=torch.float64)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in kept.items()}
    save_file({**tensors, "rates": rate}, folder / _PART.replace("*", f"{group.rank:05d}"))


def is_cut(folder: Path) -> bool:
    """Whether a checkpoint is one of shares."""
    return any(folder.glob(_PART))


@torch.no_grad()
def load_shares(model: LanguageModel, folder: Path) -> None:
    """Read the weights of a checkpoint of shares, as many as there are, into a student that may be cut otherwise, or not at all."""
    with _Parts(folder) as parts:
        for name, weight in _trained(model):
            _fill(weight, parts.whole(f"{_WEIGHT}/{name}"))


@torch.no_grad()
def load_optimizer(model: LanguageModel, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Read what the optimiser kept, too."""
    with _Parts(folder) as parts:
        for name, weight in _trained(model):
            for key in parts.kinds(name):
                value = parts.whole(f"{key}/{name}")
                if value.dim():
                    state = torch.zeros_like(weight)
                    _fill(state, value)
                    value = state
                else:
                    value = value.to(own_of(weight).device)
                optimizer.state[weight][key] = value
        for one, rate in zip(optimizer.param_groups, parts.whole("rates").tolist(), strict=True):
            one["lr"] = rate


class _Parts:
    """The files of a checkpoint of shares, read a tensor at a time."""

    def __init__(self, folder: Path) -> None:
        self._files: list[Any] = [safe_open(file, framework="pt") for file in sorted(folder.glob(_PART))]
        self._keys = set(self._files[0].keys())

    def __enter__(self) -> "_Parts":
        for one in self._files:
            one.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        for one in self._files:
            one.__exit__(*how)

    def kinds(self, name: str) -> list[str]:
        """What is kept of a weight beside itself."""
        return sorted(
            key.removesuffix(f"/{name}")
            for key in self._keys
            if key.endswith(f"/{name}") and not key.startswith(f"{_WEIGHT}/")
        )

    def whole(self, key: str) -> torch.Tensor:
        """The shares of all processes put together; what is no share is alike in all."""
        found = [one.get_tensor(key) for one in self._files]
        return found[0] if key == "rates" or not found[0].dim() else torch.cat(found)


def _trained(model: LanguageModel) -> Iterator[tuple[str, torch.nn.Parameter]]:
    return ((name, one) for name, one in model.named_parameters() if one.requires_grad)


def own_of(value: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor, which is all of it where it is not cut."""
    return value.to_local() if isinstance(value, DTensor) else value


def _fill(target: torch.Tensor, full: torch.Tensor) -> None:
    """Write this process's share of a whole tensor into a target."""
    if isinstance(target, DTensor):
        mesh = target.device_mesh
        shares = full.chunk(mesh.size())  # as FSDP2 cuts: where there are fewer rows than processes, the last have none
        rank = mesh.get_local_rank()
        full = shares[rank] if rank < len(shares) else full[:0]
    own_of(target).copy_(full)
