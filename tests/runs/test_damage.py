"""A run's folder that somebody edited: every door reads what can be read and says what cannot, or refuses in one sentence."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs.make_old import unpacked

from tutelage.cli.main import main

FILES = [
    "config.yaml", "run.json", "events.jsonl", "questions.jsonl", "progress.json", "calls.jsonl", ".lock",
    "1-test/step.json", "1-test/records.jsonl", "1-student/facts.json", "1-student/step.json", "student/step.json",
    "2-feedback/records.jsonl", "2-lessons/records.jsonl", "student/facts.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with the student it began from beside it, in little more than its records."""
    folder = unpacked(tmp_path_factory.mktemp("old"))
    spent = {"model": "m", "calls": 1, "tokens_in": 3, "dollars": "0.1", "step": "rationales"}
    (folder / "run" / "calls.jsonl").write_text(json.dumps(spent) + "\n")
    (folder / "run" / ".lock").touch()
    return folder


@pytest.fixture
def nobody_hangs() -> Iterator[None]:
    """A minute for a test, and then it has failed."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(60)
    yield
    signal.alarm(0)


def say(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["tutelage", *words])
    with pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


DOORS = ["status run", "status run --json", "report run --into page", "compare run run", "compare run/1-test run/2-test",
         "grade run", "grade run/1-test", "export run --to exported --check 0"]  # fmt: skip


def every_door(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str) -> str:
    """All that was said, once each door ended well or in one sentence."""
    monkeypatch.chdir(folder)
    told = []
    for door in DOORS:
        code, out, err = say(door.split(), monkeypatch, capsys)
        assert code in (0, 2), f"{what}: {door}\n{err}"
        assert "Traceback" not in err, f"{what}: {door}\n{err}"
        assert code == 0 or err.startswith("error: "), f"{what}: {door}\n{err}"
        told += [out, err, *(file.read_text() for file in [folder / "page" / "report.md"] if file.exists())]
        shutil.rmtree(folder / "page", ignore_errors=True)
        shutil.rmtree(folder / "exported", ignore_errors=True)
    return "\n".join(told)


def to_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def to_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def to_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


PLACES: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "an empty object": lambda file: file.write_text("{}\n"),
    "a list": lambda file: file.write_text("[1]\n"),
    "a number": lambda file: file.write_text("7\n"),
    "no text": lambda file: file.write_bytes(b"\xff\xfe\n" * 3),
    "half": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "deep": lambda file: file.write_text("[" * 100_000 + "\n"),
    "a folder": to_folder,
    "a pipe": to_pipe,
    "a loop": to_loop,
}


@pytest.mark.usefixtures("nobody_hangs")
@pytest.mark.parametrize("how", PLACES)
def test_a_file_that_is_none_is_left_out_or_named(
    how: str, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in enumerate(FILES):
        folder = tmp_path / str(place)
        shutil.copytree(old, folder)
        PLACES[how](folder / "run" / name)
        said = every_door(folder, monkeypatch, capsys, f"{name}, {how}")
        # What is not there, or holds nothing, may be of an earlier version.
        if how in ("a folder", "a pipe", "a loop", "deep") and not (name == ".lock" and how == "deep"):
            assert name in said, f"{name}, {how}"


def in_json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        told = json.loads(file.read_text())
        change(told)
        file.write_text(json.dumps(told))

    return edit


def in_line(change: Callable[[dict[str, Any]], Any], event: str = "") -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        change(next(row for row in rows if not event or row["event"] == event))
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return edit


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda told: told.__setitem__(key, value)


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda told: told.__delitem__(key)


EDITS: list[tuple[str, str, Callable[[Path], None]]] = [
    *[("1-test/step.json", f"inputs {value}", in_json(put("inputs", value))) for value in (None, 7, [1], "x")],
    ("1-test/step.json", "no inputs", in_json(drop("inputs"))),
    ("1-test/step.json", "a paper that is none", in_json(lambda told: told["inputs"].__setitem__("paper", 5))),
    *[("1-test/step.json", f"seconds {value}", in_json(put("seconds", value))) for value in (None, "x", float("nan"), -1, 10**40)],
    ("1-test/step.json", "seconds 1e999", lambda file: file.write_text(file.read_text().replace('"seconds":', '"seconds": 1e999, "q":'))),
    *[("events.jsonl", f"no {key}", in_line(drop(key), "note")) for key in ("event", "step", "line")],
    *[("events.jsonl", f"{key} a list", in_line(put(key, ["x"]), "note")) for key in ("event", "step", "line")],
    ("events.jsonl", "a step that is a list", in_line(put("step", ["x"]), "started")),
    ("run.json", "versions a list", in_json(put("versions", ["a"]))),
    ("run.json", "settled text", in_json(put("settled", "x"))),
    ("run.json", "promised a number", in_json(put("promised", 5))),
    *[("1-student/facts.json", f"losses {value}", in_json(put("losses", value)))
      for value in ([1, None], [1, "x"], "many", 7, {"a": 1}, [[1]], [float("nan")])],
    ("1-student/facts.json", "no steps", in_json(drop("steps"))),
    ("1-student/facts.json", "active text", in_json(put("active", "x"))),
    ("calls.jsonl", "dollars", in_line(put("dollars", "abc"))),
    ("calls.jsonl", "dollars", in_line(put("dollars", "NaN"))),
    ("1-test/records.jsonl", "an unknown question", in_line(put("question", "zz"))),
    ("student/step.json", "a checkpoint that is a list", in_json(put("inputs", {"student": {"checkpoint": [1]}}))),
    ("config.yaml", "rounds", lambda file: file.write_text(file.read_text().replace("rounds: 2", "rounds: [2]"))),
    ("config.yaml", "baselines", lambda file: file.write_text(file.read_text() + "\nextra: 5\n")),
]  # fmt: skip
SAID = {"1-test/step.json", "run.json", "1-student/facts.json", "calls.jsonl", "events.jsonl"}


@pytest.mark.usefixtures("nobody_hangs")
def test_what_was_edited_is_left_out_and_said(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(globals(), "DOORS", ["status run", "report run --into page", "compare run run", "grade run"])
    shutil.copytree(old, tmp_path / "r")
    for name, what, edit in EDITS:
        file = tmp_path / "r" / "run" / name
        whole = file.read_bytes()
        edit(file)
        said = every_door(tmp_path / "r", monkeypatch, capsys, f"{name}, {what}")
        if name in SAID and "paper" not in what:
            assert f"not read: {name}" in said, f"{name}, {what}"
            assert f"not known here | {name}" in said, f"{name}, {what}"
        file.write_bytes(whole)


@pytest.mark.usefixtures("nobody_hangs")
def test_folders_that_are_no_steps(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(old, tmp_path / "r")
    run = tmp_path / "r" / "run"
    (run / "x.draft").mkdir()
    (run / "x.draft" / "step.json").write_text("{}")
    (run / "y").symlink_to("y")
    (run / "1-dev").rename(run / "elsewhere")
    (run / "1-dev").touch()
    (run / "2-dev" / "step.json").unlink()
    said = every_door(tmp_path / "r", monkeypatch, capsys, "odd folders")
    assert "not read: 2-dev: records without a step.json" in said


RERUN: dict[str, Callable[[Path], Any]] = {
    **{f"{name}: {how}": lambda run, name=name, how=how: PLACES[how](run / name)  # type: ignore[misc]
       for name in ("exam/step.json", "exam/records.jsonl", "events.jsonl", "questions.jsonl", "run.json", ".lock", "config.yaml")
       for how in ("a folder", "a pipe", "a loop")},
    **{f"exam/records.jsonl: {how}": lambda run, how=how: PLACES[how](run / "exam/records.jsonl")  # type: ignore[misc]
       for how in ("gone", "empty")},
    "exam: no step.json": lambda run: (run / "exam/step.json").unlink(),
    "exam/step.json: no inputs": lambda run: in_json(drop("inputs"))(run / "exam/step.json"),
    "exam/records.jsonl: another question": lambda run: in_line(put("question", "zz"))(run / "exam/records.jsonl"),
    "exam: a file": lambda run: (shutil.rmtree(run / "exam"), (run / "exam").touch()),
    "exam: a loop": lambda run: (shutil.rmtree(run / "exam"), (run / "exam").symlink_to(run / "exam")),
    "run.json: machine": lambda run: in_json(put("machine", [5]))(run / "run.json"),
}  # fmt: skip


@pytest.mark.usefixtures("nobody_hangs")
def test_a_run_that_cannot_go_on_says_which_file_is_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["exam", "worked:", "--task", "coin_flip?size=20", "--limit", "4", "--into"]
    assert say([*words, "whole"], monkeypatch, capsys)[0] == 0
    for place, (what, damage) in enumerate(RERUN.items()):
        run = tmp_path / str(place)
        shutil.copytree("whole", run)
        damage(run)
        code, _, err = say([*words, run.name], monkeypatch, capsys)
        assert code == 2, f"{what}\n{err}"
        assert "Traceback" not in err
        assert err.startswith("error: "), f"{what}\n{err}"
        assert what.partition(":")[0] in err, f"{what}\n{err}"
