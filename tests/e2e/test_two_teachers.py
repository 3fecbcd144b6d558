"""A recipe of one's own with two teachers: whoever reads its run is told of both."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting

import tutelage
from tutelage import runner
from tutelage.classroom.room import Classroom
from tutelage.config import read_yaml
from tutelage.exporting import model_card, source
from tutelage.models.specs import ModelSpec
from tutelage.recipes.baselines import final_exams
from tutelage.recipes.recipe import Recipe
from tutelage.recipes.settings import Teaching
from tutelage.report import writing
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Checkpoint, Label, Lesson

TASK = "coin_flip?size=60"
ANSWERS = {q.id: q.answer for split in ("train", "test") for q in find_task(TASK).load(split)}
SECOND = f"scripted:{__name__}:says"


def says(chat: Chat, sample: int) -> str:
    """The right answer, in words of its own."""
    return f"Look at it. The answer is {ANSWERS[chat.question]}."


class Two(Teaching):
    """Lessons of two teachers."""

    recipe: str = f"{__name__}:RECIPE"
    second: ModelSpec = SECOND
    third: ModelSpec | None = None
    asked: str = "test"


def lessons(room: Classroom, config: Two) -> list[Lesson]:
    train, setup = room.questions("train"), config.rationales.setup(config.rationales.exam(), room.seed)
    made: list[Lesson] = []
    for name, who in (("first", config.teacher), ("second", config.second)):
        made += room.filter(f"lessons-{name}", room.sit(f"rationales-{name}", who, train, setup), train)
    return made


def teach(room: Classroom, config: Two) -> Checkpoint:
    student = room.fit("student", config.student, lessons(room, config), config.training)
    room.sit(config.asked, student, room.questions("test"), config.exam.setup("taught", room.seed))
    return student


def promised(config: Two) -> dict[str, Label]:
    return final_exams(config, [("test", 1, "two teachers")])


RECIPE = Recipe(summary="two", settings=Two, teach=teach, promised=promised, lessons=lessons)


def config(student: Path, **more: Any) -> dict[str, Any]:
    training = {"epochs": 1, "batch": 16, "objective": {"likelihood": 0.5}}
    raw = {"recipe": f"{__name__}:RECIPE", "task": TASK, "student": {"name": f"hf:{student}", "dtype": "float32"}}
    return {**raw, "baselines": [], "training": training, "exam": {"max_tokens": 4}, **more}


@pytest.fixture(scope="module")
def run(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two") / "it"
    tutelage.run(config(base_student), folder)
    return folder


def test_the_runs_line_names_every_model(run: Path) -> None:
    what = json.loads((run / "run.json").read_text())["what"]
    assert "teacher worked:" in what
    assert f"second {SECOND}" in what
    assert "third" not in what


def test_the_report_tells_the_teachers_apart(run: Path) -> None:
    writing.write_report([run])
    text = (run / "report.md").read_text().replace("\\", "")
    assert f"second {SECOND}" in text.partition("##")[0]
    assert f"| 1 | rationale | {SECOND} | " in text
    assert "| 1 | rationale | worked: | " in text


def test_an_export_names_both(run: Path, tmp_path: Path) -> None:
    made = tutelage.export(run, tmp_path / "out", check=0)
    rows = [json.loads(line) for line in (made.path / "lessons" / "chat.jsonl").read_text().splitlines()]
    assert {row["tutelage"]["teacher"] for row in rows} == {"worked:", SECOND}
    for card in (made.path / "README.md", made.path / "lessons" / "README.md"):
        text = card.read_text().replace("\\", "")
        assert f"the teachers worked: (the task's own solutions, no language model) and {SECOND}" in text
    assert "The terms of use of each of them" in (made.path / "lessons" / "README.md").read_text()


def test_the_card_names_an_objective_that_is_not_the_usual(run: Path) -> None:
    read = source.read_source(run)
    assert dict(model_card._objective(read)) == {"objective": "likelihood, weight 0.5"}
    assert read.teachers()[1:] == [SECOND]


def test_lessons_are_found_whatever_their_steps_are_called(base_student: Path, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(config(base_student)))
    made = runner.make_lessons(read_yaml(tmp_path / "c.json"), tmp_path / "run")
    assert made == tmp_path / "run"
    files = [tmp_path / "run" / f"lessons-{name}" / "records.jsonl" for name in ("first", "second")]
    assert runner.lesson_files(tmp_path / "run") == files


@pytest.mark.parametrize("asked", ["tset", "test"])
def test_a_promised_exam_that_nobody_sat_is_missed_aloud(asked: str, tmp_path: Path) -> None:
    fitted = Noting(lambda taught: SECOND)
    tutelage.run({**config(tmp_path), "student": SECOND, "asked": asked}, tmp_path / "run", launcher=fitted)
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    said = [event["line"] for event in events if event["event"] == "warning" and "promises" in event["line"]]
    assert len(said) == (asked == "tset")
    assert all("that it taught ('test'): the exams that were sat are 'tset'; call" in line for line in said)
