"""Lessons until a bill is used, and lessons that cost nothing: the student's own right answers."""

from pathlib import Path
from typing import Any

import pytest
from tests.studies import pupils

from tutelage import runner
from tutelage.errors import Interrupted, RunError
from tutelage.runs import history, records
from tutelage.types import Attempt, Feedback, Lesson


def config(**more: Any) -> dict[str, Any]:
    return {**pupils.study()["base"], **more}


def made(into: Path, launcher: Any = None, stopping: Any = None, **more: Any) -> Path:
    runner.run(config(**more), into, stopping=stopping, launcher=pupils.launcher() if launcher is None else launcher)
    return into


def taken(run: Path) -> int:
    """Words that the teacher read and wrote for lessons."""
    rows: list[Any] = records.read_records(run / "rationales" / "records.jsonl", Attempt)
    if (run / "2-feedback").exists():
        rows += records.read_records(run / "2-feedback" / "records.jsonl", Feedback)
    return sum(row.tokens_in + row.tokens_out for row in rows)


def lessons_of(run: Path, step: str) -> list[Lesson]:
    return records.read_records(run / step / "records.jsonl", Lesson)


def test_first_lessons_are_bought_until_the_bill_is_used(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole", rounds=1, first=100)
    part = made(tmp_path / "part", rounds=1, first=100, budget={"until": {"tokens": 1500}})
    assert 1500 <= taken(part) < 1500 + 8 * 80 < taken(whole)
    (note,) = [line for line in history.open_run(part).notes("rationales") if "left out" in line]
    assert note.endswith(f"{100 - len(lessons_of(part, 'lessons'))} of 100 left out at budget.until.tokens=1500")
    assert [one.question for one in lessons_of(part, "lessons")] == [
        one.question for one in lessons_of(whole, "lessons")[: len(lessons_of(part, "lessons"))]
    ]


def test_feedback_is_bought_with_what_the_first_lessons_left(tmp_path: Path) -> None:
    first = taken(made(tmp_path / "first", rounds=1))
    run = made(tmp_path / "run", budget={"until": {"tokens": first + 500}}, feedback={})
    assert first + 500 <= taken(run) < first + 500 + 8 * 500
    assert 0 < len(records.read_records(run / "2-feedback" / "records.jsonl", Feedback)) <= 16


def test_calls_are_a_bill_too(tmp_path: Path) -> None:
    run = made(tmp_path / "run", budget={"until": {"calls": 24}})
    assert len(lessons_of(run, "lessons")) == 20
    assert len(records.read_records(run / "2-feedback" / "records.jsonl", Feedback)) == 8


def test_a_bill_that_is_used_up_ends_the_rounds(tmp_path: Path) -> None:
    run = made(tmp_path / "run", budget={"until": {"tokens": 100}})
    assert not (run / "2-student").exists()
    assert "budget.until is used" in history.open_run(run).notes("2-exam")[-1]
    assert history.open_run(run).state == "finished"


def test_an_interrupted_run_buys_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    limits = {"budget": {"until": {"tokens": 3000}}, "first": 40, "feedback": {}}
    whole = made(tmp_path / "whole", **limits)
    launcher = pupils.launcher()
    for steps in (3, 7, 12, 60, 90, 130):
        left = iter(range(steps))
        with pytest.raises(Interrupted):
            made(tmp_path / "part", launcher, lambda left=left: next(left, None) is None, **limits)
    part = made(tmp_path / "part", launcher, **limits)
    for step in ("lessons", "2-lessons"):
        assert lessons_of(part, step) == lessons_of(whole, step)


def test_what_is_bought_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    run = made(tmp_path / "run", rounds=1, budget={"until": {"tokens": 1500}})
    made(run, rounds=1, budget={"until": {"tokens": 1500}, "tokens": 10**6})  # a cap may change
    with pytest.raises(RunError, match=r"budget\.until\.tokens: 1500 -> 1600"):
        made(run, rounds=1, budget={"until": {"tokens": 1600}})


def test_own_right_answers_are_lessons_that_nobody_is_paid_for(tmp_path: Path) -> None:
    run = made(tmp_path / "run", feedback={"writes": "own", "rationales": 2}, mistakes={"n": 4, "questions": 40})
    sat = records.read_records(run / "2-exam" / "records.jsonl", Attempt)
    right = {attempt.question for attempt in sat if attempt.verdict == "right"}
    own = lessons_of(run, "2-lessons")
    assert {lesson.question for lesson in own} == right
    assert {(lesson.kind, lesson.teacher, lesson.round) for lesson in own} == {("own", "", 2)}
    assert not (run / "2-feedback").exists()
    step = next(step for step in history.steps(run) if step.name == "2-lessons")
    assert step.label.who == "student"


def test_questions_answered_right_can_go_up(tmp_path: Path) -> None:
    run = made(tmp_path / "run", feedback={"of": "right", "writes": "rationales", "questions": 10})
    sat = records.read_records(run / "2-exam" / "records.jsonl", Attempt)
    right = {attempt.question for attempt in sat if attempt.verdict == "right"}
    taught = {lesson.question for lesson in lessons_of(run, "2-lessons")}
    assert len(taught) == 10
    assert taught <= right


def test_the_teacher_is_asked_only_where_no_own_answer_is_right(tmp_path: Path) -> None:
    run = made(tmp_path / "run", feedback={"own": 1, "of": "unsolved"}, mistakes={"n": 4, "questions": 40})
    attempts = records.read_records(run / "2-exam" / "records.jsonl", Attempt)
    solved = {attempt.question for attempt in attempts if attempt.verdict == "right"}
    missed = {attempt.question for attempt in attempts if attempt.verdict == "wrong"}
    assert solved & missed  # some are answered both ways
    own, taught = lessons_of(run, "2-own"), lessons_of(run, "2-lessons")
    assert {lesson.question for lesson in own} == solved
    assert {lesson.question for lesson in taught} == missed - solved
    assert {lesson.kind for lesson in own} == {"own"}
    replies = records.read_records(run / "2-feedback" / "records.jsonl", Feedback)
    assert {reply.question for reply in replies} == missed - solved
