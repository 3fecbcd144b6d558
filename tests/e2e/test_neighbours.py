"""Several processes and several users around one file of replies: nothing is paid twice, nothing is lost, nothing is shown."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tests.e2e.test_teacher as paying
from tests.server import Teacher, teaching

import tutelage
from tutelage.cli.main import main
from tutelage.errors import RunError
from tutelage.recipes.finetune_cot import FinetuneCot
from tutelage.runs import records
from tutelage.runs import replies as caches
from tutelage.runs.replies import ReplyCache
from tutelage.tasks.catalog import find_task
from tutelage.types import Lesson, Reply, Sampling

ALL = 56  # requests of one whole run: 28 rationales and their answers


def starting(folder: Path, into: str, config: str = "c.yaml") -> subprocess.Popen[str]:
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "OPENAI_API_KEY": paying.SECRET}
    words = [sys.executable, "-m", "tutelage", "lessons", config, "--into", into]
    return subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def one_at_a_time(teacher: Teacher, **more: Any) -> dict[str, Any]:
    raw = paying.config(teacher, **more)
    raw["teacher"]["concurrency"] = 4
    return raw


def test_three_runs_on_a_cold_cache_pay_once(tmp_path: Path) -> None:
    with teaching(paying.say, seconds=1.0) as teacher:  # as long as the slowest start
        paying.write(tmp_path, one_at_a_time(teacher))
        running = [starting(tmp_path, f"run{i}") for i in range(3)]
        said = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert len(teacher.requests) == ALL
    made = [records.read_records(tmp_path / f"run{i}" / "lessons" / "records.jsonl", Lesson) for i in range(3)]
    assert made[0] == made[1] == made[2]
    assert len(made[0]) == 28
    assert any("being asked for by another process" in out for out, _ in said)
    assert [file.name for file in (tmp_path / "cache").iterdir() if "asking" in file.name] == []


def test_what_a_killed_process_was_asking_for_is_taken_over_at_once(tmp_path: Path) -> None:
    with teaching(paying.say, seconds=1.5) as teacher:
        paying.write(tmp_path, one_at_a_time(teacher))
        (tmp_path / "quick.yaml").write_text(
            (tmp_path / "c.yaml").read_text().replace("concurrency: 4", "concurrency: 32")
        )
        first = starting(tmp_path, "first")
        wait_for(lambda: len(teacher.answered) >= 8)
        second = starting(tmp_path, "second", "quick.yaml")
        wait_for(lambda: "another process" in (tmp_path / "second" / "events.jsonl").read_text() if (tmp_path / "second" / "events.jsonl").exists() else False)  # fmt: skip
        first.send_signal(signal.SIGKILL)
        first.communicate()
        _, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert ALL <= len(teacher.requests) <= ALL + 4  # what was in flight of the killed one is asked again


def test_a_run_that_stops_lets_others_ask(tmp_path: Path) -> None:
    with teaching(paying.say, seconds=0.3) as teacher:
        paying.write(tmp_path, one_at_a_time(teacher))
        first = starting(tmp_path, "first")
        wait_for(lambda: len(teacher.answered) >= 8)
        second = starting(tmp_path, "second")
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
        _, err = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (130, 0), err
    assert len(teacher.requests) == ALL


def test_a_file_that_takes_nothing_is_said_before_anything_is_asked(
    tmp_path: Path, held: Callable[[Path], Any]
) -> None:
    file = tmp_path / "cache" / "replies.sqlite"
    ReplyCache(file).close()
    with teaching(paying.say) as teacher, held(file):
        paying.write(tmp_path, paying.config(teacher))
        done = paying.cli(tmp_path, "lessons", "c.yaml", "--into", "run")
    assert done.returncode == 2
    assert "locked), so none is asked for" in done.stderr
    assert teacher.requests == []


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Any]]:
    """Another connection that does not let go of a file of replies."""
    connections = []

    class Held:
        def __init__(self, file: Path) -> None:
            self.connection = sqlite3.connect(file, isolation_level=None)
            connections.append(self.connection)

        def __enter__(self) -> None:
            self.connection.execute("BEGIN IMMEDIATE")

        def __exit__(self, *exception: object) -> None:
            self.connection.execute("ROLLBACK")

    yield Held
    for connection in connections:
        connection.close()


def put(store: ReplyCache, *keys: str) -> None:
    for key in keys:
        store.put(key, b'{"model": "m", "messages": [["user", "?"]]}', Reply(text=f"re {key}"), b"\xff raw")


def test_replies_that_come_while_the_file_is_locked_wait_beside_it(
    tmp_path: Path, held: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "_PATIENCE", 0.2)
    file, said = tmp_path / "replies.sqlite", list[str]()
    store, other = ReplyCache(file, said.append), ReplyCache(file)
    with held(file):
        begun = time.monotonic()
        put(store, *"abcdefghijkl")
        assert time.monotonic() - begun < 5  # only the first is waited for
        assert {key: reply.text for key, reply in store.get_many(["a", "l", "x"]).items()} == {"a": "re a", "l": "re l"}
        assert other.get_many(["a"]) == {}
    assert [line for line in said if "takes no replies now" in line] == said
    assert len(said) == 1
    put(store, "m")
    assert set(other.get_many([*"abcdefghijklm"])) == set("abcdefghijklm")
    assert list(tmp_path.glob("*waiting*")) == []


def test_what_is_still_waiting_when_a_process_is_killed_is_taken_in_by_the_next(
    tmp_path: Path, held: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "_PATIENCE", 0.2)
    file, said = tmp_path / "replies.sqlite", list[str]()
    ReplyCache(file).close()
    with held(file):
        child = os.fork()
        if not child:
            put(ReplyCache(file, lambda line: None), "a", "b")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        (waiting,) = tmp_path.glob("*waiting*")
        assert stat.S_IMODE(waiting.stat().st_mode) == 0o600
        with waiting.open("ab") as torn:
            torn.write(b'["c", "{}"')
        assert ReplyCache(file, said.append).get_many(["a"]) == {}  # still locked
        assert said == []
    row = next(one for one in ReplyCache(file, said.append).rows() if one.key == "b")
    assert (row.reply.text, row.raw) == ("re b", b"\xff raw")
    assert said == [
        f"2 replies that were waiting beside {file} are in it now; 1 more were torn by a crash and are lost"
    ]
    assert list(tmp_path.glob("*waiting*")) == []


@pytest.mark.parametrize(("before", "after"), [(None, 0o600), (0o644, 0o600), (0o660, 0o660), (0o664, 0o660)])
def test_what_was_paid_for_is_private(tmp_path: Path, before: int | None, after: int) -> None:
    file = tmp_path / "mine" / "replies.sqlite"
    if before is not None:
        ReplyCache(file).close()
        file.chmod(before)
    store = ReplyCache(file)
    put(store, "a")
    store.claim(["b"])
    assert {stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()} == {after}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert store.get_many(["a"])["a"].text == "re a"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_the_file_of_another_user_is_read_and_never_paid_into() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, said = Path(name), list[str]()
        folder.chmod(0o755)
        file = folder / "replies.sqlite"
        store = ReplyCache(file)
        put(store, "a")
        file.chmod(0o664)
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).chmod(0o664)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                mine = ReplyCache(file, said.append)
                assert mine.get_many(["a"])["a"].text == "re a"
                with pytest.raises(RunError, match="so none is asked for: make it writable"):
                    mine.claim(["b"])
                os.write(write, b"well")
            except BaseException as error:
                os.write(write, repr(error).encode()[:4000])
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 4096) == b"well"


@pytest.mark.parametrize("leaves", [ValueError("a mistake of the caller's"), KeyboardInterrupt()])
def test_what_ends_a_run_is_what_is_said_and_what_is_in_flight_is_kept(
    tmp_path: Path, leaves: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", paying.SECRET)
    task = find_task(paying.TASK)
    chats = [task.ask(question) for question in task.load("train")[:12]]
    slow = [0.2]
    with teaching(lambda messages: "heads", lambda number, body: "", seconds=0.2) as teacher:
        raw = {**paying.config(teacher), "cache": str(tmp_path / "replies.sqlite")}
        raw["teacher"]["concurrency"] = 6
        begun = time.monotonic()

        def fail() -> None:
            with tutelage.open_classroom(FinetuneCot(**raw), into=tmp_path / "run") as room:
                for _ in room.open(raw["teacher"]).answer(chats, Sampling()):
                    wait_for(lambda: len(teacher.requests) >= 6)
                    raise leaves

        with pytest.raises(type(leaves)) as caught:
            fail()
        assert caught.value is leaves
        assert leaves.__context__ is None
        took = time.monotonic() - begun
    del caught
    assert "closed database" not in capsys.readouterr().err
    kept = len(list(ReplyCache(tmp_path / "replies.sqlite").rows()))
    assert kept == (len(teacher.answered) if isinstance(leaves, ValueError) else kept)
    assert kept >= 1
    assert took < 60 + slow[0]


def stood(folder: Path) -> dict[str, Path]:
    """What may stand where the file of replies should: none of it is ours."""
    there = {name: folder / name for name in ("folder", "text", "pipe", "database", "link", "short")}
    there["folder"].mkdir(mode=0o755)
    there["text"].write_text("dear diary " * 99)
    there["short"].write_text("x")
    os.mkfifo(there["pipe"], 0o644)
    with sqlite3.connect(there["database"]) as made:
        made.execute("CREATE TABLE users (name)")
    made.close()
    there["link"].symlink_to(there["link"])
    for name in ("text", "short", "pipe", "database"):
        there[name].chmod(0o644)
    return there


@pytest.mark.parametrize("name", ["folder", "text", "short", "pipe", "database", "link"])
def test_what_is_no_file_of_replies_is_left_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stood(tmp_path)[name]
    before = {one.name: (one.lstat().st_mode, one.lstat().st_size) for one in [tmp_path, *tmp_path.iterdir()]}
    content = path.read_bytes() if path.is_file() else b""
    for words in (["ls"], ["stats"], ["prune", "--model", "m", "--yes"]):
        monkeypatch.setattr(sys, "argv", ["tutelage", "cache", *words, "--file", str(path)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert end.value.code == 2, said
        assert said.startswith("error: ")
        assert str(path) in said
    with pytest.raises(RunError, match="as the file of teacher replies"):
        ReplyCache(path)
    after = {one.name: (one.lstat().st_mode, one.lstat().st_size) for one in [tmp_path, *tmp_path.iterdir()]}
    assert before == after
    assert content == (path.read_bytes() if path.is_file() else b"")
