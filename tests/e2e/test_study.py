"""A study through the command line: a tiny real student, a teacher behind real HTTP, kill -9, Ctrl-C, several processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import door
from tests.e2e.coins import TASK, teach
from tests.server import serve


def prepare(folder: Path, student: Path, url: str) -> None:
    """A study of three arms that share their first round, two seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    base = {
        "recipe": "tailored",
        "task": TASK,
        "teacher": {"kind": "openai", "name": "teacher-1", "base_url": url, "concurrency": 4},
        "student": f"hf:{student}",
        "baselines": [],
        "rounds": 2,
        "first": 12,
        "patience": None,
        "review": 0,
        "questions": {"dev_limit": 10},
        "mistakes": {"n": 1, "temperature": 0, "questions": 24},
        "feedback": {"questions": 6},
        "training": {"epochs": 3, "batch": 8, "learning_rate": 0.01, "schedule": "constant", "warmup": 0},
        "exam": {"max_tokens": 12, "chunk": 16},
    }
    study = {
        "study": "small",
        "base": base,
        "arms": {"missed": {}, "random": {"feedback.of": "all"}, "more": {"feedback.questions": 8}},
        "seeds": [0, 1],
        "compare": [["random", "missed"], ["missed", "more"]],
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(study))


def command(folder: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    words = [sys.executable, "-m", "tutelage", "study", str(folder / "s.yaml"), "--into", str(folder / "out"), *more]
    return words, environment


def works(folder: Path, *more: str) -> str:
    words, environment = command(folder, *more)
    done = door.tutelage(*words[3:], env=environment)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    return done.stdout


def found(folder: Path) -> Any:
    """What the study shows, without what differs from one time to another."""
    told = json.loads((folder / "out" / "study.json").read_text())["findings"]
    arms = [{key: arm[key] for key in ("arm", "seeds", "accuracy", "dev", "unread", "by_kind")} for arm in told["arms"]]
    return arms, told["comparisons"], [run["exams"] for run in told["runs"]]


def finished(folder: Path) -> list[tuple[str, str]]:
    """Each step that a run of the study really made, with its seed."""
    return [
        (row["step"], events.parent.name)
        for events in (folder / "out").glob("*/*/events.jsonl")
        for row in map(json.loads, events.read_text().splitlines())
        if row["event"] == "finished"
    ]


@pytest.fixture(scope="module")
def whole(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """An undisturbed study, and what its teacher was asked."""
    folder = tmp_path_factory.mktemp("study") / "whole"
    with serve(teach) as (url, requests):
        prepare(folder, base_student, url)
        planned = works(folder, "--plan")
        assert requests == []
        assert "6 runs (3 arms x 2 seeds)" in planned
        assert "rationales: 24 calls" in planned  # shared by the arms of a seed
        (folder / "stdout").write_text(works(folder))
        return folder, list(requests)


def test_what_the_arms_share_is_made_and_paid_for_once(whole: tuple[Path, list[Any]]) -> None:
    folder, requests = whole
    made = Counter(step for step, _ in finished(folder))
    assert {step: made[step] for step in ("rationales", "1-student", "1-test", "2-exam")} == dict.fromkeys(
        ("rationales", "1-student", "1-test", "2-exam"), 2
    )
    assert made["2-student"] == made["2-test"] == 6
    replies = sum(
        sum(1 for _ in file.open())
        for step in ("rationales", "2-feedback")
        for file in (folder / "out").glob(f"*/*/{step}/records.jsonl")
        if step == "2-feedback" or file.parts[-4] == "missed"
    )
    same = Counter(json.dumps(body, sort_keys=True) for body in requests)
    assert max(same.values()) == 1  # no request twice
    assert len(requests) <= replies  # arms may ask the same of the teacher, which is paid for once


def test_the_page_says_what_was_found_and_what_was_not(whole: tuple[Path, list[Any]]) -> None:
    folder, _ = whole
    printed, text = (folder / "stdout").read_text(), (folder / "out" / "study.md").read_text()
    assert "Found: " in printed
    for words in (
        "The comparisons",
        "random → missed",
        "95 % over seeds",
        "What it costs",
        "Run by run",
        "study: small",
    ):
        assert words in text
    told = json.loads((folder / "out" / "study.json").read_text())
    bill = told["findings"]["arms"][0]["bill"]
    assert bill["calls"] >= 12
    assert bill["words"] is False
    assert bill["paid_calls"] > 0


def test_each_run_is_an_ordinary_one(whole: tuple[Path, list[Any]]) -> None:
    folder, _ = whole
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache")}
    for words in (["report"], ["status"], ["export", "--to", str(folder / "exported")]):
        done = door.tutelage(words[0], folder / "out" / "missed" / "0", *words[1:], env=environment)
        assert done.returncode == 0, done.stderr
    status = door.tutelage("status", folder / "out")
    assert "small: 6 of 6 runs are finished" in status.stdout


def test_killed_five_times_it_ends_with_the_same_numbers(
    whole: tuple[Path, list[Any]], base_student: Path, tmp_path: Path
) -> None:
    folder, asked = whole
    with serve(teach) as (url, requests):
        prepare(tmp_path, base_student, url)
        words, environment = command(tmp_path)
        for moment in ("rationales", "1-student.draft", "2-feedback", "2-student.draft", "2-test"):
            with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment) as process:
                before = set((tmp_path / "out").glob(f"*/*/{moment}"))
                while set((tmp_path / "out").glob(f"*/*/{moment}")) <= before:
                    assert process.poll() is None
                    time.sleep(0.001)
                time.sleep(0.05)
                process.kill()
        works(tmp_path)
        assert len(requests) - len(asked) <= 5 * 4  # what was in flight may be asked again
    assert found(tmp_path) == found(folder)


def test_several_seeds_at_a_time_make_the_same(
    whole: tuple[Path, list[Any]], base_student: Path, tmp_path: Path
) -> None:
    folder, asked = whole
    with serve(teach) as (url, requests):
        prepare(tmp_path, base_student, url)
        works(tmp_path, "--jobs", "2", "--keep", str(tmp_path / "kept"))
        assert len(requests) <= len(asked)
    # Other threads round otherwise, so the numbers may differ; that all runs are there may not.
    arms, comparisons, runs = found(tmp_path)
    assert [arm["seeds"] for arm in arms] == [[0, 1]] * 3
    assert len(comparisons) == 2
    assert len(runs) == len(found(folder)[2])
    assert (tmp_path / "kept" / "study.json").exists()
    assert (tmp_path / "kept" / "missed" / "1.json.gz").exists()


def test_an_arm_that_fails_stops_no_other_seed(base_student: Path, tmp_path: Path) -> None:
    with serve(teach) as (url, _):
        prepare(tmp_path, base_student, url)
        study = yaml.safe_load((tmp_path / "s.yaml").read_text())
        (tmp_path / "hollow").mkdir()  # a student without weights, which only loading it finds out
        shutil.copy(base_student / "config.json", tmp_path / "hollow")
        study["arms"] = {"missed": {}, "broken": {"student": f"hf:{tmp_path}/hollow"}}
        study["compare"] = []
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
        words, environment = command(tmp_path, "--jobs", "2")
        done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 2, done.stderr
        assert "2 runs failed, such as broken/0" in done.stderr
    told = json.loads((tmp_path / "out" / "study.json").read_text())["findings"]
    assert [arm["seeds"] for arm in told["arms"]] == [[0, 1]]
    assert set(told["failures"]) == {"broken/0", "broken/1"}


def test_seeds_at_a_time_go_on_after_kill_9_and_a_move(base_student: Path, tmp_path: Path) -> None:
    with serve(teach) as (url, _):
        prepare(tmp_path, base_student, url)
        words, environment = command(tmp_path, "--jobs", "2")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment) as process:
            while not list((tmp_path / "out").glob("*/*/1-student.draft")):
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        works(tmp_path, "--jobs", "2")  # at once: what is still leaving is waited for
    (tmp_path / "out").rename(tmp_path / "moved")
    assert door.tutelage("report", tmp_path / "moved", env=environment).returncode == 0
    assert "6 of 6 runs are finished" in (tmp_path / "moved" / "study.md").read_text()


