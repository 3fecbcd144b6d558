"""The plan of a study: what it will take and what it can show, with nothing asked and nothing written."""

from pathlib import Path

from tests.studies import pupils

from tutelage.studies.estimates import plan_lines
from tutelage.studies.study_folder import look_at_study, open_study
from tutelage.studies.working import HowToWork, work


def test_a_plan_counts_what_arms_share_once_and_writes_nothing(tmp_path: Path) -> None:
    lines = plan_lines(look_at_study(pupils.study(), tmp_path / "study"))
    assert lines[0] == "short: 6 runs (2 arms x 3 seeds); 0 are finished"
    assert any(line.startswith("teacher worked:, rationales: 60 calls") for line in lines)
    assert any("feedback, at the most: 30 calls" in line for line in lines)
    assert "time: not known before the first runs are finished (6 are owed)" in lines
    assert lines[-1].startswith("power: with 3 seeds x 50 questions a difference of about ")
    assert not (tmp_path / "study").exists()


def test_each_teacher_has_its_own_price(tmp_path: Path) -> None:
    dear = {"kind": "openai", "name": "gpt-4o-mini"}
    arms = {"once": {}, "dear": {"teacher": dear}}
    lines = plan_lines(look_at_study(pupils.study(arms=arms, compare=[["once", "dear"]]), tmp_path / "study"))
    prices = [line for line in lines if "price:" in line]
    assert len(prices) == 2
    assert "costs nothing" in prices[0]
    assert prices[1].startswith("teacher openai:gpt-4o-mini, price: $")


def test_finished_runs_say_how_long_the_others_take_and_what_will_be_shown(tmp_path: Path) -> None:
    opened = open_study(pupils.study(), tmp_path / "study")
    work(opened, HowToWork(launcher=pupils.launcher(), seeds=[0, 1]))
    lines = plan_lines(look_at_study(pupils.study(), tmp_path / "study"))
    assert "4 are finished" in lines[0]
    assert any("hours for the 2 runs that are owed, by the runs that were finished here" in line for line in lines)
    assert any(
        line.startswith("power: once -> twice: a difference of") and "2 seeds that are finished" in line
        for line in lines
    )


def test_a_bill_that_ends_the_buying_is_said(tmp_path: Path) -> None:
    raw = pupils.study(vary={"budget.until.tokens": [500, 900]})
    lines = plan_lines(look_at_study(raw, tmp_path / "study"))
    assert lines[0].startswith("short: 12 runs (2 arms x 3 seeds x 2 values)")
    assert any("budget.until ends the buying" in line for line in lines)


def test_runs_that_choose_are_counted_before_anything_is_chosen(tmp_path: Path) -> None:
    raw = pupils.study(tune={"later.learning_rate": [1e-5, 1e-4]}, tune_seeds=[9])
    lines = plan_lines(look_at_study(raw, tmp_path / "study"))
    assert lines[0] == "short: 6 runs (2 arms x 3 seeds) and 4 that choose later.learning_rate on dev; 0 are finished"
    assert "time: not known before the first runs are finished (10 are owed)" in lines


def test_lessons_of_a_last_round_are_counted_once_for_arms_that_differ_in_its_training(tmp_path: Path) -> None:
    arms = {"short": {"later.epochs": 1}, "long": {"later.epochs": 3}}
    both = plan_lines(look_at_study(pupils.study(arms=arms, compare=[["short", "long"]]), tmp_path / "study"))
    more = {"short": {"later.epochs": 1}, "long": {"later.epochs": 3, "mistakes.questions": 50}}
    apart = plan_lines(look_at_study(pupils.study(arms=more, compare=[["short", "long"]]), tmp_path / "study"))

    def calls(lines: list[str]) -> int:
        (line,) = [line for line in lines if "at the most" in line]
        return int(line.partition("at the most: ")[2].partition(" calls")[0])

    assert calls(apart) > calls(both)
