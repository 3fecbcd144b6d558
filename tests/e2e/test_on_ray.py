"""`--on ray` through the command line: a cluster of its own that only this machine reaches, or one that somebody runs."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.e2e.outside import cli, report_text, works
from tests.e2e.test_processes import check_same_records, run_here

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def runs(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, run here."""
    return run_here(tmp_path_factory.mktemp("ray"), base_student)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for_training(run: int) -> list[psutil.Process]:
    """Everything that a run has started, once its training is there."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        found = psutil.Process(run).children(recursive=True)
        for one in found:
            with contextlib.suppress(psutil.Error):
                if "tutelage.launch.rank" in one.cmdline():
                    return found
        time.sleep(0.5)
    raise AssertionError("no training began")


def left_behind() -> set[str]:
    """Folders of clusters of our own."""
    return {one.name for one in Path(tempfile.gettempdir()).glob("tutelage-ray-*")}


def test_a_run_on_a_cluster_of_its_own_ends_with_the_same_records(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = left_behind()
    done = works(runs, "run", "run.yaml", "--into", "there", "--on", "ray:2")
    check_same_records(runs / "here", runs / "there")
    assert "raylet" not in done.stdout + done.stderr
    text = report_text(runs, "there")
    assert f"| 1-test | 2 on {socket.gethostname()} | 0 | 0 questions | 1 after " in text
    assert f"| 1-student | 2 on {socket.gethostname()} | 0 |" in text
    assert left_behind() == before
    assert not (tmp_path / ".ray").exists()  # its token is written nowhere
    assert "(kept)" in works(runs, "run", "there/config.yaml", "--on", "here").stdout


def test_it_listens_to_this_machine_alone_and_ctrl_c_keeps_what_is_done(runs: Path) -> None:
    words = [sys.executable, "-c", "from tutelage.cli.main import main; main()", "run", "run.yaml", "--into", "stopped"]
    more = ["--on", "ray:2", "training.epochs=500", "training.checkpoint_minutes=100"]
    with subprocess.Popen(
        [*words, *more], cwd=runs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        wait_for_training(run.pid)
        time.sleep(20)
        children = psutil.Process(run.pid).children(recursive=True)
        heard = {
            where.laddr.ip
            for one in children
            for where in one.net_connections("inet")
            if where.status == psutil.CONN_LISTEN
        }
        (server,) = (one for one in children if one.name() == "gcs_server")
        told = server.environ()
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, said = run.communicate(timeout=120)
    assert run.returncode == 130, said
    assert "training steps. Go on with: tutelage run" in said
    assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, heard
    assert (told["RAY_AUTH_MODE"], len(told["RAY_AUTH_TOKEN"])) == ("token", 64)
    assert not psutil.wait_procs(children, timeout=20)[1]
    assert list((runs / "stopped").glob("1-student.draft/trainer/checkpoint-*/.complete"))


def test_killed_at_once_it_leaves_no_process(runs: Path) -> None:
    words = [sys.executable, "-c", "from tutelage.cli.main import main; main()", "run", "run.yaml", "--into", "killed"]
    with subprocess.Popen(
        [*words, "--on", "ray:2", "training.epochs=500"], cwd=runs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        children = wait_for_training(run.pid)
        run.kill()
    assert len(children) > 4
    left = psutil.wait_procs(children, timeout=30)[1]
    assert {one.name() for one in left} <= {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}  # which look up now and then
    assert not psutil.wait_procs(left, timeout=150)[1]


def test_it_leaves_it_to_the_command_line_what_a_signal_does() -> None:
    code = (
        "import signal\nfrom tutelage.launch.cluster import join_cluster\n"
        "kept = lambda *told: None\nsignal.signal(signal.SIGTERM, kept)\njoin_cluster()\n"
        "assert signal.getsignal(signal.SIGTERM) is kept"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of a cluster that somebody runs with a token, which those who join it have: Ray's own, and its client's."""
    folder = tmp_path_factory.mktemp("head")
    (folder / "token").write_text(secrets.token_hex(32))
    kept = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(folder / "token"))
    port, client = free_port(), free_port()
    words = ["ray", "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats", "--include-dashboard=false"]
    ports = [f"--port={port}", f"--ray-client-server-port={client}", f"--temp-dir={tempfile.mkdtemp(prefix='ray')}"]
    ray = Path(sys.executable).with_name("ray")
    with (folder / "said").open("w") as said:
        run = subprocess.Popen([str(ray), *words[1:], *ports], stdout=said, stderr=said, start_new_session=True)
    try:
        until = time.monotonic() + 60
        for one in (port, client):
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", one), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.5)
        yield port, client
    finally:
        children = psutil.Process(run.pid).children(recursive=True)
        os.killpg(run.pid, signal.SIGTERM)
        for one in psutil.wait_procs(children, timeout=15)[1]:
            one.kill()
        run.wait()
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.mark.parametrize("way", ["address", "client"])
def test_a_cluster_that_somebody_runs_is_joined(runs: Path, head: tuple[int, int], way: str) -> None:
    on = f"ray:2?address=127.0.0.1:{head[0]}" if way == "address" else f"ray://127.0.0.1:{head[1]}?count=2"
    works(runs, "run", "run.yaml", "--into", way, "--on", on)
    check_same_records(runs / "here", runs / way)
    assert f"| 1-test | 2 on {socket.gethostname()} | 0 |" in report_text(runs, way)


def test_a_cluster_that_knows_another_token_is_named(
    runs: Path, head: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(secrets.token_hex(32))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    done = cli(runs, "run", "run.yaml", "--into", "wrong", "--on", f"ray:2?address=127.0.0.1:{head[0]}")
    assert done.returncode == 2, done.stderr
    assert f"no Ray cluster could be joined at 127.0.0.1:{head[0]}" in done.stderr
    assert "token" in done.stderr
    assert (tmp_path / "token").read_text() not in done.stdout + done.stderr


@pytest.mark.parametrize("on", ["ray://127.0.0.1:{port}", "ray?address=127.0.0.1:{port}", "ray://head"])
def test_an_address_that_nobody_answers_is_said_before_anything_is_done(runs: Path, on: str) -> None:
    begun = time.monotonic()
    done = cli(runs, "run", "run.yaml", "--into", "wrong", "--on", on.format(port=free_port()))
    assert done.returncode == 2
    assert "must end with a port, as in ray://head:10001" in done.stderr or (
        "no Ray cluster could be joined at" in done.stderr and "ray start --head" in done.stderr
    )
    assert time.monotonic() - begun < 60
    assert not (runs / "wrong" / "rationales").exists()
