"""`--on processes:N` through the command line: the same records, the same student but for rounding, and what is wrong said first."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.e2e.outside import cli, report_text, works

CONFIG = {
    "recipe": "tailored",
    "task": "coin_flip?size=40",
    "rounds": 1,
    "baselines": ["zero_shot"],
    "training": {"epochs": 2, "batch": 8, "precision": "float32"},
    "exam": {"max_tokens": 8},
}


def run_here(folder: Path, student: Path) -> Path:
    """Write a config into a folder and run it there in one process."""
    spec = {"name": f"hf:{student}", "dtype": "float32", "device": "cpu"}
    (folder / "run.yaml").write_text(yaml.safe_dump({**CONFIG, "student": spec}))
    works(folder, "run", "run.yaml", "--into", "here")
    return folder


def check_same_records(one: Path, other: Path) -> None:
    """Of every step the same lines, in whichever order."""
    files = {file.parent.name: file for file in one.glob("*/records.jsonl")}
    assert files.keys() == {file.parent.name for file in other.glob("*/records.jsonl")}
    assert files
    for name, file in files.items():
        there = other / name / "records.jsonl"
        assert sorted(file.read_text().splitlines()) == sorted(there.read_text().splitlines()), name


@pytest.fixture(scope="module")
def runs(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, run here and on two processes."""
    folder = run_here(tmp_path_factory.mktemp("processes"), base_student)
    works(folder, "run", "run.yaml", "--into", "there", "--on", "processes:2")
    return folder


def test_a_run_on_two_processes_ends_with_the_same_records(runs: Path) -> None:
    check_same_records(runs / "here", runs / "there")
    weights = [load_file(runs / where / "1-student" / "model.safetensors") for where in ("here", "there")]
    assert all(torch.allclose(value, weights[1][name], atol=1e-5) for name, value in weights[0].items())


def test_several_processes_are_as_undecided_as_one(runs: Path) -> None:
    told = {}
    for where in ("here", "there"):
        events = [json.loads(line) for line in (runs / where / "events.jsonl").read_text().splitlines()]
        told[where] = {one["step"]: (one["nats"], one["tokens"]) for one in events if one["event"] == "entropy"}
    assert told["here"].keys() == told["there"].keys() >= {"zero_shot", "1-test"}
    for step, (nats, tokens) in told["here"].items():
        assert told["there"][step] == (pytest.approx(nats, rel=0.02), tokens)
        assert nats > 0


def test_where_it_ran_is_no_part_of_what_it_is(runs: Path) -> None:
    done = works(runs, "run", "there/config.yaml", "--on", "here")
    assert "(kept)" in done.stdout
    text = report_text(runs, "there")
    assert "## Where it was done" in text
    assert "| 1-test | 2 | 0 | 0 questions | 1 after " in text
    assert "| 1-student | 2 | 0 |" in text
    assert "on 2 processes" in works(runs, "status", "there").stdout


def test_ctrl_c_keeps_what_is_done_and_leaves_no_process(runs: Path) -> None:
    words = [sys.executable, "-c", "from tutelage.cli.main import main; main()", "run", "run.yaml", "--into", "stopped"]
    more = ["--on", "processes:2", "training.epochs=500", "training.checkpoint_minutes=100"]
    with subprocess.Popen([*words, *more], cwd=runs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        until = time.monotonic() + 120
        while not list((runs / "stopped").glob("1-student.draft/trainer/process-1.log")) and time.monotonic() < until:
            time.sleep(0.2)
        time.sleep(15)
        children = psutil.Process(run.pid).children()
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=120)
    assert run.returncode == 130
    assert "of " in said
    assert "training steps. Go on with: tutelage run" in said
    assert len(children) == 2
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert list((runs / "stopped").glob("1-student.draft/trainer/checkpoint-*/.complete"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "processes:9"], "training.batch=8 lessons a step cannot be shared by 9 processes: take a larger batch, or at most 8 processes"),
        (["--on", "processes"], "launcher processes: must say how many, from 1 to 1024, as in processes:8"),
        (["--on", "processes:two"], "launcher processes:two must say how many"),
        (["--on", "processes:2?restart=1"], "launcher 'processes' has no option 'restart'; did you mean 'restarts'?"),
        (["--on", "processes:2?restarts=-1"], "launcher 'processes': restarts must be a number from 0 on, and is -1"),
        (["--on", "here:2"], "launcher 'here' takes nothing behind its name, and was given '2'"),
        (["--on", "proceses:2"], "did you mean 'processes'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_said_before_anything_is_done(runs: Path, words: list[str], said: str) -> None:
    done = cli(runs, "run", "run.yaml", "--into", "wrong", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (runs / "wrong" / "rationales").exists()


def test_the_command_itself_is_started_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = cli(runs, "run", "run.yaml", "--into", "wrong")
    assert done.returncode == 2
    assert (
        "tutelage was started 2 times at once (WORLD_SIZE=2, as torchrun and accelerate launch set it)" in done.stderr
    )
    assert "--on processes:N" in done.stderr
    assert os.environ["WORLD_SIZE"] == "2"


def test_a_step_says_what_answered_it(runs: Path) -> None:
    made = {
        where: json.loads((runs / where / "1-test" / "step.json").read_text())["made_on"] for where in ("here", "there")
    }
    assert made["there"]["engines"] == 2
    assert "engines" not in made["here"]
    assert sum(made["there"]["rows"]) <= sum(made["here"]["rows"]) == 8
