"""Tailored learning through the command line: a tiny real student, a teacher behind real HTTP, and kill -9."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.coins import TASK, teach
from tests.server import serve

from tutelage.runs import records
from tutelage.types import Attempt, Feedback, Lesson


def config(student: Path, url: str) -> dict[str, Any]:
    return {
        "recipe": "tailored",
        "task": TASK,
        "teacher": {"kind": "openai", "name": "teacher-1", "base_url": url, "concurrency": 4},
        "student": f"hf:{student}",
        "baselines": [],
        "rationales": {"samples": 1},
        "rounds": 2,
        "patience": None,
        "questions": {"dev_limit": 10},
        "mistakes": {"n": 2},
        "start": "warm",
        "feedback": {"rationales": 2},
        "training": {"epochs": 3, "batch": 8, "learning_rate": 0.01, "schedule": "constant", "warmup": 0},
        "later": {"learning_rate": 0.001, "reflection": {"weight": 0.5}},
        "exam": {"max_tokens": 12, "chunk": 16},
    }


def command(folder: Path, student: Path, url: str) -> tuple[list[str], dict[str, str]]:
    folder.mkdir()
    (folder / "c.yaml").write_text(yaml.safe_dump(config(student, url)))
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    return [
        sys.executable,
        "-m",
        "tutelage.cli.main",
        "run",
        str(folder / "c.yaml"),
        "--into",
        str(folder / "run"),
    ], environment


@pytest.fixture(scope="module")
def whole(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An undisturbed run, and how many requests it took."""
    folder = tmp_path_factory.mktemp("rounds") / "whole"
    with serve(teach) as (url, requests):
        words, environment = command(folder, base_student, url)
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        (folder / "stdout").write_text(done.stdout)
        return folder, len(requests)


def test_a_second_round_learns_from_the_mistakes_of_the_first(whole: tuple[Path, int]) -> None:
    folder, asked = whole
    printed = (folder / "stdout").read_text()
    for words in ("round 1", "tailored, round 2", "questions missed", "the latest that holds on dev", "active"):
        assert words in printed
    sat = records.read_records(folder / "run" / "2-exam" / "records.jsonl", Attempt)
    missed = {attempt.question for attempt in sat if attempt.verdict == "wrong" and not attempt.truncated}
    replies = records.read_records(folder / "run" / "2-feedback" / "records.jsonl", Feedback)
    lessons = records.read_records(folder / "run" / "2-lessons" / "records.jsonl", Lesson)
    assert {reply.question for reply in replies} == missed == {lesson.question for lesson in lessons}
    assert all(lesson.feedback == "A flip was missed." and lesson.key for lesson in lessons)
    train = len(records.read_records(folder / "run" / "rationales" / "records.jsonl", Attempt))
    assert asked == train + len(replies)  # a call a rationale, and one a correction
    facts = json.loads((folder / "run" / "2-student" / "facts.json").read_text())
    assert 0 < facts["active"]["reflection"] <= 1
    assert len(facts["numbers"]["reflection"]) == facts["steps"]
    assert (folder / "run" / "student" / "model.safetensors").exists()


@pytest.mark.parametrize("moment", ["1-student", "2-exam.draft", "2-feedback.draft", "2-student.draft", "2-test.draft"])
def test_kill_9_in_any_round_pays_nothing_twice(
    whole: tuple[Path, int], base_student: Path, tmp_path: Path, moment: str
) -> None:
    folder, asked = whole
    slow = 0.02 if "feedback" in moment else 0.0
    with serve(teach, slow) as (url, requests):
        words, environment = command(tmp_path / "part", base_student, url)
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment) as process:
            place = tmp_path / "part" / "run" / moment
            while not (place / "records.jsonl" if "draft" in moment and "student" not in moment else place).exists():
                assert process.poll() is None
                time.sleep(0.0005)
            time.sleep(0.05)
            process.kill()
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        repeated = sum(Counter(json.dumps(body, sort_keys=True) for body in requests).values()) - asked
    # What was in flight when the process died may be asked again; nothing that had been answered is.
    assert repeated <= (4 if "feedback" in moment else 0)
    for step in ("1-test", "2-exam", "2-test"):
        file = Path("run") / step / "records.jsonl"
        assert sorted((tmp_path / "part" / file).read_bytes().splitlines()) == sorted(
            (folder / file).read_bytes().splitlines()
        )
    weights = Path("run") / "student" / "model.safetensors"
    assert (tmp_path / "part" / weights).read_bytes() == (folder / weights).read_bytes()
