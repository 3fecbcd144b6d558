"""The devices of a machine: which one is used, what it is called, and what memory it has left."""

import os
from typing import Any

_BEGUN_ON = "TUTELAGE_DEVICE"


def choose_device(wanted: str) -> str:
    """ "auto" is the accelerator where PyTorch has one (a GPU of NVIDIA's or AMD's, Intel's XPU, Apple's MPS), else the CPU."""
    import torch

    if wanted != "auto":
        return wanted
    found = torch.accelerator.current_accelerator(check_available=True)
    begun = os.environ.get(_BEGUN_ON, "cpu")
    if found is None and begun != "cpu":  # no error of the user's: the process ends, and whoever has begun it goes on
        raise RuntimeError(
            f"this work was begun on {begun}, which this process does not find any more: the system's log says why"
        )
    return found.type if found is not None else "cpu"


def held_to(device: str) -> dict[str, str]:
    """The environment in which a process does not go over to the CPU because an accelerator is gone."""
    return {_BEGUN_ON: device}


def device_count(kind: str) -> int:
    """How many accelerators of a kind this machine has."""
    import torch

    module: Any = getattr(torch, kind, None)
    return int(module.device_count()) if hasattr(module, "device_count") else 1


def device_name(device: Any) -> str:
    """A device with the name of its hardware."""
    import torch

    return f"{device.type}: {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device.type)


def free_memory(kind: str) -> int:
    """Bytes that a kind of device can still give."""
    import torch

    if kind == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    if kind == "mps":  # shares the machine's memory, up to a limit of its own
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(getattr(torch, kind).mem_get_info()[0])


def release_memory() -> None:
    """Give back what the accelerator holds and nothing uses."""
    import torch

    if (kind := choose_device("auto")) != "cpu":
        getattr(torch, kind).empty_cache()
