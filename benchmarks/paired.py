"""The paired difference between exams on the same questions, over several seeds.

    python benchmarks/paired.py runs/F-0/2-test:runs/T-0/2-test runs/F-1/2-test:runs/T-1/2-test ...

Each argument is a pair BEFORE:AFTER of exam steps. Prints each pair's accuracies and difference, then the mean over pairs
with a 95 % bootstrap interval over all questions (which is what the seeds' test questions are: drawn anew for each).
"""

import sys
from pathlib import Path

from tutelage.evaluation.intervals import clustered_bootstrap
from tutelage.evaluation.pairs import shares
from tutelage.runs import records
from tutelage.types import Attempt


def verdicts(step: str) -> dict[str, float]:
    """The shares of an exam step."""
    return shares(records.read_records(Path(step) / "records.jsonl", Attempt))


def main() -> None:
    """Compare the pairs named on the command line."""
    pooled, means = [], []
    for pair in sys.argv[1:]:
        before, after = (verdicts(step) for step in pair.split(":"))
        if before.keys() != after.keys():
            sys.exit(f"{pair}: not the same questions")
        rises = [after[question] - before[question] for question in before]
        means.append(100 * sum(rises) / len(rises))
        pooled += rises
        a, b = (100 * sum(side.values()) / len(side) for side in (before, after))
        print(f"{pair}: {a:.1f} % -> {b:.1f} % ({means[-1]:+.1f}), n={len(rises)}")
    low, high = clustered_bootstrap(pooled)
    print(
        f"mean {sum(means) / len(means):+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], {len(means)} pairs, n={len(pooled)}"
    )


if __name__ == "__main__":
    main()
