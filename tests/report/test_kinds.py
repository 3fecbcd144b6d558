"""Accuracy on kinds of question that lessons are about, beside kinds that none is about."""

from pathlib import Path

from msgspec import structs
from tests.studies import pupils

from tutelage import runner
from tutelage.report import kinds, writing
from tutelage.runs import history
from tutelage.studies.findings import findings_of
from tutelage.studies.study_folder import open_study
from tutelage.studies.working import HowToWork, work
from tutelage.tasks.catalog import find_task

TASK = f"{pupils.TASK}&templates=half_held_out"
for _split in ("train", "dev", "test"):
    pupils.ANSWERS.update({question.text: question.answer for question in find_task(TASK).load(_split)})


def test_new_stories_stand_beside_taught_ones(tmp_path: Path) -> None:
    base = {**pupils.study()["base"], "task": TASK, "first": 100}
    runner.run(base, tmp_path / "run", launcher=pupils.launcher())
    writing.write_report([tmp_path / "run"])
    text = (tmp_path / "run" / "report.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "lesson" in line and line.startswith("|")}
    counts = [int(rows[name].split("|")[2]) for name in ("that lessons are about", "that no lesson is about")]
    assert sum(counts) == 50
    assert min(counts) > 15


def test_where_all_kinds_are_taught_nothing_is_said_of_new_ones(tmp_path: Path) -> None:
    base = {**pupils.study()["base"], "first": 200}
    runner.run(base, tmp_path / "run", launcher=pupils.launcher())
    writing.write_report([tmp_path / "run"])
    assert "that no lesson is about" not in (tmp_path / "run" / "report.md").read_text()


def test_a_study_tells_them_apart_too(tmp_path: Path) -> None:
    base = {**pupils.study()["base"], "task": TASK, "first": 100}
    opened = open_study(pupils.study(base=base, seed_of=["run"]), tmp_path)
    work(opened, HowToWork(launcher=pupils.launcher()))
    (once, _) = findings_of(opened).arms
    assert once.new_kinds is not None
    assert once.taught_kinds is not None
    assert once.new_kinds.questions + once.taught_kinds.questions == 50
    writing.write_study(opened)
    assert "kinds that none is about" in (tmp_path / "study.md").read_text()


def test_an_exam_that_asked_none_of_a_kind_keeps_its_column(tmp_path: Path) -> None:
    base = {**pupils.study()["base"], "task": TASK, "first": 100}
    runner.run(base, tmp_path, launcher=pupils.launcher())
    run = history.open_run(tmp_path)
    taught = {run.questions[lesson.question].template for lesson in run.lessons if lesson.question in run.questions}
    views = [
        structs.replace(view, attempts=[a for a in view.attempts if run.questions[a.question].template in taught])
        if view.step == "1-test"
        else view
        for view in run.exam_views
    ]
    table = kinds.new_kinds(structs.replace(run, exam_views=views))
    assert table is not None
    first, second = table.headings[2:]
    assert ("round 1" in first, "round 2" in second) == (True, True)
    new = dict(zip(table.headings[2:], table.rows[1][2:], strict=True))
    assert (new[first], bool(new[second])) == ("", True)
