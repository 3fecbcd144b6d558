"""No text ends a run or a file: what a reader stumbles over is unread, with its reason, and what is paid for is kept."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests import door
from tests.server import teaching

from tutelage import exam, runner
from tutelage.evaluation import regrade, scoreboard
from tutelage.grading.answers import READERS
from tutelage.runs import records
from tutelage.runs.replies import ReplyCache
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Question, Reply

TASK = "word_problems?size=60"
QUESTIONS = find_task(TASK).load("train")
STUCK = ["7" * 5000, "5" + ",000" * 2000, "0." + "3" * 5000, "1/" + "0" * 9, "hundred " * 3000]


def config(url: str, **more: Any) -> dict[str, Any]:
    teacher = {"kind": "openai", "name": "teacher-1", "base_url": url, "concurrency": 8}
    return {"recipe": "finetune_cot", "task": TASK, "teacher": teacher, "baselines": [], **more}


def say(messages: list[dict[str, str]]) -> str:
    place, question = next((i, q) for i, q in enumerate(QUESTIONS) if q.text in messages[0]["content"])
    stuck = STUCK[place % 20] if place % 20 < len(STUCK) else question.answer
    return f"It takes a few steps. The answer is {stuck}."


def test_a_teacher_that_is_stuck_on_a_digit_ends_no_run(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        file = runner.make_lessons(config(teacher.url), tmp_path / "run")
        attempts = records.read_records(tmp_path / "run" / "rationales" / "records.jsonl", Attempt)
    assert {attempt.verdict for attempt in attempts} == {"right", "unread"}
    assert len(file.read_text().splitlines()) == sum(attempt.verdict == "right" for attempt in attempts) > 0


@pytest.mark.parametrize("kind", ["number", "math"])
def test_a_file_with_odd_numbers_is_graded_whole(kind: str, tmp_path: Path) -> None:
    texts = [*STUCK, "5"]
    rows = [{"id": str(i), "answer": "5", "completion": f"The answer is {text}"} for i, text in enumerate(texts)]
    rows.append({"id": "gold", "answer": "7" * 5000, "completion": "The answer is 5."})
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = door.tutelage("grade", "c.jsonl", "--kind", kind, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["right"]) == (len(rows), 1)


def broken(text: str, question: Question) -> str | None:
    if "7" in text:
        raise ZeroDivisionError(f"seven\nin {text}")
    return READERS["number"][0](text, question)


def test_what_a_reader_raises_is_the_reason_that_a_row_is_unread() -> None:
    """In the record, in the score's line, and gone when a mended reader grades the same attempts again."""
    same = READERS["number"][1]
    task = Task(name="own", kind="number", splits=(), load=lambda split: [], read=broken, same=same)
    question = Question(id="q", text="", answer="7")
    attempts = [exam.grade(task, question, Reply(text=text), i) for i, text in enumerate(("7", "The answer is 6."))]
    assert [(one.verdict, one.strict, one.error) for one in attempts] == [
        ("unread", "unread", ""),
        ("wrong", "wrong", ""),
    ]
    assert attempts[0].remark == "the reader failed: ZeroDivisionError: seven in 7"
    assert "1 could not be graded" in scoreboard.score(attempts).line()
    mended = Task(name="own", kind="number", splits=(), load=lambda split: [], read=READERS["number"][0], same=same)
    again = regrade.again(mended, {"q": question}, attempts)
    assert [(one.verdict, one.remark) for one in again] == [("right", ""), ("wrong", "")]


def test_a_file_says_how_many_rows_could_not_be_graded(tmp_path: Path) -> None:
    same = READERS["number"][1]
    task = Task(name="own", kind="number", splits=("test",), read=broken, same=same, load=lambda split: [QUESTIONS[0]])
    rows = [{"id": QUESTIONS[0].id, "completion": text} for text in ("7", "The answer is 6.")]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tally = regrade.grade_file(tmp_path / "c.jsonl", regrade.by_task(task, "test"), tmp_path / "out.jsonl")
    assert (tally.remarked, tally.unread) == (1, 1)
    assert tally.remark.startswith(f"{QUESTIONS[0].id}: the reader failed: ZeroDivisionError")
    assert ["remark" in json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [True, False]


def test_an_error_anywhere_in_a_run_keeps_what_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds on to the generators that wait for replies, so nobody else would wait for them."""
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    seen = threading.Event()

    def listener(event: Any) -> None:
        if event["event"] == "progress" and event["done"] >= 3 and not seen.is_set():
            seen.set()
            raise OSError("the disk is full")

    with teaching(say, seconds=0.3) as teacher:
        with pytest.raises(OSError, match="the disk is full") as error:
            runner.make_lessons(config(teacher.url), tmp_path / "run", listener=listener)
        assert error.value.__traceback__ is not None  # it is still held, as the command line holds it to say it
        sent = len(teacher.requests)
        assert 3 < sent < len(QUESTIONS)
        kept = ReplyCache(tmp_path / "cache" / "replies.sqlite")
        assert len(list(kept.rows())) == sent == len(teacher.answered)
        kept.close()
        runner.make_lessons(config(teacher.url), tmp_path / "run")
        assert len(teacher.requests) == len(QUESTIONS)
