"""Memory of training on the packaged student, each arm in a process of its own: `python benchmarks/memory.py`.

Prints the peak of each arm beside that of a process that has the student loaded in float32 and does nothing, and the seconds of a step. `base`: adapters over
frozen weights in float32 and in bfloat16, and with layers computed again. `length`: one lesson of 8,192 tokens against four of 2,048, the same tokens; and the same with logits
held whole, as before. The arms of 8,192 tokens take many minutes each on a CPU.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tutelage.config import cache_folder
from tutelage.types import Lesson

STUDENT = "smollm2"
LORA = {"r": 16}
ARMS: dict[str, tuple[int, int, dict[str, Any]]] = {  # lessons a step, tokens each, settings
    "lora, float32 base": (8, 160, {"lora": {**LORA, "base": "float32"}}),
    "lora, bfloat16 base": (8, 160, {"lora": {**LORA, "base": "bfloat16"}}),
    "lora, bfloat16 base, layers again": (8, 160, {"lora": LORA, "gradient_checkpointing": True}),
    "lora, float32 base, 1 at once": (1, 160, {"lora": {**LORA, "base": "float32"}}),
    "lora, bfloat16 base, 1 at once": (1, 160, {"lora": {**LORA, "base": "bfloat16"}}),
    "4 lessons of 2,048": (4, 2048, {"gradient_checkpointing": True}),
    "1 lesson of 8,192": (1, 8192, {"gradient_checkpointing": True}),
    "4 lessons of 2,048, whole logits": (4, 2048, {"gradient_checkpointing": True}),
    "1 lesson of 8,192, whole logits": (1, 8192, {"gradient_checkpointing": True}),
}


def lessons(count: int, tokens: int) -> list[Lesson]:
    """So many lessons of about so many tokens, all but a few of them in the completion."""
    words = [
        "seven",
        "plus",
        "eight",
        "is",
        "fifteen",
        "and",
        "then",
        "we",
        "look",
        "again",
        "at",
        "what",
        "is",
        "left",
    ]
    return [
        Lesson(
            question=str(place),
            prompt=f"What is {place}?",
            completion=" ".join(words[(place + at) % len(words)] for at in range(tokens - 24)),
            kind="rationale",
        )
        for place in range(count)
    ]


def peak() -> float:
    """The most memory that this process had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(arm: str, steps: int) -> dict[str, Any]:
    """One arm in this process."""
    from tutelage.training import heads
    from tutelage.training.job import Callbacks
    from tutelage.training.settings import TrainingConfig
    from tutelage.training.trainer import fit

    if arm == "loaded":
        import torch

        from tutelage.models.local import weights

        weights.load(STUDENT, torch.float32, cache_folder())
        return {"memory": peak()}
    count, tokens, settings = ARMS[arm]
    if "whole" in arm:
        heads.WHOLE = 2**60
    given = {"epochs": 1, "batch": count, "max_length": 8192, "template": "paper", "precision": "bfloat16", **settings}
    ticks: list[float] = []
    spec = {"name": STUDENT, "cache": str(cache_folder()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        facts = fit(
            spec, lessons(count * steps, tokens), TrainingConfig.model_validate(given), 0, Path(folder), callbacks
        )
    seconds = (ticks[-1] - ticks[0]) / (len(ticks) - 1) if len(ticks) > 1 else float("nan")
    return {
        "memory": peak(),
        "seconds": seconds,
        "tokens": facts["tokens"] // facts["steps"],
        "loss": facts["last_loss"],
    }


def run(arm: str, steps: int) -> dict[str, Any]:
    """One arm in a process of its own."""
    words = [sys.executable, __file__, "--arm", arm, "--steps", str(steps)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{arm:>36} did not end ({done.returncode}): {done.stderr.strip().splitlines()[-1:]}", flush=True)
        return {"memory": float("nan")}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    more = (
        f"{found['tokens']:6} tokens a step {found['seconds']:7.1f} s, loss {found['loss']:.4f}"
        if "loss" in found
        else ""
    )
    print(f"{arm:>36} {found['memory']:6.2f} GB {more}", flush=True)
    return found


def main() -> None:
    """Every arm in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=2, help="of each arm")
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.steps)))
        return
    found = {arm: run(arm, given.steps)["memory"] for arm in ("loaded", *ARMS)}
    lora, half = found["lora, float32 base"], found["lora, bfloat16 base"]
    print(f"bfloat16 / float32 base: {half / lora:.2f}")
    print(f"one of 8,192 / four of 2,048: {found['1 lesson of 8,192'] / found['4 lessons of 2,048']:.2f}")


if __name__ == "__main__":
    main()
