"""Tailored learning with a scribe: what is asked twice, what is kept, and what of it is learned how."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, ASKED, STUDENTS, config, good, know

from tutelage import runner
from tutelage.errors import ConfigError, LessonError
from tutelage.lessons.steps import split_steps
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Feedback


def scribing(chat: Chat, sample: int) -> str:
    """A scribe that is good on odd questions, keeps too much on every fourth, and answers the others in prose."""
    if chat.purpose != "scribe":
        return good(chat, sample)
    ASKED.append(chat)
    number = int(chat.question.rpartition("-")[2])
    if number % 2:
        told = {
            "keep": 1,
            "continuation": f"Then it is so. The answer is {ANSWERS[chat.question]}.",
            "diagnosis": "Step 2 is wrong.",
        }
        return json.dumps(told)
    return json.dumps({"keep": 9, "continuation": "x"}) if number % 4 else "Well done."


def proser(chat: Chat, sample: int) -> str:
    return good(chat, sample) if chat.purpose != "scribe" else "Well done."


def stepper(number: int) -> Any:
    """A student whose first step is right, and whose second is not where it is wrong."""

    def student(chat: Chat, sample: int) -> str:
        right = int(chat.question.rpartition("-")[2]) % 10 < 3 * number
        answer = ANSWERS[chat.question]
        shown = answer if right else {"yes": "no", "no": "yes"}[answer]
        return f"It begins so {sample}. It goes on like student {number}. --> {shown}"

    return student


untuned, first, second = stepper(0), stepper(1), stepper(2)


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"scripted:{__name__}:{STUDENTS[int(job.step[0])]}")


def settings(**feedback: Any) -> dict[str, Any]:
    return config(
        preset="house",
        teacher=f"scripted:{__name__}:scribing",
        student=f"scripted:{__name__}:untuned",
        rounds=2,
        rationales={"samples": 1, "calls": 2, "accept_cut": True},
        feedback={"form": "scribe", **feedback},
        later={"objective": "prefer"},
        review=0,
    )


def test_what_a_scribe_cannot_do_is_asked_for_as_a_whole_solution(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(), tmp_path / "run", launcher=fitted)
    asked = [chat for chat in ASKED if chat.purpose == "scribe"]
    again = {chat.question for chat in ASKED if chat.purpose == "feedback"}
    assert again == {chat.question for chat in asked if int(chat.question.rpartition("-")[2]) % 2 == 0}
    assert all("> It begins so 0." in chat.messages[0].content for chat in asked)
    fresh = [lesson for lesson in fitted[1].lessons if lesson.round == 2]
    repairs = [lesson for lesson in fresh if lesson.kind == "repair"]
    assert {lesson.question for lesson in repairs} == {chat.question for chat in asked} - again
    assert {lesson.question for lesson in fresh if lesson.kind == "feedback"} == again
    for lesson in repairs:
        assert lesson.completion == f"It begins so 0. Then it is so. --> {ANSWERS[lesson.question]}"
        assert split_steps(lesson.completion[: lesson.kept]) == ["It begins so 0."]
        assert lesson.mistaken.startswith("It begins so 0. It goes on like student 1. --> ")
        assert lesson.feedback == "Step 2 is wrong."
        assert lesson.attempts == (f"2-exam/{lesson.question}#0",)
    assert fitted[1].training.objective == "prefer"
    told = (tmp_path / "run" / "events.jsonl").read_text()
    kept, total = len(repairs), len(asked)
    assert f"{kept} lessons from {total} repairs (dropped: " in told
    assert "unanswered" in told
    assert "keep a wrong step" in told
    assert f"{len(again)} questions go up again, for a whole solution" in told


def test_run_again_nothing_is_asked_twice(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(), tmp_path / "run", launcher=fitted)
    count, taught = len(ASKED), len(fitted)
    runner.run(settings(), tmp_path / "run", launcher=fitted)
    assert (len(ASKED), len(fitted)) == (count, taught)


def test_limits_hold_for_both_kinds_of_request_together(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(calls=20), tmp_path / "calls", launcher=fitted)
    assert len([chat for chat in ASKED if chat.purpose in ("scribe", "feedback")]) <= 20
    ASKED.clear()
    runner.run(settings(tokens=1500), tmp_path / "tokens", launcher=fitted)
    replies = [
        reply
        for step in ("2-scribe", "2-feedback")
        for reply in records.read_records(tmp_path / "tokens" / step / "records.jsonl", Feedback)
    ]
    spent = sum(reply.tokens_in + reply.tokens_out for reply in replies)
    each = max(reply.tokens_in + reply.tokens_out for reply in replies)
    assert 1500 <= spent < 1500 + 8 * each


def test_without_a_mistake_to_show_a_scribe_writes_the_whole(tmp_path: Path, fitted: Noting) -> None:
    """The ablation: the same request, and nothing of the student's."""
    more = settings(shown=0)
    runner.run({**more, "later": {}, "teacher": f"scripted:{__name__}:proser"}, tmp_path / "run", launcher=fitted)
    asked = [chat for chat in ASKED if chat.purpose == "feedback"]
    assert asked
    assert not any("It begins so" in chat.messages[0].content for chat in asked)


def test_a_teacher_that_is_no_scribe_is_noticed_before_all_of_it_is_paid_for(
    tmp_path: Path, fitted: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.classroom.room.FREE", frozenset())  # as if it were a service
    more = {**settings(), "teacher": f"scripted:{__name__}:proser", "rationales": {"samples": 1, "calls": 2}}
    with pytest.raises(LessonError, match="20 unread.*feedback.form=solution asks for less"):
        runner.run(more, tmp_path / "run", launcher=fitted)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"writes": "rationales"}, "form=scribe is a form of feedback; it needs writes=feedback, not rationales"),
        ({"rationales": 2}, "an attempt goes on in one way; rationales=2 needs form=solution"),
        ({"form": "scribes"}, "scribe"),
    ],
)
def test_bad_settings_name_the_key(tmp_path: Path, fitted: Noting, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        runner.run(settings(**change), tmp_path / "run", launcher=fitted)


def test_the_plan_counts_both_kinds_of_request() -> None:
    from tutelage.recipes.tailored import RECIPE
    from tutelage.recipes.tailored_settings import Tailored

    assert RECIPE.calls is not None
    rows = RECIPE.calls(
        Tailored(task="coin_flip?size=200", rounds=2, feedback={"form": "scribe"}), find_task("coin_flip?size=200")
    )  # type: ignore[arg-type]
    assert [row.step for row in rows if "at the most" in row.step] == [
        "repairs, at the most",
        "whole solutions instead, at the most",
    ]
