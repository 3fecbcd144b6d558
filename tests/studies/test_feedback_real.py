"""The study that asks what a real teacher's feedback is worth, with a stand-in for the teacher behind real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.server import serve
from tests.studies import pupils

from tutelage.runs import records
from tutelage.studies.workers import run_study
from tutelage.studies.working import HowToWork
from tutelage.types import Lesson

FILE = Path(__file__).parents[2] / "studies" / "feedback-real.yaml"


def teach(messages: list[dict[str, str]]) -> str:
    """A scribe that finds every first step wrong, as these students' are, and forgets its form now and then."""
    text = messages[0]["content"]
    gold = next(answer for question, answer in pupils.ANSWERS.items() if question in text)
    if "Reply with one JSON object" in text:
        if len(text) % 5 == 0:
            return "Let me explain what went wrong."
        return json.dumps(
            {
                "keep": 0,
                "continuation": f"It is {gold}, counted again. The answer is {gold}.",
                "diagnosis": "One too many.",
            }
        )
    if "<solution>" in text:
        return f"<error>One too many.</error><solution>Count to {gold}. The answer is {gold}.</solution>"
    return f"Count. The answer is {gold}."


def scaled(url: str) -> Any:
    """The file as it is, with another teacher and student, and fewer questions."""
    raw = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    raw["base"] |= {
        "task": pupils.TASK,
        "teacher": {"kind": "openai", "name": "teacher-1", "base_url": url, "concurrency": 4},
        "student": f"scripted:{pupils.__name__}:untuned",
        "questions": {"dev": "dev", "test_limit": 50},
        "first": 20,
        "mistakes": {"n": 1, "temperature": 0, "questions": 60},
        "exam": {"chunk": 16},
    }
    raw["base"]["feedback"]["questions"] = 10
    raw["base"]["rationales"] = {"accept_cut": True}
    raw["base"]["later"] = {"epochs": 1}
    return {**raw, "seeds": [0, 1]}


def test_it_runs_with_any_openai_compatible_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    with serve(teach) as (url, requests):
        raw = scaled(url)
        raw["base"].pop("budget")  # in dollars, and nobody knows this teacher's price
        launcher = pupils.launcher()
        found = run_study(raw, tmp_path / "study", HowToWork(launcher=launcher))
        said = [json.dumps(body, sort_keys=True) for body in requests]
        assert len(said) == len(set(said))  # what several arms ask is paid for once
        texts = [body["messages"][0]["content"] for body in requests]
    scribed = [text for text in texts if "Reply with one JSON object" in text]
    assert any("The right answer is" not in text for text in scribed)  # blind
    objectives = [taught.training.objective for taught in launcher if taught.step == "2-student"]
    assert set(map(str, objectives)) == {"likelihood", "repair", "{'name': 'prefer', 'strength': 0.25}"}
    for arm in ("whole", "repair", "blind", "yoked"):
        made = records.read_records(tmp_path / "study" / arm / "0" / "2-repairs" / "records.jsonl", Lesson)
        assert made
        assert all(lesson.mistaken and lesson.feedback == "One too many." for lesson in made)
    assert len(found.comparisons) == 4


def test_the_file_s_own_budget_and_plan_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tutelage.studies.estimates import plan_lines
    from tutelage.studies.study_folder import look_at_study

    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    lines = plan_lines(look_at_study(FILE, tmp_path / "study"))
    (price,) = [line for line in lines if "price:" in line]
    assert float(price.partition(" to $")[2].split()[0]) <= 5
