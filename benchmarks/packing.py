"""What sharing lines gives where lessons differ in length: tokens a second, and the losses beside it.

    python benchmarks/packing.py

The packaged student, lessons whose lengths are drawn from a log-normal distribution (8 to 170 numbers, the median 33), batches of 8. Two ways to put lessons
together: shuffled; sorted by length within windows of 16 batches, which is the default here; each with and without
`packing`. Every arm is a process of its own, the arms take turns, and ratios are of medians. Lessons' tokens are counted, padding never.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from tutelage.config import cache_folder
from tutelage.types import Lesson

ARMS: dict[str, dict[str, Any]] = {
    "shuffled": {"sort_window": 1},
    "shuffled, packed": {"sort_window": 1, "packing": True},
    "windows": {"sort_window": 16},
    "windows, packed": {"sort_window": 16, "packing": True},
}
BATCH = 8


def mixed(count: int) -> list[Lesson]:
    """Lessons of many lengths: so many numbers, one after the other."""
    rng = random.Random(0)
    made = []
    for number in range(count):
        words = min(max(int(rng.lognormvariate(3.5, 0.9)), 8), 170)
        steps = " ".join(str(rng.randrange(100)) for _ in range(words))
        made.append(
            Lesson(
                question=str(number),
                prompt=f"Say {words} numbers.",
                completion=f"{steps} --> {words}",
                kind="rationale",
            )
        )
    return made


def measure(arm: str, steps: int) -> dict[str, Any]:
    """Train a few steps in this process."""
    from tutelage.training.job import Callbacks
    from tutelage.training.settings import TrainingConfig
    from tutelage.training.trainer import fit

    config = TrainingConfig(
        epochs=1, learning_rate=1e-5, schedule="constant", warmup=0, batch=BATCH, template="paper", **ARMS[arm]
    )
    ticks: list[float] = []
    spec = {"name": "smollm2", "cache": str(cache_folder()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        facts = fit(spec, mixed(steps * BATCH), config, 0, Path(folder), callbacks)
    # The first step is slower than the others.
    seconds = sum(after - before for before, after in pairwise(ticks)) * steps / (steps - 1)
    return {
        "tokens a second": facts["tokens"] / seconds,
        "padding": facts["padding"],
        "mean loss": sum(facts["losses"]) / len(facts["losses"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--arm")
    words = parser.parse_args()
    if words.arm:
        print(json.dumps(measure(words.arm, words.steps)))
        return
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for turn in range(words.turns):
        for arm in ARMS:
            command = [sys.executable, __file__, "--arm", arm, "--steps", str(words.steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[arm].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{turn} {arm}: {found[arm][-1]}", file=sys.stderr, flush=True)
    rates = {arm: median(one["tokens a second"] for one in own) for arm, own in found.items()}
    print("| | tokens a second | of shuffled | of the same unpacked | padding | mean loss |\n|---|---|---|---|---|---|")
    for arm, own in found.items():
        plain = rates[arm.partition(",")[0]]
        print(
            f"| {arm} | {rates[arm]:.0f} | {rates[arm] / rates['shuffled']:.2f} | {rates[arm] / plain:.2f} | "
            f"{own[0]['padding']:.0%} | {own[0]['mean loss']:.5f} |"
        )


if __name__ == "__main__":
    main()
