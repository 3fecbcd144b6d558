"""Repairs through the command line: a scribe behind real HTTP, a tiny real student that learns to prefer, a probe, the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests import door
from tests.e2e.coins import ANSWERS, teach
from tests.e2e.test_rounds import config
from tests.server import serve

from tutelage.runs import records
from tutelage.types import Feedback, Lesson


def scribe(messages: list[dict[str, str]]) -> str:
    """Every step of an attempt stands but its answer; each third reply is in prose."""
    text = messages[0]["content"]
    if "Reply with one JSON object" not in text:
        return teach(messages)
    if len(text) % 3 == 0:
        return "Nearly. Look at the flips again."
    answer = next(answer for question, answer in ANSWERS.items() if question in text)
    return json.dumps(
        {"keep": text.count("\nStep "), "continuation": f"The answer is {answer}.", "diagnosis": "A flip was missed."}
    )


def call(folder: Path, *words: str) -> str:
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    done = door.tutelage(*words, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repairs")
    with serve(scribe) as (url, _):
        told = config(base_student, url)
        told |= {"start": "scratch", "feedback": {"form": "scribe"}, "mistakes": {"n": 1, "temperature": 0}}
        told |= {"later": {"objective": {"prefer": 1.0, "critique": 0.2}}, "rationales": {"accept_cut": True}}
        (folder / "c.yaml").write_text(yaml.safe_dump(told))
        (folder / "stdout").write_text(call(folder, "run", str(folder / "c.yaml"), "--into", str(folder / "run")))
    return folder


def test_repairs_are_learned_and_said(run: Path) -> None:
    printed = (run / "stdout").read_text()
    assert "repairs (dropped: " in printed
    assert "questions go up again, for a whole solution" in printed
    repairs = records.read_records(run / "run" / "2-repairs" / "records.jsonl", Lesson)
    whole = records.read_records(run / "run" / "2-feedback" / "records.jsonl", Feedback)
    assert repairs
    assert whole
    assert not {lesson.question for lesson in repairs} & {reply.question for reply in whole}
    for lesson in repairs:
        assert lesson.mistaken
        assert lesson.completion[: lesson.kept] == lesson.mistaken[: lesson.kept]
        assert lesson.completion != lesson.mistaken
    facts = json.loads((run / "run" / "2-student" / "facts.json").read_text())
    assert {"prefer", "preferred", "critique"} <= set(facts["numbers"])
    assert 0 < facts["active"]["prefer"] < 1
    assert facts["numbers"]["prefer"][-1] < facts["numbers"]["prefer"][0]


def test_the_report_shows_what_the_objective_told_and_the_signs(run: Path) -> None:
    text = (run / "run" / "report.html").read_text()
    for words in ("Prefer at each training step", "Signs", "same as another", "entropy", "repair"):
        assert words in text


def test_a_probe_of_the_run(run: Path) -> None:
    printed = call(run, "probe", str(run / "run"), "--into", str(run / "probe"), "--questions", "6")
    assert "GO: " in printed
    assert "the student alone" in printed
    assert (run / "probe" / "report.html").exists()
    again = call(run, "probe", str(run / "run"), "--into", str(run / "probe"), "--questions", "6")
    assert "(kept)" in again


def test_what_cannot_be_probed_is_one_sentence(run: Path) -> None:
    environment = {**os.environ, "TUTELAGE_CACHE": str(run / "cache")}
    words = [sys.executable, "-m", "tutelage", "probe", str(run), "--into", str(run / "x")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "is not a run" in done.stderr
    assert not (run / "x").exists()
