"""What an arm is worth over several seeds: means and differences with intervals that hold for another seed, too.

A seed is one draw of first lessons, order and sampling; each brings its own exam. An interval over the pooled questions of all
seeds takes the draw for nothing, and is too narrow for whoever trains once more.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from tutelage.evaluation import intervals

DRAWS = 2000
_NOTHING = 1e-12  # what rounding leaves of no spread at all
Shares = Mapping[str, float]  # question -> the share of its samples that are right


class Estimate(Struct, frozen=True, kw_only=True):
    """A mean over seeds, of shares between 0 and 1 or of their differences; every interval is at 95 %."""

    mean: float
    low: float
    high: float
    t_low: float  # by Student's t over the seeds' means alone
    t_high: float
    error: float  # standard error behind `low` and `high`
    freedom: float  # degrees of freedom of `error`
    p: float  # two-sided, against 0
    singles: tuple[float, ...]  # of each seed
    questions: int  # different ones, under all seeds together

    @property
    def seeds(self) -> int:
        """How many seeds it is over."""
        return len(self.singles)

    def line(self, signed: bool = True) -> str:
        """The estimate in points, in one line."""
        sign = "+" if signed else ""
        mean, low, high = (f"{100 * value:{sign}.1f}" for value in (self.mean, self.low, self.high))
        over = f"{self.seeds} seeds" if self.seeds > 1 else "1 seed, so over its questions alone"
        return f"{mean} [{low}, {high}], {over}, {self.questions} questions"


def over_seeds(seeds: Sequence[Shares], draws: int = DRAWS, seed: int = 0) -> Estimate:
    """The mean over seeds of the mean over questions, each seed counting the same, with its interval.

    A bootstrap in two levels: seeds are drawn with replacement, and so are the questions that several seeds share, each a
    cluster over all its seeds. A question that only one seed asks goes with its seed, whose mean holds its noise already: to draw
    it again would count it twice. Percentiles of both levels hold 89 to 98 % of the time, not 95 (LOG.md), so the draws give a standard
    error, with the deviations of n seeds stretched by sqrt(n / (n - 1)), and the interval is that times
    Student's t at Satterthwaite's degrees of freedom. `benchmarks/coverage.py` shows how often it holds.
    """
    if not seeds or not all(seeds):
        raise ValueError("a seed without questions has no mean")
    import numpy as np

    if len(seeds) == 1:
        return _single(seeds[0])
    asked = Counter(name for shares in seeds for name in shares)
    means = np.array([sum(shares.values()) / len(shares) for shares in seeds])
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(seeds), (draws, len(seeds)))
    stretched = (means - means.mean()) * np.sqrt(len(seeds) / (len(seeds) - 1))
    by_seed = stretched[chosen].mean(axis=1)
    effects = _shared(seeds, [name for name, count in asked.items() if count > 1], means)
    by_question = np.zeros(draws)
    if len(effects):
        times = rng.multinomial(len(effects), np.full(len(effects), 1 / len(effects)), draws)
        by_question = (times - 1) @ effects
    parts = float(by_seed.var()), float(by_question.var())
    return _with_interval(means, len(asked), parts, (len(seeds) - 1, max(len(effects) - 1, 1)))


def _shared(seeds: Sequence[Shares], names: Sequence[str], means: Any) -> Any:
    """What each question that several seeds ask adds to the mean beyond chance: its effect, shrunk by what one seed's noise makes of it."""
    import numpy as np

    if not names:
        return np.zeros(0)
    table = np.array([[shares.get(name, np.nan) for name in names] for shares in seeds])
    asked = np.isfinite(table)
    beside = table - means[:, None]
    effects = np.nanmean(beside, axis=0)
    noise = float((np.nanvar(beside, axis=0, ddof=1) / asked.sum(axis=0)).mean())
    spread = float(effects.var(ddof=1)) if len(effects) > 1 else 0.0
    kept = np.sqrt(max(0.0, 1 - noise / spread)) if spread else 0.0
    lengths = np.array([len(shares) for shares in seeds])
    weights = (asked / lengths[:, None] / len(seeds)).sum(axis=0)  # of a question in the mean
    drawn = effects * weights * kept
    return drawn - drawn.mean()


