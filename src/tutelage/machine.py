"""What of a machine decides how numbers are rounded; nothing heavy is loaded to know it."""

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

_CARDS = Path("/proc/driver/nvidia/gpus")
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")


def machine() -> dict[str, str | int]:
    """Processor, instructions for products of matrices, threads, NVIDIA's GPUs where PyTorch may use any, and versions."""
    processor, flags = _processor()
    cards = _gpus(_CARDS) if os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1") else ""
    return {
        "processor": processor,
        "instructions": " ".join(name for name in _INSTRUCTIONS if name in flags),
        "threads": threads(),
        **({"gpus": cards} if cards else {}),
        "torch": _version("torch"),
        "transformers": _version("transformers"),
    }


@cache
def _gpus(drivers: Path) -> str:
    """The names of a machine's GPUs, as NVIDIA's driver tells them without a library."""
    said = [
        line for file in sorted(drivers.glob("*/information")) for line in file.read_text(errors="replace").splitlines()
    ]
    return ", ".join(line.partition(":")[2].strip() for line in said if line.startswith("Model:"))


@cache
def _processor() -> tuple[str, frozenset[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    said = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = said.get("model name") or platform.machine()
    return name, frozenset((said.get("flags") or said.get("features") or "").split())


def threads() -> int:
    """How many cores products of matrices are computed on, as OMP_NUM_THREADS or what this process may use says."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
