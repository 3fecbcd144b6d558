"""The tutorial, command by command, with a stand-in for the teacher and a tiny student."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import door
from tests.server import serve

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
ROWS = [
    {"problem": f"A farm has {a} fields with {b} rows each. How many rows are there?", "solution": str(a * b)}
    for a in range(2, 10)
    for b in range(3, 11)
]
ANSWERS = {row["problem"]: row["solution"] for row in ROWS}


def teach(messages: list[dict[str, str]]) -> str:
    text = messages[0]["content"]
    answer = next(answer for question, answer in ANSWERS.items() if question in text)
    if "<solution>" in text:
        return f"<error>The rows were not counted.</error><solution>Count them. The answer is {answer}.</solution>"
    return f"The fields hold {answer} rows. The answer is {answer}."


@pytest.fixture(scope="module")
def followed(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder in which every command of the tutorial was typed, and what each printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (config,) = re.findall(r'```yaml title="farm.yaml"\n(.*?)```', TEXT, re.DOTALL)
    (folder / "farm.yaml").write_text(config.replace("hf:smollm2", f"hf:{base_student}"))
    printed = {}
    with serve(teach) as (url, _):
        environment = {**os.environ, "OPENAI_BASE_URL": url, "TUTELAGE_CACHE": str(folder / "cache"), "COLUMNS": "200"}
        for command in re.findall(r"^\$ (tutelage .*)$", TEXT, re.MULTILINE):
            done = door.tutelage(*shlex.split(command)[1:], env=environment, cwd=folder)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            printed[command] = done.stdout
    return folder, printed


def test_every_command_of_the_tutorial_does_what_it_says(followed: tuple[Path, dict[str, str]]) -> None:
    folder, printed = followed
    said = {command.split()[1]: text for command, text in printed.items()}
    assert len(printed) >= 8
    assert "64" in said["audit"]
    assert "calls" in said["plan"]
    assert "memory of training" in said["plan"]
    assert "verified lessons" in said["lessons"]
    assert "Finished." in said["status"]
    assert "McNemar" in said["compare"]
    assert "tailored, round 2" in (folder / "runs/farm/report.md").read_text()
    assert "to the letter" in said["export"]
    assert "tailored, round 2" in (folder / "exports/farm/README.md").read_text()


def test_the_second_run_takes_what_it_can_from_the_first(followed: tuple[Path, dict[str, str]]) -> None:
    folder, _ = followed
    events = [json.loads(line) for line in (folder / "runs/farm-longer/events.jsonl").read_text().splitlines()]
    assert {"rationales", "lessons"} <= {event["step"] for event in events if event["event"] == "reused"}
    both = (folder / "runs/both/report.md").read_text()
    assert "The runs against each other" in both
    assert "farm-longer" in both


def test_a_teacher_that_is_paid_shows_in_the_report_step_by_step(followed: tuple[Path, dict[str, str]]) -> None:
    folder, _ = followed
    text = (folder / "runs/farm/report.md").read_text()
    assert "asked of the teacher" in text
    assert re.search(r"\| rationales \| \d+ \| [\d,]+ \| [\d,]+ \| \\\$0\.\d+ \|", text)


def test_the_live_page_and_the_events_are_for_programs_too(base_student: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tutelage", "exam", f"hf:{base_student}", "--task", "coin_flip?size=40", "--limit", "6", "--json", "--into", str(tmp_path / "it"), "exam.max_tokens=8"]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events][:2] == ["session", "started"]
    tick = next(event for event in events if event["event"] == "progress" and event["done"] == 6)
    assert {"done", "of", "right", "unread", "step"} <= tick.keys()
    assert events[-1]["event"] == "scores"
    assert events[-1]["scores"]["exam"]["questions"] == 6
    shown = subprocess.run([*words[:3], "status", "--json", str(tmp_path / "it")], capture_output=True, text=True, check=False)  # fmt: skip
    assert json.loads(shown.stdout)["state"] == "finished"


def test_the_loop_of_the_readme_runs_and_goes_on_where_it_was(base_student: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in blocks if "classroom" in block]
    small = {
        "hf:smollm2": f"hf:{base_student}",
        "word_problems?difficulty=2": "coin_flip?size=100",
        "240": "60",
        "=96": "=120",
    }
    small |= {
        '"epochs": 2': '"epochs": 4, "batch": 8, "schedule": "constant", "warmup": 0, "learning_rate": 0.01'
    }  # enough for an answer, seldom a right one
    for words, smaller in small.items():
        assert words in code
        code = code.replace(words, smaller)
    # One thread: beside other tests two wait for each other.
    options: dict[str, Any] = {"text": True, "cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    first = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, **options)
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"^\d+\.\d% \[.* n=20, unread", first.stdout, re.MULTILINE)) == 2
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, **options)
    assert again.stdout == first.stdout
    events = [json.loads(line) for line in (tmp_path / "runs/loop/events.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "started" for event in events) == sum(event["event"] == "reused" for event in events)
