"""Short lessons that share a line: the same losses and students, whatever the objective, and no lesson sees another."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.contracts import architectures
from tests.contracts.test_objectives import MIXES, lesson, train, weights_of
from tests.training.test_layout import branching, windowed

from tutelage.classroom.remarks import of_training
from tutelage.models.local import weights
from tutelage.training import collation, layout
from tutelage.training.examples import Branch
from tutelage.training.rows import Row, RowPart, totals_of

MIXED = [
    branching([5] * 40, list(range(10, 30)), [40] * 8),
    branching([6, 7, 8], [50, 51, 52]),
    branching([9] * 6, [60, 61], [62] * 5, [63, 64, 65]),
    branching([11] * 12, list(range(70, 80))),
]


@pytest.mark.parametrize("seed", range(20))
def test_lines_hold_every_row_once_and_are_no_longer_than_the_longest(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [int(rng.lognormvariate(4, 1)) + 1 for _ in range(rng.randint(1, 40))]
    lines = collation.packed(lengths)
    assert sorted(number for line in lines for number in line) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in line) <= max(lengths) for line in lines)
    # First fit, longest first, takes no more than 11/9 of the fewest lines there can be, and one [Johnson 1973].
    assert len(lines) <= 11 / 9 * -(-sum(lengths) // max(lengths)) * 1.5 + 1


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_no_row_sees_another(base_student: Path, attention: str) -> None:
    model, _ = weights.load(str(base_student), torch.float32, Path())
    model.set_attn_implementation(attention)
    model.eval()
    lines = [[0, 1, 3], [2]]

    def states(rows: list[Row]) -> list[torch.Tensor]:
        laid = collation.lay_shared(rows, 0, lines)
        found = layout._states(model, laid.tensors)
        return [
            found[place.line, place.column : place.column + len(branch.ids)]
            for row, places in zip(rows, laid.places, strict=True)
            for branch, place in zip(row.branches, places, strict=True)
        ]

    assert layout._distance(model, MIXED, 0, lines) < 1e-5
    before = states(MIXED)
    after = states([MIXED[0], branching([90] * 3, [91, 92, 93]), *MIXED[2:]])
    first = len(MIXED[0].branches)
    for place, (one, other) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(one, other) is (not first <= place < first + len(MIXED[1].branches))


def test_each_target_is_predicted_from_its_own_row() -> None:
    def targets(number: int) -> Row:
        part = RowPart("it", Branch([10 * number + i for i in range(3)], Branch([number] * number)), [1.0] * 3)
        return Row({"o": [part]})

    rows = [targets(number) for number in (2, 7, 1, 4)]
    inputs = collation.collate_rows(rows, totals_of(rows), 0, packing=True)
    part = inputs["parts"]["o"]["it"]
    ids = inputs["input_ids"]
    assert ids.shape == (3, 10)
    assert ids[part["lines"], part["columns"]].tolist() == part["labels"].tolist()
    sources = ids[part["lines"], part["sources"]].tolist()
    assert sources == [value for n in (2, 7, 1, 4) for value in (n, 10 * n, 10 * n + 1)]


@pytest.mark.parametrize("objective", MIXES, ids=str)
def test_packed_lessons_train_the_same_student(base_student: Path, tmp_path: Path, objective: Any) -> None:
    lessons = [lesson(question, way) for question in (0, 16, 1, 30) for way in ("So", "Then", "Thus")][:11]
    more: dict[str, Any] = {"sort_window": 1, "batch": 6, "lessons": lessons}
    usual = train(tmp_path / "usual", base_student, objective, **more)
    facts = train(tmp_path / "packed", base_student, objective, packing=True, **more)
    assert facts["padding"] < 0.8 * usual["padding"]
    assert facts["losses"] == pytest.approx(usual["losses"], abs=1e-5)
    assert {name: pytest.approx(told, abs=2e-4) for name, told in facts.get("numbers", {}).items()} == usual.get(
        "numbers", {}
    )
    found, wanted = weights_of(tmp_path / "packed"), weights_of(tmp_path / "usual")
    assert all(torch.allclose(one, wanted[name], atol=2e-4) for name, one in found.items())


def test_packed_lessons_need_a_mask_that_keeps_them_apart(base_student: Path, tmp_path: Path) -> None:
    assert layout.why_unpacked(windowed(tmp_path, 100), MIXED, 0) == ""
    assert "would move its states" in layout.why_unpacked(windowed(tmp_path, 30), MIXED, 0)
    student = architectures.make("lfm2", base_student, tmp_path / "lfm2")
    facts = train(tmp_path / "s", student, "likelihood", packing=True)
    usual = train(tmp_path / "t", student, "likelihood")
    assert facts["losses"] == usual["losses"]
    (line,) = [line for line in of_training(facts) if "packing" in line]
    assert line.startswith("training.packing is left out for this student: ")


def test_much_padding_is_said(base_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", base_student, "likelihood", sort_window=1)
    said = list(of_training({**facts, "padding": 0.4}))
    assert any(
        line.startswith("40% of the columns that were computed are padding: training.packing=true") for line in said
    )
    assert not any("padding" in line for line in of_training({**facts, "padding": 0.1}))
    for how in ("apart", "unpacked", "packed"):  # where it would not help, or is done
        assert not any(
            "columns that were computed" in line for line in of_training({**facts, "padding": 0.4, how: "so"})
        )
