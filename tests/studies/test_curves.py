"""The bill at equal accuracy, against a slow obvious version."""

import math
import random
from pathlib import Path

import pytest

from tutelage.studies.bill import Cost
from tutelage.studies.curves import points_of, ratio_of
from tutelage.studies.outcomes import FORMAT, Asked, KeptExam, Outcome, OutcomeStore

ASKED = Asked(ids=("a", "b", "c", "d"), keys=("a", "b", "c", "d"), kinds=("",) * 4)


def outcome(tokens: int, right: int, asked: Asked = ASKED, dollars: str | None = "0") -> Outcome:
    """A run whose teacher took so many tokens and whose student has so many right."""
    letters = "r" * right + "w" * (len(asked.ids) - right)
    exam = KeptExam(
        step="1-test", title="one", who="student", round=1, split="test", promised=True, asked=asked.digest, samples=1, verdicts=letters,
        strict=letters,
    )  # fmt: skip
    cost = Cost(
        step="rationales", kind="rationales", who="teacher", round=1, tokens_in=tokens, calls=1, dollars=dollars
    )
    return Outcome(format=FORMAT, identity="", student="1-test", last="1-test", exams=(exam,), bill=(cost,))


@pytest.fixture
def kept(tmp_path: Path) -> OutcomeStore:
    store = OutcomeStore(tmp_path)
    store.put(Path("any") / "0", outcome(1, 1), [ASKED])
    return store


def test_twice_the_bill_for_the_same_accuracy_is_a_ratio_of_two(kept: OutcomeStore) -> None:
    cheap = [{seed: outcome(tokens, right) for seed in range(3)} for tokens, right in ((100, 1), (400, 3))]
    dear = [{seed: outcome(2 * tokens, right) for seed in range(3)} for tokens, right in ((100, 1), (400, 3))]
    found = ratio_of(kept, cheap, dear, ("cheap", "dear"))
    assert found is not None
    assert (found.ratio, found.low, found.high) == pytest.approx((2, 2, 2))
    assert (found.level, found.unit, found.missed, found.bound, found.seeds) == (0.5, "tokens", 0, "", 3)


def test_the_accuracy_rises_evenly_with_the_logarithm_of_the_bill(kept: OutcomeStore) -> None:
    steep = [{seed: outcome(tokens, right) for seed in range(2)} for tokens, right in ((100, 0), (10_000, 4))]
    flat = [{seed: outcome(tokens, right) for seed in range(2)} for tokens, right in ((100, 0), (10_000, 2))]
    found = ratio_of(kept, steep, flat, ("steep", "flat"))
    assert found is not None
    assert found.level == 0.25
    assert found.ratio == pytest.approx(100 ** (0.5 - 0.25))


def test_an_arm_that_is_good_at_its_smallest_bill_gives_a_bound(kept: OutcomeStore) -> None:
    good = [{seed: outcome(tokens, right) for seed in range(2)} for tokens, right in ((100, 3), (400, 3))]
    slow = [{seed: outcome(tokens, right) for seed in range(2)} for tokens, right in ((100, 1), (400, 3))]
    assert ratio_of(kept, good, slow, ("good", "slow")).bound == "at least"  # type: ignore[union-attr]
    assert ratio_of(kept, slow, good, ("slow", "good")).bound == "at most"  # type: ignore[union-attr]
    assert ratio_of(kept, good, good, ("good", "same")) is None


def test_one_bill_or_one_seed_gives_no_ratio(kept: OutcomeStore) -> None:
    two = [{seed: outcome(tokens, right) for seed in range(2)} for tokens, right in ((100, 1), (400, 3))]
    assert ratio_of(kept, two[:1], two, ("a", "b")) is None
    alone = [{0: row[0]} for row in two]
    assert ratio_of(kept, alone, alone, ("a", "b")) is None


def test_the_interval_is_that_of_an_obvious_version(kept: OutcomeStore, tmp_path: Path) -> None:
    asked = Asked(ids=tuple(map(str, range(100))), keys=tuple(map(str, range(100))), kinds=("",) * 100)
    kept.put(Path("any") / "1", outcome(1, 1), [asked])
    rng = random.Random(4)
    sides = [
        [
            {seed: outcome(tokens, right + rng.randrange(-4, 5), asked) for seed in range(6)}
            for tokens, right in ((100, 20), (400, 60))
        ]
        for _ in range(2)
    ]
    found = ratio_of(kept, *sides, ("a", "b"))
    assert found is not None

    def needed(side: list[dict[int, Outcome]], seeds: list[int]) -> float:
        stretch = (6 / 5) ** 0.5
        shares = []
        for row in side:
            whole = sum(row[s].final.verdicts.count("r") / 100 for s in range(6)) / 6
            drawn = sum(row[s].final.verdicts.count("r") / 100 for s in seeds) / 6
            shares.append(whole + stretch * (drawn - whole))
        return math.log(100) + (found.level - shares[0]) / (shares[1] - shares[0]) * math.log(4)  # type: ignore[union-attr]

    ratios = []
    for _ in range(4000):
        seeds = [rng.randrange(6) for _ in range(6)]
        ratios.append(needed(sides[1], seeds) - needed(sides[0], seeds))
    ratios.sort()
    assert math.log(found.low) == pytest.approx(ratios[100], abs=0.02)
    assert math.log(found.high) == pytest.approx(ratios[3900], abs=0.02)


def test_dollars_are_the_unit_where_every_price_is_known(kept: OutcomeStore) -> None:
    bills = ((100, 1, 1.0), (400, 3, 4.0))
    side, other = (
        [
            {seed: outcome(tokens, right, dollars=str(times * dollars)) for seed in range(2)}
            for tokens, right, dollars in bills
        ]
        for times in (1, 4)
    )
    found = ratio_of(kept, side, other, ("a", "b"))
    assert found is not None
    assert found.unit == "dollars"
    assert found.ratio == pytest.approx(4)


def test_what_is_varied_may_be_no_bill(kept: OutcomeStore) -> None:
    side = [{seed: outcome(100, right) for seed in range(2)} for right in (1, 3)]
    assert ratio_of(kept, side, side, ("a", "b")) is None


def test_a_point_is_an_exam_with_what_was_taken_until_then(kept: OutcomeStore) -> None:
    (point,) = points_of(kept, [outcome(100, 1), outcome(300, 3)])
    assert (point.tokens, point.accuracy.mean) == (200, 0.5)
