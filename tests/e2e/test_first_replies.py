"""A teacher that has no room to think is stopped after its first replies, through the command line."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_teacher import cli, write
from tests.server import Teacher, teaching

from tutelage import runner
from tutelage.errors import LessonError
from tutelage.recipes.catalog import check_config
from tutelage.recipes.corrections import ExamOutcome, lessons_for
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Lesson

TASK = "coin_flip?size=200"
ANSWERS = {q.text: q.answer for q in find_task(TASK).load("train")}


def reason(messages: list[dict[str, str]]) -> str:
    """A chat model's reply: reasoning and answer at once."""
    answer = next(answer for question, answer in ANSWERS.items() if question in messages[0]["content"])
    return f"Count the flips, then look.\n\n**The answer is {answer}.**"


def config(teacher: Teacher, **more: Any) -> dict[str, Any]:
    spec = {"kind": "openai", "name": "teacher-1", "base_url": teacher.url, "price": {"input": 1, "output": 2}}
    return {"recipe": "finetune_cot", "task": TASK, "teacher": spec, "baselines": [], **more}


def often(fault: str, first: int) -> Any:
    """Two replies of five come to nothing, for a while."""
    return lambda number, body: fault if number % 5 < 2 and number < first else ""


def test_a_rationale_takes_one_call(tmp_path: Path) -> None:
    with teaching(reason) as teacher:
        write(tmp_path, config(teacher))
        assert "in all: 140 calls" in cli(tmp_path, "plan", "c.yaml").stdout
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        assert len(teacher.requests) == 140
        made = records.read_records(tmp_path / "run" / "lessons" / "records.jsonl", Lesson)
        assert {lesson.completion.partition(" --> ")[0] for lesson in made} == {"Count the flips, then look."}


def test_cut_replies_stop_the_asking_and_what_was_paid_is_kept(tmp_path: Path) -> None:
    with teaching(reason, often("length", 10_000)) as teacher:
        write(tmp_path, config(teacher))
        stopped = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert stopped.returncode == 2
        assert "of the teacher's first 20 replies 8 cut off" in stopped.stderr
        assert "rationales.max_tokens=2048" in stopped.stderr
        assert len(teacher.requests) == 20
        again = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert again.returncode == 2
        assert len(teacher.requests) == 20
        on = cli(tmp_path, "lessons", "c.yaml", "rationales.accept_cut=true", "--into", "run")
        assert on.returncode == 0, on.stderr
        assert len(teacher.requests) == 140
        assert re.search(r"84 lessons from 140 rationales \(dropped: 56 truncated\)", on.stdout)


def consulted(folder: Path, teacher: Teacher, **more: Any) -> list[Lesson]:
    """A round's tutorial: every training question was missed."""
    kind = check_config({**config(teacher, **more), "recipe": "tailored", "student": "worked:", "questions": {"dev": "dev"}}, "test")  # fmt: skip
    with runner.open_classroom(kind, folder / "run") as room:
        train = room.questions("train")
        missed = [Attempt(question=q.id, text="It is. --> no", answer="no", verdict="wrong") for q in train]
        return lessons_for(room, kind, 2, ExamOutcome(train, missed, missed, []), [])


def correct(messages: list[dict[str, str]]) -> str:
    """Feedback as it should be; of two questions in five cut off before its solution."""
    place, answer = next((i, a) for i, (q, a) in enumerate(ANSWERS.items()) if q in messages[0]["content"])
    return "<error>Hm" if place % 5 < 2 else f"<solution>Count the flips. The answer is {answer}.</solution>"


@pytest.mark.parametrize(
    ("script", "fault", "says"),
    [
        (correct, "length", "cut off.*feedback.max_tokens=4096"),
        (lambda messages: "I cannot help with that.", "", "20 unread"),
        (correct, "400", "20 failed"),
    ],
)
def test_a_teacher_whose_feedback_comes_to_nothing_is_stopped_after_its_first_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any, fault: str, says: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    with teaching(script, lambda number, body: fault) as teacher:
        with pytest.raises(LessonError, match=says):
            consulted(tmp_path, teacher)
        assert len(teacher.requests) == 20
        with pytest.raises(LessonError, match=says):  # looked at again, and not asked again
            consulted(tmp_path, teacher)
        assert len(teacher.requests) == 20
        if fault == "length":
            made = consulted(tmp_path, teacher, rationales={"accept_cut": True})
            assert len(teacher.requests) == len(ANSWERS)
            assert len(made) == len(ANSWERS) * 3 // 5


def test_a_sample_says_what_would_be_lost(tmp_path: Path) -> None:
    with teaching(reason, often("length", 10_000)) as teacher:
        write(tmp_path, config(teacher))
        planned = cli(tmp_path, "plan", "c.yaml", "--sample", "10")
        assert "of them 40% cut off, 0% failed, 0% unread" in planned.stdout


def test_a_teacher_that_commits_to_nothing_is_told_apart(tmp_path: Path) -> None:
    with teaching(lambda messages: "It could be yes, or no.") as teacher:
        write(tmp_path, config(teacher))
        stopped = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert stopped.returncode == 2
        assert "first 20 replies 20 unread" in stopped.stderr
        assert "rationales.calls=2" in stopped.stderr
