"""The devices of a machine: which one is used, what it is called, and what memory it has left."""

from typing import Any


def choose_device(wanted: str) -> str:
    """ "auto" is the accelerator where PyTorch has one (a GPU of NVIDIA's or AMD's, Intel's XPU, Apple's MPS), else the CPU."""
    import torch

    if wanted != "auto":
        return wanted
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found is not None else "cpu"


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


def memory_errors() -> tuple[type[BaseException], ...]:
    """How PyTorch says that a device's memory ends."""
    import torch

    return (torch.OutOfMemoryError,)
