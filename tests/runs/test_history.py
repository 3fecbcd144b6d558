"""A run is read by its labels, whoever made it: version 0.1, a recipe or a version that is not known here."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.report.runs import Made, attempt
from tests.runs.make_old import CONFIG, unpacked

from tutelage.cli.main import main
from tutelage.runs import history, labels
from tutelage.runs.run import Run
from tutelage.types import Attempt, Label, Lesson, Question

TABLE = [
    "zero-shot", "zero-shot-CoT", "few-shot-CoT", "fine-tune", "Fine-tune-CoT (round 1)", "tailored, round 2", "teacher",
]  # fmt: skip


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that version 0.1 made (make_old.py), with the student it began from beside it."""
    return unpacked(tmp_path_factory.mktemp("old"))


def tutelage(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["tutelage", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_a_run_of_version_0_1_is_read_as_it_was(old: Path) -> None:
    run = history.open_run(old / "run")
    assert run.state == "finished"
    assert list(run.exams()) == TABLE
    told = {view.step: (view.label.who, view.label.kind, view.label.round, view.title) for view in run.exam_views}
    assert told["rationales"] == ("teacher", "rationales", 1, "rationales")
    assert told["2-votes"] == ("teacher", "votes", 2, "teacher's votes in round 2")
    assert told["2-exam"] == ("student", "exam", 1, "training questions, after round 1")
    assert told["2-review"] == ("student", "review", 2, "taught questions again, after round 2")
    assert told["fine_tune"][0] == told["few_shot_cot"][0] == "baseline"
    assert {lesson.kind for lesson in run.lessons} == {"rationale", "feedback", "practice"}
    assert [one.step for one in run.trainings] == ["answers-student", "1-student", "2-student"]
    student = run.student()
    assert student
    assert student.label.kind == "award"
    assert run.exam_of(student) in run.exam_views


def test_a_run_of_version_0_1_opens_at_every_door(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tutelage(old, monkeypatch, "status", "run") == 0
    assert tutelage(old, monkeypatch, "report", "run", "--into", "page") == 0
    text = (old / "page" / "report.md").read_text()
    for title in TABLE:
        assert f"| {title} |" in text
    assert "not known here" not in text
    assert tutelage(old, monkeypatch, "compare", "run/1-test", "run/2-test") == 0
    assert tutelage(old, monkeypatch, "compare", "run", "run") == 0
    assert tutelage(old, monkeypatch, "grade", "run") == 0
    assert tutelage(old, monkeypatch, "export", "run", "--to", "exported", "--check", "4") == 0
    assert (old / "exported" / "lessons" / "preference.jsonl").exists()
    said = capsys.readouterr()
    assert "Finished." in said.out
    assert "Traceback" not in said.err


def test_its_steps_are_taken_over_and_labelled(
    old: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (old / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    before = (old / "run" / "1-test" / "step.json").read_bytes()
    assert tutelage(old, monkeypatch, "run", "c.yaml", "--into", "again", "--reuse", "run") == 0
    rows = [json.loads(line) for line in (old / "again" / "events.jsonl").open()]
    begun, taken = ({row["step"] for row in rows if row["event"] == event} for event in ("started", "reused"))
    # Feedback is asked for in other words since, so what followed from it is made anew.
    assert begun <= {step for step in told(history.open_run(old / "run")) if step.startswith("2-")} - {"2-exam"} | {
        "student"
    }
    assert {"rationales", "lessons", "1-student", "1-test", "2-exam"} <= taken
    assert (old / "run" / "1-test" / "step.json").read_bytes() == before
    note = json.loads((old / "again" / "1-test" / "step.json").read_text())
    assert note["label"]["title"] == "Fine-tune-CoT (round 1)"
    mine, theirs = history.open_run(old / "again"), history.open_run(old / "run")
    assert mine.promised == theirs.promised  # what the recipe says now, and what is guessed of a run that does not say
    assert told(mine) == told(theirs)
    # Questions are kept as they are answered, which is in another order since exams begin with the longest again.
    ours, others = ({title: sorted(rows, key=name) for title, rows in run.exams().items()} for run in (mine, theirs))
    assert [title for title in ours if ours[title] != others[title]] in ([], TABLE[-1:])


def name(row: Attempt) -> tuple[str, int]:
    return row.question, row.sample


def told(run: history.RunHistory) -> dict[str, Any]:
    return {step.name: (step.label.kind, step.label.who, step.label.round) for step in run.steps}


def strange(path: Path) -> Path:
    """A run of a recipe that nobody here has heard of, with a key and a kind of step of a later version."""
    config = {"recipe": "their.package:RECIPE", "task": "coin_flip", "seed": 3, "dreams": {"of": "sheep"}}
    promised = {"final": Label(round=1, split="test", title="after dreaming")}
    facts = {
        "command": "x",
        "versions": {"tutelage": "7.0"},
        "promised": {k: labels.label_as_json(v) for k, v in promised.items()},
    }
    run = Run.start(path, config, facts)
    run.know([Question(id="test-0", text="Heads?", answer="no", split="test")])
    given = {"paper": {"form": "taught"}, "model": "hf:x"}
    run.records("dreams", Lesson, lambda kept: [], {"chats": []}, Label(kind="dreaming", who="owl", round=1))
    own = [Lesson(question="train-0", prompt="Heads?", completion="No. --> no", kind="dream")]
    run.records("slept", Lesson, lambda kept: own, {}, Label(kind="lessons", who="teacher", round=1))
    run.records("final", Attempt, lambda kept: [attempt("test-0", "right", "No. --> no")], given, promised["final"])
    run.say(event="note", step="final", line="100.0%")
    run.say(event="done")
    run.close()
    return path


def test_a_run_of_a_recipe_that_is_not_known_here_is_shown_and_what_is_not_known_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strange(tmp_path / "r")
    assert tutelage(tmp_path, monkeypatch, "status", "r") == 0
    assert tutelage(tmp_path, monkeypatch, "report", "r") == 0
    assert tutelage(tmp_path, monkeypatch, "compare", "r", "r") == 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert "after dreaming: 100.0% right" in text
    assert "not known here" in text
    assert "their.package:RECIPE" in text
    assert "made by tutelage 7.0" in text
    assert "after dreaming: " in capsys.readouterr().out


def test_an_unknown_key_in_a_config_is_shown_and_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Made(tmp_path / "r", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    made.exam("zero_shot", [attempt("test-0", "right", "Hm.")])
    made.end()
    saved = yaml.safe_load((tmp_path / "r" / "config.yaml").read_text())
    (tmp_path / "r" / "config.yaml").write_text(yaml.safe_dump({**saved, "dreams": 3}))
    assert tutelage(tmp_path, monkeypatch, "report", "r") == 0
    text = (tmp_path / "r" / "report.md").read_text()
    assert "zero-shot" in text
    assert "'dreams'" in text.partition("not known here")[2]
    assert tutelage(tmp_path, monkeypatch, "status", "r") == 0


def test_a_torn_line_in_the_middle_of_the_events_leaves_a_finished_run_finished(tmp_path: Path) -> None:
    made = Made(tmp_path / "r", [])
    made.exam("zero_shot", [attempt("test-0", "right", "Hm.")])
    path = made.end()
    lines = (path / "events.jsonl").read_bytes().splitlines(keepends=True)
    (path / "events.jsonl").write_bytes(
        b"".join([lines[0], lines[1][:9] + b"\n", b"[1]\n", b'{"no":"event"}\n', *lines[2:]])
    )
    run = history.open_run(path)
    assert run.state == "finished"
    assert run.steps[0].note


def test_a_step_s_own_label_is_believed_and_not_its_name(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "r", {"recipe": "mine"}, {"promised": {}})
    label = Label(who="teacher", round=4, split="dev", title="the owl")
    run.records("zero_shot", Attempt, lambda kept: [attempt("q", "right", "")], {"paper": {}}, label)
    run.close()
    (view,) = history.open_run(tmp_path / "r").exam_views
    assert view.label == label
    assert view.title == "the owl"


def test_a_run_that_goes_on_under_another_config_promises_what_that_one_does(tmp_path: Path) -> None:
    """Before anything is made a config may change, and with it what the table will hold."""
    Run.start(tmp_path / "r", {"recipe": "mine", "rounds": 1}, {"promised": {"a": {}}}).close()
    Run.start(tmp_path / "r", {"recipe": "mine", "rounds": 2}, {"promised": {"b": {}}}).close()
    assert list(history.open_run(tmp_path / "r").promised) == ["b"]


def test_a_label_that_is_none_is_said_and_guessed(tmp_path: Path) -> None:
    promised = {"zero_shot": labels.label_as_json(Label(title="before")), "1-test": 7}
    run = Run.start(tmp_path / "r", {"recipe": "mine"}, {"promised": promised})
    run.records("1-dev", Attempt, lambda kept: [attempt("q", "right", "")], {"paper": {}})
    run.close()
    note = tmp_path / "r" / "1-dev" / "step.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "label": {"round": "two"}}))
    opened = history.open_run(tmp_path / "r")
    assert list(opened.promised) == ["zero_shot"]
    assert opened.steps[0].label.title == "dev questions, after round 1"
    assert opened.unread == [
        "run.json: the label that it promises of 1-test is none",
        "1-dev/step.json: its label is none; what the step is, is guessed by its name",
    ]