def test_ctrl_c_keeps_what_is_in_hand(base_student: Path, tmp_path: Path) -> None:
    with serve(teach, 0.02) as (url, _):
        prepare(tmp_path, base_student, url)
        words, environment = command(tmp_path)
        with subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            while not (tmp_path / "out" / "missed" / "0" / "rationales.draft" / "records.jsonl").exists():
                assert process.poll() is None
                time.sleep(0.001)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        assert process.returncode == 130
        assert "stopped in missed/0; what is finished is kept, and the same command goes on" in said
        works(tmp_path)


def test_seeds_are_chosen_by_number(tmp_path: Path, base_student: Path) -> None:
    prepare(tmp_path, base_student, "http://127.0.0.1:9/v1")
    words, environment = command(tmp_path, "--seeds", "1,x")
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "--seeds '1,x': write numbers with commas between them" in done.stderr
    words, environment = command(tmp_path, "--seeds", "7")
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "7 is no seed of this study" in done.stderr


def test_the_study_of_the_docs_runs(base_student: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n# study.yaml\n(.*?)```", page, re.DOTALL)
    study = yaml.safe_load(block)
    small = {
        "student": f"hf:{base_student}",
        "questions": {"train_limit": 8, "test_limit": 12},
        "baselines": [],
        "exam": {"max_tokens": 8},
    }
    study["base"] |= small
    study["seeds"] = study["seeds"][:2]
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
    assert "4 that choose training.learning_rate on dev" in works(tmp_path, "--plan")
    works(tmp_path)
    told = json.loads((tmp_path / "out" / "study.json").read_text())["findings"]
    assert [one["chosen"] in (1e-4, 2e-4) for one in told["tuned"]] == [True, True]
    assert told["comparisons"][0]["equivalent"] is not None


def test_with_more_jobs_than_seeds_the_arms_of_a_seed_are_made_at_a_time(
    whole: tuple[Path, list[Any]], base_student: Path, tmp_path: Path
) -> None:
    """What all share is made by the run that goes ahead; what two of the others share, by one of them while the other waits."""
    _, asked = whole
    with serve(teach) as (url, requests):
        prepare(tmp_path, base_student, url)
        study = yaml.safe_load((tmp_path / "s.yaml").read_text())
        # The first arm's student sits no exam on training questions, so the others' is shared by those alone.
        study["arms"] = {arm: study["arms"][arm] for arm in ("random", "missed", "more")}
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(study))
        works(tmp_path, "--jobs", "4")
        assert len(requests) <= len(asked)
        assert max(Counter(json.dumps(body, sort_keys=True) for body in requests).values()) == 1
    made = Counter(finished(tmp_path))
    for seed in ("0", "1"):
        assert [made[step, seed] for step in ("rationales", "1-student", "1-test", "2-exam")] == [1, 1, 1, 1]
        assert made["2-student", seed] == made["2-test", seed] == 3
    arms, comparisons, runs = found(tmp_path)
    assert [arm["seeds"] for arm in arms] == [[0, 1]] * 3
    assert len(comparisons) == 2
    assert len(runs) == 6
    assert not list((tmp_path / "out" / ".making").iterdir())
