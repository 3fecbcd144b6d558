"""A run is a directory of finished steps; killing it anywhere is harmless."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tutelage.errors import Interrupted, RunError
from tutelage.runs import records
from tutelage.runs.run import Run
from tutelage.runs.sharing import Beside
from tutelage.types import Attempt


def attempts(count: int) -> list[Attempt]:
    return [Attempt(question=f"q{i}", text="x" * i) for i in range(count)]


def start(path: Path, config: dict[str, object] | None = None, **callbacks: object) -> Run:
    return Run.start(path, config or {"seed": 0}, {"command": "test"}, **callbacks)


def test_a_finished_step_is_read_back_not_made_again(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    made = run.records("exam", Attempt, lambda kept: attempts(3), {"n": 1})

    def never(kept: list[Attempt]) -> Iterable[Attempt]:
        raise AssertionError("made again")

    assert run.records("exam", Attempt, never, {"n": 1}) == made == attempts(3)


def test_other_inputs_are_refused_by_name(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.records("exam", Attempt, lambda kept: attempts(1), {"paper": {"n": 4}})
    with pytest.raises(RunError, match=r"paper\.n: 4 -> 8.*delete"):
        run.records("exam", Attempt, lambda kept: attempts(1), {"paper": {"n": 8}})


def test_another_config_is_refused_by_name(tmp_path: Path) -> None:
    start(tmp_path / "run", {"exam": {"n": 2}}).close()
    run = start(tmp_path / "run", {"exam": {"n": 4}})  # nothing was made yet, so nothing binds it
    run.records("exam", Attempt, lambda kept: attempts(2), {})
    run.close()
    with pytest.raises(RunError, match=r"exam\.n: 4 -> 8.*--into"):
        start(tmp_path / "run", {"exam": {"n": 8}})


def test_an_interrupted_step_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    seen: list[int] = []

    def stopping() -> bool:
        return len(seen) == 2

    def make(kept: list[Attempt]) -> Iterable[Attempt]:
        for attempt in attempts(5)[len(kept) :]:
            seen.append(1)
            yield attempt

    run = start(tmp_path / "run", stopping=stopping)
    with pytest.raises(Interrupted, match="exam"):
        run.records("exam", Attempt, make, {})
    run.close()
    again = start(tmp_path / "run")
    assert again.records("exam", Attempt, make, {}) == attempts(5)
    assert len(seen) == 5  # nothing was made twice


@pytest.mark.parametrize("torn", [b'{"question":"q2","te', b'{"question":"q2"}', b"\x00\x00\x00"])
def test_a_torn_last_line_is_owed_again(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "records.jsonl"
    whole = b"".join(map(records.encode, attempts(2)))
    file.write_bytes(whole + torn)
    assert records.recover(file, Attempt) == attempts(2)
    assert file.read_bytes() == whole


def test_a_draft_of_other_inputs_is_not_used(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        run.records("exam", Attempt, lambda kept: (1 / 0 for _ in range(1)), {"n": 1})  # type: ignore[misc]
    (tmp_path / "run" / "exam.draft" / "records.jsonl").write_bytes(records.encode(attempts(1)[0]))
    assert run.records("exam", Attempt, lambda kept: attempts(3)[len(kept) :], {"n": 2}) == attempts(3)


def test_a_folder_that_is_not_a_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="not a run"):
        start(tmp_path)
    with pytest.raises(RunError, match="is a file"):
        start(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_processes_cannot_hold_one_run(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    with pytest.raises(RunError, match="another process"):
        start(tmp_path / "run")
    run.close()
    start(tmp_path / "run").close()


def test_a_broken_record_in_a_finished_step_is_named(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.records("exam", Attempt, lambda kept: attempts(2), {})
    file = tmp_path / "run" / "exam" / "records.jsonl"
    file.write_bytes(file.read_bytes() + b"oops\n")
    with pytest.raises(RunError, match=r"records\.jsonl:3 is not a Attempt"):
        run.records("exam", Attempt, lambda kept: attempts(2), {})


KILLED = """
import os, signal, sys
from pathlib import Path
from tutelage.runs import run as store
from tutelage.types import Attempt

moment = sys.argv[2]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before-rename":
    Path.rename = die
if moment == "config":
    store.write_file = lambda path, content: die() if path.name == "config.yaml" else path.write_bytes(content)

def make(kept):
    for i in range(len(kept), 6):
        if moment == f"record-{i}":
            die()
        yield Attempt(question=f"q{i}", text="x" * i)

def artifact(folder):
    (folder / "weights").write_text("half")
    if moment == "artifact":
        die()
    (folder / "weights").write_text("whole")
    return {"loss": 1}

