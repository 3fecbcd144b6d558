"""Another student's mistakes in place of one's own: who is taught what first, whose mistakes choose, and whose are shown."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, ASKED, config, good, know

from tutelage import runner
from tutelage.errors import ConfigError
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Chat, Lesson

TASK = "word_problems?size=600"
KINDS: dict[str, str] = {}


def worked(chat: Chat, sample: int) -> str:
    return good(chat, sample)


def untuned(chat: Chat, sample: int) -> str:
    return "So it is. --> 0"


def first(chat: Chat, sample: int) -> str:
    """Right on questions with an even number."""
    even = int(chat.question.rpartition("-")[2]) % 2 == 0
    return f"The first says so. --> {ANSWERS[chat.question] if even else 0}"


def other(chat: Chat, sample: int) -> str:
    """The partner: right on every third question."""
    third = int(chat.question.rpartition("-")[2]) % 3 == 0
    return f"The partner says so. --> {ANSWERS[chat.question] if third else 0}"


@pytest.fixture
def fitted() -> Noting:
    know(TASK)
    KINDS.update({question.id: question.template for question in find_task(TASK).load("train")})
    return Noting(lambda job: f"scripted:{__name__}:{'other' if job.step.startswith('partner') else 'first'}")


def settings(**more: Any) -> dict[str, Any]:
    return config(
        preset="house",
        task=TASK,
        teacher=f"scripted:{__name__}:worked",
        student=f"scripted:{__name__}:untuned",
        rounds=2,
        first=60,
        baselines=[],
        review=0,
        **more,
    )


def missed_in(folder: Path, step: str) -> set[str]:
    sat = records.read_records(folder / step / "records.jsonl", Attempt)
    return {attempt.question for attempt in sat if attempt.verdict == "wrong"}


def test_first_lessons_are_skewed_to_other_halves_and_share_no_question(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(partner={"skew": 0.75}), tmp_path / "run", launcher=fitted)
    own, theirs = (next(one.lessons for one in fitted if one.step == step) for step in ("1-student", "partner-student"))
    asked = [{lesson.question for lesson in lessons} for lessons in (own, theirs)]
    assert len(asked[0]) == len(asked[1]) == 60
    assert not asked[0] & asked[1]
    count = [Counter(KINDS[name] for name in names) for names in asked]
    # Three quarters of each are about a half of the kinds, and it is not the same half.
    kinds = sorted({*count[0], *count[1]}, key=lambda kind: count[1][kind] - count[0][kind])
    shares = [
        max(sum(one[kind] for kind in kinds[:cut]) for cut in (len(kinds) // 2, len(kinds) - len(kinds) // 2))
        for one in count
    ]
    assert shares[0] > 40
    assert shares[1] < 25


def test_the_partner_s_mistakes_choose(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(partner={"use": "choose"}), tmp_path / "run", launcher=fitted)
    chats = [chat for chat in ASKED if chat.purpose == "feedback"]
    assert {chat.question for chat in chats} == missed_in(tmp_path / "run", "2-partner")
    assert all("> The partner says so." in chat.messages[0].content for chat in chats)
    taught = next(one.lessons for one in fitted if one.step == "2-student")
    assert {lesson.question for lesson in taught if lesson.round == 2} == {chat.question for chat in chats}
    # Each refers to the exam that the mistake was made in.
    names = {name for lesson in taught if lesson.round == 2 for name in lesson.attempts}
    assert names == {f"2-partner/{chat.question}#0" for chat in chats}


def test_the_partner_s_mistakes_are_shown(tmp_path: Path, fitted: Noting) -> None:
    """Yoked: the questions are the student's own."""
    runner.run(settings(partner={"use": "show"}), tmp_path / "run", launcher=fitted)
    chats = [chat for chat in ASKED if chat.purpose == "feedback"]
    both = missed_in(tmp_path / "run", "2-partner") & missed_in(tmp_path / "run", "2-exam")
    assert {chat.question for chat in chats} == both
    assert all("> The partner says so." in chat.messages[0].content for chat in chats)


def test_the_arm_beside_it_has_the_same_first_lessons_and_no_partner(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(partner={"use": "none"}), tmp_path / "none", launcher=fitted)
    assert [one.step for one in fitted] == ["1-student", "2-student"]
    own = fitted[0].lessons
    fitted.clear()
    runner.run(settings(partner={"use": "choose"}), tmp_path / "choose", launcher=fitted)
    assert fitted[0].lessons == own
    shown = [
        chat for chat in ASKED if chat.purpose == "feedback" and "> The first says so." in chat.messages[0].content
    ]
    assert shown


def test_the_run_s_student_is_the_student(tmp_path: Path, fitted: Noting) -> None:
    from tutelage.runs import history

    scores = runner.run(settings(partner={}), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["Fine-tune-CoT (round 1)", "tailored, round 2"]
    student = history.open_run(tmp_path / "run").student()
    assert student is not None
    assert student.name == "student"
    lessons = records.read_records(tmp_path / "run" / "partner-lessons" / "records.jsonl", Lesson)
    assert len({lesson.question for lesson in lessons}) == 60


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rounds": 3, "partner": {}}, "with rounds=3 it would fall behind"),
        ({"partner": {}, "first": None}, "needs `first` and a task whose questions have templates"),
        ({"partner": {}, "task": "coin_flip?size=200", "first": 300}, "partner: "),
        ({"partner": {"skew": 0.2}}, "skew"),
        ({"partner": {"use": "choice"}}, "choose"),
        (
            {"feedback": {"diagnosis": False}, "later": {"objective": {"likelihood": 1, "critique": 0.2}}},
            "critique learns from the teacher.s lines",
        ),
    ],
)
def test_bad_settings_are_one_sentence(tmp_path: Path, fitted: Noting, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        runner.run({**settings(), **change}, tmp_path / "run", launcher=fitted)
