"""What the demo prints beside its table."""

from pathlib import Path

import yaml
from rich.console import Console

from tutelage import tasks
from tutelage.demo import demo_config, show_answers
from tutelage.recipes import check
from tutelage.store import records
from tutelage.types import Attempt, Feedback, Lesson

QUESTION = tasks.find(demo_config()["task"]).load("train")[0]


def write(run: Path, step: str, record: object) -> None:
    (run / step).mkdir(parents=True)
    (run / step / "records.jsonl").write_bytes(records.encode(record))  # type: ignore[type-var]


def shown(run: Path) -> str:
    config = check(demo_config(), "demo").model_dump(mode="json")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    console = Console(width=400, record=True, force_terminal=False)
    show_answers(run, console)
    return console.export_text()


def test_a_mended_mistake_is_told_from_beginning_to_end(tmp_path: Path) -> None:
    name = QUESTION.id
    write(tmp_path, "2-exam", Attempt(question=name, text="[red]1 + 1 = 3[/red] --> 3", answer="3", verdict="wrong"))
    write(tmp_path, "2-feedback", Feedback(question=name, text="<error>1 + 1 is 2.</error><solution>S</solution>"))
    write(tmp_path, "2-lessons", Lesson(question=name, prompt="p", completion="It is 2. --> 2", kind="feedback"))
    write(tmp_path, "2-review", Attempt(question=name, text="1 + 1 = 2 --> 2", answer="2", verdict="right"))
    printed = shown(tmp_path)
    words = [
        QUESTION.text,
        "wrong: [red]1 + 1 = 3[/red] --> 3",
        "1 + 1 is 2.",
        "It is 2. --> 2",
        "right: 1 + 1 = 2 --> 2",
    ]
    places = [printed.index(word) for word in words]
    assert places == sorted(places)


def test_it_says_when_nothing_was_mended(tmp_path: Path) -> None:
    write(tmp_path, "2-exam", Attempt(question=QUESTION.id, text="x --> 3", answer="3", verdict="wrong"))
    assert "No question that was missed" in shown(tmp_path)
