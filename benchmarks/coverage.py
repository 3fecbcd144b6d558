"""How often the intervals over seeds hold, by simulation, beside percentiles and pooled questions, and how long one takes.

    python benchmarks/coverage.py [--studies 2000]

Each simulated study has S seeds and 300 questions a seed. A seed's effect is normal; a question is easy or hard for all seeds;
what is measured is the difference of two graded answers. "own": each seed asks its own questions; "shared": all ask the same.
"""

import argparse
import time

import numpy as np

from tutelage.evaluation.intervals import clustered_bootstrap
from tutelage.evaluation.seeds import over_seeds

QUESTIONS = 300


def study(
    rng: np.random.Generator, seeds: int, spread: float, shared: bool, rise: float = 0.05
) -> list[dict[str, float]]:
    """Differences of two exams under each seed: the true mean rise is `rise`."""
    hard = rng.normal(0, 1.0, QUESTIONS)
    rows = []
    for place in range(seeds):
        if not shared:
            hard = rng.normal(0, 1.0, QUESTIONS)
        own = rise + rng.normal(0, spread) if spread else rise
        before = np.clip(0.5 + 0.2 * hard, 0.02, 0.98)
        after = np.clip(
            before + own + 0.15 * rng.permutation(hard) * (not shared) + 0.15 * np.roll(hard, 1) * shared, 0, 1
        )
        answered = (rng.random(QUESTIONS) < after).astype(float) - (rng.random(QUESTIONS) < before)
        names = (f"{i}" if shared else f"{place}/{i}" for i in range(QUESTIONS))
        rows.append(dict(zip(names, answered.tolist(), strict=True)))
    return rows


def truth(spread: float, shared: bool) -> float:
    """The mean rise, clipping included, from very many questions and seeds."""
    rng = np.random.default_rng(7)
    rows = [study(rng, 1, spread, shared)[0] for _ in range(20_000)]
    return float(np.mean([np.mean(list(row.values())) for row in rows]))


def percentile(rows: list[dict[str, float]], rng: np.random.Generator) -> tuple[float, float]:
    """What one writes first: seeds drawn with replacement, then the questions of each, and percentiles."""
    table = np.array([list(row.values()) for row in rows])
    means = []
    for _ in range(200):
        drawn = table[rng.integers(0, len(table), len(table))]
        means.append(np.mean([one[rng.integers(0, len(one), len(one))].mean() for one in drawn]))
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def covered(studies: int, seeds: int, spread: float, shared: bool) -> dict[str, float]:
    """The share of studies whose interval holds the truth, by kind of interval."""
    rng, true = np.random.default_rng(1), truth(spread, shared)
    held = dict.fromkeys(("two levels", "t over seeds", "percentiles", "pooled questions"), 0)
    for _ in range(studies):
        rows = study(rng, seeds, spread, shared)
        found = over_seeds(rows, draws=300)
        held["two levels"] += found.low <= true <= found.high
        held["t over seeds"] += found.t_low <= true <= found.t_high
        low, high = percentile(rows, rng)
        held["percentiles"] += low <= true <= high
        low, high = clustered_bootstrap([value for row in rows for value in row.values()], draws=200)
        held["pooled questions"] += low <= true <= high
    return {name: count / studies for name, count in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = [{f"{i}": float(rng.random() < 0.5) for i in range(1000)} for _ in range(8)]
    begun = time.perf_counter()
    over_seeds(rows)
    print(f"8 seeds x 1,000 shared questions x 2,000 draws: {time.perf_counter() - begun:.2f} s")
    for seeds in (3, 5, 8):
        for spread in (0.0, 0.02, 0.05):
            for shared in (False, True):
                told = covered(given.studies, seeds, spread, shared)
                line = ", ".join(f"{name} {share:.1%}" for name, share in told.items())
                print(
                    f"{seeds} seeds, spread {spread:.0%}, questions {'shared' if shared else 'own'}: {line}", flush=True
                )


if __name__ == "__main__":
    main()
