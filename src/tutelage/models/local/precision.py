"""Which arithmetic this machine is faster in, measured once: float32, or bfloat16 products."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F

from tutelage.config import cache_folder
from tutelage.errors import ModelError
from tutelage.machine import machine
from tutelage.types import JsonObject

Use = Literal["training", "decoding"]
# Sizes of a model of about 100M parameters: tokens of a batch of lessons, rows of a batch of answers.
_HIDDEN, _INNER, _LAYERS = 576, 1536, 3
_ROWS = {"training": 320, "decoding": 64}
_SECONDS = 0.3  # of the processor's time that each use is measured
_WORTH = 1.1  # bfloat16 rounds more coarsely, so it must be clearly faster


def choose(use: Use, device: str) -> str:
    """ "bfloat16" where the hardware computes in it and is faster so, else "float32"."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.startswith("xpu"):
        return "bfloat16" if torch.xpu.is_bf16_supported(including_emulation=False) else "float32"
    abilities = torch.cpu.get_capabilities()
    if device != "cpu" or not any(abilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")):
        return "float32"  # other processors emulate bfloat16
    rates = measured()[use]
    return "bfloat16" if rates["bfloat16"] >= _WORTH * rates["float32"] else "float32"


def measured() -> dict[str, dict[str, float]]:
    """Products of matrices in GFLOP/s of one thread, by use and precision: measured at the first call on a machine, then kept.

    Having instructions for bfloat16 is not being faster with them, and what is faster in training may be slower in
    writing answers.
    """
    file = cache_folder() / "speed.json"
    name = " / ".join(str(machine()[key]) for key in ("processor", "instructions", "torch"))
    known = _read(file)
    if name not in known:
        known = {**known, name: _alone()}
        _write(file, known)
    found: dict[str, dict[str, float]] = known[name]
    return found


def _read(file: Path) -> JsonObject:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _write(file: Path, known: JsonObject) -> None:
    """Keep what was measured, whole or not at all; where nothing can be written it is measured again."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(known, indent=1), encoding="utf-8")
        draft.replace(file)
    except OSError:
        draft.unlink(missing_ok=True)


def _alone() -> dict[str, dict[str, float]]:
    """Measure in a process of one thread, by the processor's time: several threads wait for each other, the longer the
    busier a machine is, and the same seed would be computed in float32 at one time and in bfloat16 at another.
    """
    one = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    here = [sys.executable, "-P", "-m", "tutelage.models.local.precision"]
    done = subprocess.run(
        here, env=one, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, start_new_session=True
    )
    if done.returncode:
        raise ModelError(
            f"the speed of this processor could not be measured; give training.precision and the student's dtype instead of auto: {done.stderr[-500:]}"
        )
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def _rates(use: Use) -> dict[str, float]:
    rounds = {kind: _round(use, kind) for kind in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(rounds, float("inf"))
    until, done = time.thread_time() + _SECONDS, 0
    while done < 4 or time.thread_time() < until:  # in turn, so that what slows the processor down slows both
        done += 1  # the first of each is the warm-up
        for kind, run in rounds.items():
            begun = time.thread_time()
            run()
            best[kind] = min(best[kind], time.thread_time() - begun)
    work = 2 * _ROWS[use] * _HIDDEN * _INNER * 2 * _LAYERS * (3 if use == "training" else 1)
    return {str(kind).removeprefix("torch."): round(work / seconds / 1e9, 2) for kind, seconds in best.items()}


def _round(use: Use, kind: torch.dtype) -> Callable[[], None]:
    """One pass as a student makes it: in training forward and back from float32 weights, in decoding forward alone."""
    held = torch.float32 if use == "training" else kind
    x_RH = torch.randn(_ROWS[use], _HIDDEN, dtype=held)
    weights = [
        torch.randn(shape, dtype=held) / 30 for _ in range(_LAYERS) for shape in ((_INNER, _HIDDEN), (_HIDDEN, _INNER))
    ]

    def forward() -> torch.Tensor:
        y_RH = x_RH
        for weight in weights:
            y_RH = F.linear(y_RH, weight)
        return y_RH

    def train() -> None:
        for weight in weights:
            weight.requires_grad_().grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
            loss = forward().float().sum()
        loss.backward()  # type: ignore[no-untyped-call]

    def decode() -> None:
        with torch.inference_mode():
            forward()

    return train if use == "training" else decode


if __name__ == "__main__":
    print(json.dumps({use: _rates(use) for use in ("training", "decoding")}))