def _with_interval(means: Any, questions: int, parts: tuple[float, float], freedoms: tuple[int, int]) -> Estimate:
    from scipy import special

    mean, variance = float(means.mean()), sum(parts)
    error, only = variance**0.5, float(means.std(ddof=1)) / len(means) ** 0.5
    if error < _NOTHING:  # all seeds alike: so many questions without a difference leave room for one all the same
        low, high = intervals.of_rises([mean] * questions)
        error, freedom = (high - low) / 2 / intervals.Z_95, float(max(questions - 1, 1))
        p = 2 * float(special.stdtr(freedom, -abs(mean) / error)) if error else float(mean == 0)
        return _made(means, questions, (low, high, low, high), error, freedom, p)
    freedom = variance**2 / sum(part**2 / free for part, free in zip(parts, freedoms, strict=True))
    width, narrow = float(special.stdtrit(freedom, 0.975)) * error, float(special.stdtrit(len(means) - 1, 0.975)) * only
    p = 2 * float(special.stdtr(freedom, -abs(mean) / error))
    return _made(means, questions, (mean - width, mean + width, mean - narrow, mean + narrow), error, freedom, p)


def _made(
    means: Any, questions: int, ends: tuple[float, float, float, float], error: float, freedom: float, p: float
) -> Estimate:
    low, high, t_low, t_high = ends
    return Estimate(
        mean=float(means.mean()), low=low, high=high, t_low=t_low, t_high=t_high, error=error, freedom=freedom, p=p,
        singles=tuple(map(float, means)), questions=questions,
    )  # fmt: skip


def _single(shares: Shares) -> Estimate:
    """One seed says nothing of another: the interval is over its questions, and so is the p value."""
    import numpy as np
    from scipy import special

    values = np.array(list(shares.values()))
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    low, high = intervals.of_rises(list(map(float, values)))
    freedom = float(max(len(values) - 1, 1))
    p = 2 * float(special.stdtr(freedom, -abs(float(values.mean())) / error)) if error else float(values.mean() == 0)
    return _made(values.mean(keepdims=True), len(values), (low, high, low, high), error, freedom, p)


def paired_rises(before: Sequence[Shares], after: Sequence[Shares]) -> list[dict[str, float]]:
    """What each question rose by under each seed; both sides must have asked the same."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} and {len(after)} seeds cannot be paired")
    for place, (a, b) in enumerate(zip(before, after, strict=True), 1):
        if a.keys() != b.keys():
            raise ValueError(f"pair {place} is not on the same questions")
    return [{name: b[name] - a[name] for name in a} for a, b in zip(before, after, strict=True)]


def within_shares(found: Estimate) -> Estimate:
    """The same with every end between 0 and 1, where shares are."""
    ends = {name: min(1.0, max(0.0, getattr(found, name))) for name in ("low", "high", "t_low", "t_high")}
    return structs.replace(found, **ends)


def equivalence(found: Estimate, margin: float) -> float:
    """The p value of two one-sided tests that a difference lies within ± margin [Schuirmann 1987]."""
    from scipy import special

    if found.error == 0:
        return 0.0 if abs(found.mean) < margin else 1.0
    return float(special.stdtr(found.freedom, -(margin - abs(found.mean)) / found.error))


def detectable(found: Estimate) -> float:
    """The difference that seeds and questions like these would show at 5 % with a power of 80 %."""
    return shown_difference(found.error, found.freedom)


def shown_difference(error: float, freedom: float, power: float = 0.8) -> float:
    """The difference that a standard error with its degrees of freedom would show at 5 %, as often as `power` says."""
    from scipy import special

    return float(special.stdtrit(freedom, 0.975) + special.stdtrit(freedom, power)) * error
