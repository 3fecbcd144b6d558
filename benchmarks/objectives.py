"""What each objective takes beside plain likelihood: seconds a step, and memory.

    python benchmarks/objectives.py            # ten minutes on 2 fast cores, an hour on slow ones; --quick for a look

Every arm is a process of its own, on the packaged student and the same lessons in the same batches of 16: worked solutions that repair
a mistake in one of their steps, as the offline teacher writes them. The arms take turns three times, and ratios are of medians.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace

from tutelage.config import cache_folder
from tutelage.lessons import feedback, offline_teacher, reflection, scribe
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.steps import split_steps
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Lesson, Reply

ARMS: dict[str, Any] = {
    "likelihood": "likelihood",
    "repair": "repair",
    "prefer": "prefer",
    "repair and unlikelihood": {"repair": 1.0, "unlikelihood": 0.5},
    "key_steps": "key_steps",
    "repair and critique": {"repair": 1.0, "critique": 0.2},
    "likelihood and reflection": {"likelihood": 1.0, "reflection": 0.5},
    "likelihood and the paper's reflection": ["likelihood", {"name": "reflection", "variant": "paper", "weight": 0.5}],
    # The student is its own teacher here: what counts is what a step takes once the teacher's probabilities are kept.
    "imitate": {"name": "imitate", "scorer": "hf:smollm2?device=cpu", "rollouts": False},
    "imitate, on the mistake too": {"name": "imitate", "scorer": "hf:smollm2?device=cpu"},
}
LIMITS = {"repair": 1.1, "prefer": 1.5, "likelihood and reflection": 2.0, "imitate": 1.3}
BATCH = 16


def repairs(count: int) -> list[Lesson]:
    """Worked solutions of which a step is wrong, as a scribe repairs them, each with another wording beside it."""
    task = find_task("word_problems?difficulty=1&size=4000")
    assert task.worked is not None
    asked = {question.id: question for question in task.load("train")[:count]}
    teacher = offline_teacher.WorkedTeacher(task, asked)
    made: list[Lesson] = []
    for number, question in enumerate(asked.values()):
        steps = split_steps(task.worked(question, number))
        place = random.Random(number).randrange(len(steps))
        steps[place] = steps[place].replace("= ", "= 9", 1)
        attempt = Attempt(question=question.id, text=f"{' '.join(steps)} --> 999", answer="999", verdict="wrong")
        chat = scribe.ask_scribe(
            task, question, reflection.as_completion(attempt), FeedbackConfig(form="scribe"), [], 2
        )
        said = feedback.written(chat, Reply(text=teacher(chat, 0)), {})
        kept = scribe.keep_repairs([said], task, asked, {question.id: attempt}, 2).lessons
        right = f"{task.worked(question, number + 1)} --> {question.answer}"
        made += [replace(one, wrong=(one.mistaken,), right=(right,)) for one in kept]
    return made


def measure(arm: str, steps: int) -> dict[str, Any]:
    """Train a few steps in this process."""
    from tutelage.training.job import Callbacks
    from tutelage.training.settings import TrainingConfig
    from tutelage.training.trainer import fit

    config = TrainingConfig(
        epochs=1, learning_rate=1e-5, schedule="constant", warmup=0, batch=BATCH, objective=ARMS[arm]
    )
    ticks: list[float] = []
    spec = {"name": "smollm2", "cache": str(cache_folder()), "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        callbacks = Callbacks(lambda tick: ticks.append(time.monotonic()), lambda: False)
        fit(spec, repairs(steps * BATCH), config, 0, Path(folder), callbacks)
    return {
        "seconds": [later - sooner for sooner, later in pairwise(ticks)],
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    """Compare the arms in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one turn of few steps; ratios are rough")
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=7, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(measure(given.arm, given.steps)))
        return
    steps, turns = (4, 1) if given.quick else (7, 3)
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS}
    memory: dict[str, float] = {}
    for _ in range(turns):
        for arm in ARMS:
            words = [sys.executable, __file__, "--arm", arm, "--steps", str(steps)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{arm} failed:\n{done.stderr}")
            told = json.loads(done.stdout.splitlines()[-1])
            seconds[arm] += told["seconds"]
            memory[arm] = max(memory.get(arm, 0.0), told["gigabytes"])
    print(
        "| objective | seconds a step | beside likelihood | limit | GB | beside likelihood |\n|---|---|---|---|---|---|"
    )
    base = median(seconds["likelihood"])
    for arm, taken in seconds.items():
        ratio, more = median(taken) / base, memory[arm] / memory["likelihood"]
        print(f"| {arm} | {median(taken):.2f} | {ratio:.2f} | {LIMITS.get(arm, '')} | {memory[arm]:.2f} | {more:.2f} |")


if __name__ == "__main__":
    main()
