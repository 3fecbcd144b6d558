"""The script of `tutelage slurm`, as far as a shell goes: Slurm itself is a stand-in that notes what it is asked."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from tests.e2e.outside import cli, works

CONFIG = {
    "recipe": "finetune_cot",
    "task": "coin_flip?size=40",
    "baselines": [],
    "training": {"epochs": 100, "batch": 8, "precision": "float32"},
    "exam": {"max_tokens": 4},
}


@pytest.fixture
def folder(base_student: Path, tmp_path: Path) -> Path:
    """A user's folder with a config, whose name the shell must be kept from reading, and a Slurm that only takes notes."""
    there = tmp_path / "my $HOME"
    (there / "bin").mkdir(parents=True)
    student = {"name": f"hf:{base_student}", "dtype": "float32", "device": "cpu"}
    (there / "it's mine.yaml").write_text(yaml.safe_dump({**CONFIG, "student": student}))
    scontrol = there / "bin" / "scontrol"
    scontrol.write_text(f'#!/bin/bash\necho "$@" >> "{tmp_path}/asked"\n')
    scontrol.chmod(0o755)
    return tmp_path


def script_of(folder: Path, *words: str) -> Path:
    """The script as it is printed, in a file."""
    done = works(folder / "my $HOME", "slurm", "it's mine.yaml", "--into", str(folder / "runs" / "one"), *words)
    file = folder / "job.sh"
    file.write_text(done.stdout)
    assert subprocess.run(["bash", "-n", str(file)], check=False).returncode == 0
    return file


def start(folder: Path, script: Path) -> "subprocess.Popen[str]":
    """Run it as Slurm does, in a session of its own."""
    told = {**os.environ, "PATH": f"{folder}/my $HOME/bin:{os.environ['PATH']}", "SLURM_JOB_ID": "77"}
    return subprocess.Popen(
        ["bash", str(script)], cwd="/", env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )  # fmt: skip


def test_a_job_whose_time_is_up_queues_again_and_the_next_one_ends_the_run(folder: Path) -> None:
    script, run = script_of(folder), folder / "runs" / "one"
    with start(folder, script) as job:
        until = time.monotonic() + 120
        while time.monotonic() < until and not (run / "student.draft").exists():
            time.sleep(0.2)
        time.sleep(2)
        job.send_signal(signal.SIGTERM)  # as --signal=B:TERM does: to the shell alone
        said, _ = job.communicate(timeout=120)
    assert job.returncode == 130, said
    assert "stopped after" in " ".join(said.split())
    assert (folder / "asked").read_text() == "requeue 77\n"
    with start(folder, script) as job:
        said, _ = job.communicate(timeout=200)
    assert job.returncode == 0, said
    assert "(kept)" in said
    assert (run / "report.html").exists()
    assert (folder / "asked").read_text() == "requeue 77\n"


def test_what_is_wrong_ends_the_job_for_good(folder: Path) -> None:
    script = script_of(folder)
    (folder / "my $HOME" / "it's mine.yaml").unlink()
    with start(folder, script) as job:
        said, _ = job.communicate(timeout=60)
    assert job.returncode == 2
    assert "it's mine.yaml" in said
    assert not (folder / "asked").exists()


def test_it_asks_for_what_it_is_told(folder: Path) -> None:
    words = [
        "--gpus",
        "8",
        "--cpus",
        "4",
        "--time",
        "2-00:00:00",
        "--partition",
        "gpu",
        "--account",
        "lab-7",
        "--warn",
        "600",
        "seed=3",
    ]
    text = script_of(folder, *words).read_text()
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, re.MULTILINE))
    assert asked.pop("output") == f"{folder}/runs/one-%j.log"
    assert asked == {
        "job-name": "tutelage-one", "nodes": "1", "ntasks": "1", "cpus-per-task": "32", "gpus-per-node": "8", "time": "2-00:00:00",
        "signal": "B:TERM@600", "open-mode": "append", "partition": "gpu", "account": "lab-7",
    }  # fmt: skip
    assert "--on processes:8 &" in text
    assert "seed=3" in text
    assert "gpus" not in script_of(folder, "--gpus", "0").read_text()


def test_the_config_of_a_run_is_that_run(folder: Path) -> None:
    run = folder / "runs" / "begun"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "config.yaml").write_text((folder / "my $HOME" / "it's mine.yaml").read_text())
    assert f"--into {run} &" in works(folder, "slurm", str(run / "config.yaml")).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--time", "soon"], "--time 'soon' is no time of Slurm's, such as 12:00:00 or 2-00:00:00"),
        (["--partition", "a b"], "--partition 'a b' is no name that Slurm has"),
        (["--gpus", "16"], "training.batch=8 lessons a step cannot be shared by 16 processes"),
        (["--into", "a b/c"], "Slurm takes no path with spaces for its log"),
        (["training.epoch=3"], "training.epoch"),
        (["teacher.api_key=sk-abcdefghijklmnopqrstuvwxyz012345"], "sk-"),
    ],
)
def test_what_is_wrong_is_said_before_a_job_is_queued(folder: Path, words: list[str], said: str) -> None:
    done = cli(folder / "my $HOME", "slurm", "it's mine.yaml", *words)
    assert done.returncode == 2
    if said == "sk-":
        assert said not in done.stderr + done.stdout
    else:
        assert said in done.stderr
