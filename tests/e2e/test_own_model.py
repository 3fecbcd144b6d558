"""The pages docs/add-a-model.md and docs/add-a-solver.md in files of the user's, through the command line."""

import json
import re
from pathlib import Path

import pytest
from tests.e2e.outside import cli, report_text, works, write_page

SMALL = {"task": "coin_flip?size=40", "baselines": ["zero_shot"], "training": {"epochs": 1, "batch": 8}, "exam": {"max_tokens": 4}, "rationales": {"max_tokens": 40}}  # fmt: skip
NEAREST = '{kind: "nearest:Nearest", lessons: runs/first/lessons/records.jsonl}'


@pytest.fixture(scope="module")
def nearest(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    names = write_page("add-a-model.md", folder, {**SMALL, "student": f"hf:{base_student}"})
    assert names == ["nearest.py", "lessons.yaml", "nearest.yaml"]
    for words in (
        ["lessons", "lessons.yaml", "--into", "runs/first"],
        ["run", "nearest.yaml", "--into", "runs/taught"],
        ["exam", NEAREST, "--task", "coin_flip?size=40", "--split", "train", "--into", "runs/sat"],
    ):
        works(folder, *words)
    return folder


@pytest.fixture(scope="module")
def cascade(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("solver")
    teacher = {"kind": "cascade:Cascade", "small": f"hf:{base_student}", "large": "worked:", "n": 3}
    names = write_page("add-a-solver.md", folder, {**SMALL, "student": f"hf:{base_student}", "teacher": teacher})
    assert names == ["cascade.py", "cascade.yaml"]
    works(folder, "run", "cascade.yaml", "--into", "runs/taught", "rationales.accept_cut=true")
    return folder


@pytest.mark.parametrize("page", ["nearest", "cascade"])
def test_its_report_has_the_right_headline_and_table(page: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(page)
    text = report_text(folder, "runs/taught")
    assert re.search(
        r"^Fine-tune-CoT: \d+\.\d% right .* of 8 questions; zero-shot: \d+\.\d%\.", text, re.MULTILINE | re.IGNORECASE
    )
    assert re.search(r"\| fine-tune-cot \| \d+\.\d% \|", text, re.IGNORECASE)
    assert "not known here" not in text


@pytest.mark.parametrize("page", ["nearest", "cascade"])
@pytest.mark.parametrize(
    "words",
    [
        ["status", "runs/taught"],
        ["compare", "runs/taught", "runs/taught"],
        ["plan", "{page}.yaml"],
        ["export", "runs/taught", "--to", "mine", "--check", "4"],
        ["run", "runs/taught/config.yaml"],
    ],
    ids=lambda words: words[0],
)
def test_every_other_door_takes_it(page: str, words: list[str], request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(page)
    done = works(folder, *(word.replace("{page}", page) for word in words))
    wanted = {
        "status": "finished",
        "compare": "fine-tune-cot",
        "plan": "28 calls",
        "export": "4 of 4 answers",
        "run": "(kept)",
    }
    assert wanted[words[0]] in done.stdout.lower()


def test_a_model_of_one_s_own_is_right_about_what_it_looks_up(nearest: Path) -> None:
    rows = [json.loads(line) for line in (nearest / "runs/sat/exam/records.jsonl").read_text().splitlines()]
    assert all(row["verdict"] == "right" for row in rows)
    assert {row["model"] for row in rows} == {"nearest(records.jsonl, 28 lessons)"}
    lessons = [json.loads(line) for line in (nearest / "runs/taught/lessons/records.jsonl").read_text().splitlines()]
    assert {lesson["teacher"] for lesson in lessons} == {"nearest(records.jsonl, 28 lessons)"}


def test_a_plan_and_a_run_say_who_of_a_solver_is_asked(cascade: Path, base_student: Path) -> None:
    plan = cli(cascade, "plan", "cascade.yaml")
    assert f"each call asks hf:{base_student} 3 times and worked: once, at the most" in plan.stdout
    rows = [json.loads(line) for line in (cascade / "runs/taught/rationales/records.jsonl").read_text().splitlines()]
    large = sum(any(part["model"] == "worked:" and part.get("chosen") for part in row["parts"]) for row in rows)
    assert large > 0
    notes = [json.loads(line) for line in (cascade / "runs/taught/events.jsonl").read_text().splitlines()]
    line, *_ = [note["line"] for note in notes if note.get("event") == "note" and note["step"] == "rationales"]
    assert f"answered by worked: {large / len(rows):.0%}" in line or large == len(rows)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nearest:Nearset", "has no attribute 'Nearset'"),
        ('{kind: "nearest:Nearest", lesons: x.jsonl}', "has no option 'lesons'; did you mean 'lessons'?"),
        ('{kind: "nearest:Nearest", lessons: none.jsonl}', "there is no file of lessons none.jsonl"),
        ('{kind: "broken:Model"}', "broken.py:1: expected"),
        ('{kind: "broken_too:Model"}', "broken_too.py:2: ZeroDivisionError"),
        ("nerest:Nearest", "unknown model kind 'nerest'"),
    ],
)
def test_what_is_wrong_is_one_sentence(nearest: Path, tmp_path: Path, spec: str, said: str) -> None:
    (nearest / "broken.py").write_text("class Model\n")
    (nearest / "broken_too.py").write_text("\nHALF = 1 / 0\n")
    done = cli(nearest, "exam", spec, "--task", "coin_flip?size=40", "--into", str(tmp_path / "none"))
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "none" / "exam").exists()