run = store.Run.start(Path(sys.argv[1]), {"seed": 0}, {"command": "test"})
run.records("exam", Attempt, make, {"n": 1})
if moment == "between":
    die()
run.artifact("student", artifact, {"n": 1})
"""


@pytest.mark.parametrize("moment", ["config", "record-0", "record-3", "before-rename", "between", "artifact"])
def test_kill_9_at_any_moment_then_the_same_command(tmp_path: Path, moment: str) -> None:
    program = textwrap.dedent(KILLED)
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    assert subprocess.run([*command, moment], check=False).returncode == -signal.SIGKILL
    subprocess.run([*command, "never"], check=True)
    assert records.read_records(tmp_path / "run" / "exam" / "records.jsonl", Attempt) == attempts(6)
    assert (tmp_path / "run" / "student" / "weights").read_text() == "whole"
    assert not list((tmp_path / "run").glob("*.draft"))


def test_a_full_disk_leaves_no_half_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path / "run")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.records("exam", Attempt, lambda kept: attempts(2)[len(kept) :], {})
    monkeypatch.undo()
    assert not (tmp_path / "run" / "exam").exists()
    assert run.records("exam", Attempt, lambda kept: attempts(2)[len(kept) :], {}) == attempts(2)


def test_a_step_taken_from_a_run_on_another_machine_is_told(tmp_path: Path) -> None:
    """It may be rounded otherwise than one made here; what is the same is not said."""
    other = start(tmp_path / "other")

    def make(kept: list[Attempt]) -> Iterable[Attempt]:
        other.made_on("exam", {"processor": "another", "torch": "2", "rows": [8]})
        yield from attempts(1)

    other.records("exam", Attempt, make, {})
    other.close()
    for name, processor, warnings in (("here", "this one", 1), ("there", "another", 0)):
        facts = {"command": "test", "machine": {"processor": processor, "torch": "2"}}
        run = Run.start(tmp_path / name, {"seed": 0}, facts, reuse=Beside(lambda: [tmp_path / "other"]))
        assert run.records("exam", Attempt, make, {}) == attempts(1)
        events = [json.loads(line) for line in (tmp_path / name / "events.jsonl").read_text().splitlines()]
        lines = [event["line"] for event in events if event["event"] == "warning"]
        assert len(lines) == warnings
        assert all("processor: 'another' -> 'this one'" in line and "torch" not in line for line in lines)


def test_events_tell_the_story(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    run.records("exam", Attempt, lambda kept: attempts(1), {})
    run.records("exam", Attempt, lambda kept: attempts(1), {})
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["session", "started", "finished", "reused"]


def test_two_runs_at_a_time_make_a_step_they_share_once(tmp_path: Path) -> None:
    """Whoever waits takes it; where whoever made it was killed, it is made by the one that waits."""
    made: list[str] = []
    both = [tmp_path / "a", tmp_path / "b"]

    def work(name: str) -> None:
        others = [path for path in both if path.name != name]
        run = Run.start(tmp_path / name, {}, {}, reuse=Beside(lambda: others, tmp_path / "locks"))
        run.artifact("student", lambda folder: made.append(name) or time.sleep(0.5) or {"by": name}, {"seed": 0})
        run.artifact("other", lambda folder: made.append(name) or {}, {"seed": name})
        assert run.facts("student") == {"by": made[0]}
        run.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["a", "b"]))
    assert len(made) == 3
    assert not list((tmp_path / "locks").iterdir())


def test_a_lock_that_a_killed_run_left_holds_nobody_up(tmp_path: Path) -> None:
    beside = Beside(lambda: [tmp_path / "other"], tmp_path / "locks")
    code = (
        "import os, sys; from pathlib import Path; from tutelage.runs.sharing import Beside\n"
        "here = Path(sys.argv[1]); beside = Beside(lambda: [here / 'other'], here / 'locks')\n"
        "with beside.alone('student', {'seed': 0}, lambda: None): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert len(list((tmp_path / "locks").iterdir())) == 1
    with beside.alone("student", {"seed": 0}, lambda: pytest.fail("it waits for nobody")):
        pass
    assert not list((tmp_path / "locks").iterdir())


def test_whoever_waits_for_a_step_can_be_stopped(tmp_path: Path) -> None:
    beside = Beside(lambda: [tmp_path / "other"], tmp_path / "locks")

    def stop() -> None:
        raise Interrupted("stopped")

    with beside.alone("student", {}, stop), pytest.raises(Interrupted), beside.alone("student", {}, stop):
        pass
