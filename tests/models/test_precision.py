"""Which arithmetic a student computes in: measured on the machine, kept with the run."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tutelage import runner
from tutelage.errors import Interrupted, ModelError
from tutelage.machine import machine
from tutelage.models.local import precision

SLOW_TRAINING = {"training": {"float32": 100.0, "bfloat16": 63.0}, "decoding": {"float32": 7.0, "bfloat16": 110.0}}


@pytest.fixture
def bfloat16_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that has instructions for bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


def test_having_the_instructions_is_not_being_faster(bfloat16_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor with avx512_bf16 and no AMX: training is faster in float32, writing answers in bfloat16."""
    monkeypatch.setattr(precision, "measured", lambda: SLOW_TRAINING)
    assert precision.choose("training", "cpu") == "float32"
    assert precision.choose("decoding", "cpu") == "bfloat16"


def test_a_processor_that_emulates_bfloat16_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    monkeypatch.setattr(precision, "measured", lambda: pytest.fail("measured"))
    assert precision.choose("training", "cpu") == precision.choose("decoding", "cpu") == "float32"


def test_it_is_measured_once_a_machine(tmp_path: Path, bfloat16_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    found = precision.measured()
    assert all(rate > 0 for rates in found.values() for rate in rates.values())
    monkeypatch.setattr(precision, "_alone", lambda: pytest.fail("measured again"))
    assert precision.measured() == found
    monkeypatch.setenv("OMP_NUM_THREADS", "17")  # what is faster does not hang on how many threads do it
    assert precision.measured() == found
    (tmp_path / "cache" / "speed.json").write_text("{torn")
    monkeypatch.setattr(precision, "_alone", lambda: SLOW_TRAINING)
    assert precision.measured() == SLOW_TRAINING


def test_it_is_measured_by_one_thread_in_the_processor_s_time(
    tmp_path: Path, bfloat16_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads beside other programs wait for each other: the same machine was found to be 1.0 to 2.5 times faster in bfloat16."""
    monkeypatch.setattr(precision, "_SECONDS", 0.01)
    threads, used = torch.get_num_threads(), []
    monkeypatch.setattr(time, "thread_time", lambda: used.append(time.perf_counter()) or used[-1])
    assert precision._rates("decoding").keys() == {"float32", "bfloat16"}
    assert len(used) > 8
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    asked: list[dict[str, str]] = []
    done = subprocess.CompletedProcess([], 0, json.dumps(SLOW_TRAINING), "")
    monkeypatch.setattr(subprocess, "run", lambda *words, env, **more: asked.append(env) or done)
    assert precision.measured() == SLOW_TRAINING
    assert asked[0]["OMP_NUM_THREADS"] == asked[0]["MKL_NUM_THREADS"] == "1"
    assert torch.get_num_threads() == threads


def test_a_processor_that_cannot_be_measured_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ModelError, match="give training.precision and the student's dtype instead of auto"):
        precision.measured()


def config(student: Path) -> dict[str, Any]:
    return {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=40",
        "student": f"hf:{student}",
        "training": {"epochs": 1, "batch": 4},
        "exam": {"max_tokens": 4},
        "baselines": ["zero_shot"],
    }


def test_a_run_keeps_the_precision_it_began_with_and_notes_it(
    base_student: Path, tmp_path: Path, bfloat16_cpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "measured", lambda: SLOW_TRAINING)
    folder, seen = tmp_path / "run", list[str]()

    def stopping() -> bool:
        return "zero_shot" in seen

    with pytest.raises(Interrupted):
        runner.run(config(base_student), folder, lambda event: seen.append(event.get("step", "")), stopping)
    other = {use: {"float32": 1.0, "bfloat16": rate} for use, rate in (("training", 9.0), ("decoding", 0.1))}
    monkeypatch.setattr(precision, "measured", lambda: other)  # as on another machine
    runner.run(config(base_student), folder)
    run = json.loads((folder / "run.json").read_text())
    # The exam had begun, so its precision stays; the training began elsewhere.
    assert run["settled"] == {"decoding": "bfloat16", "training": "bfloat16"}
    assert run["machine"]["threads"] == machine()["threads"]
    for step, use in (("zero_shot", "decoding"), ("student", "training"), ("finetune_cot", "decoding")):
        made = json.loads((folder / step / "step.json").read_text())["made_on"]
        assert made["precision"] == run["settled"][use]
        assert {"device", "instructions", "processor", "threads", "torch"} <= made.keys()
    assert made["rows"] == [8]


def test_a_run_that_goes_on_under_other_conditions_says_so(base_student: Path, tmp_path: Path) -> None:
    folder, told = tmp_path / "run", list[dict[str, Any]]()
    runner.run(config(base_student), folder)
    run = json.loads((folder / "run.json").read_text())
    run["machine"]["instructions"] = "avx2 amx_bf16"
    (folder / "run.json").write_text(json.dumps(run))
    runner.run(config(base_student), folder, told.append)
    (warning,) = [event for event in told if event["event"] == "warning"]
    assert "instructions: 'avx2 amx_bf16' -> " in warning["line"]
    assert "rounded otherwise" in warning["line"]


def test_a_step_that_goes_on_under_other_conditions_says_so(base_student: Path, tmp_path: Path) -> None:
    folder, told = tmp_path / "run", list[dict[str, Any]]()
    raw = {**config(base_student), "exam": {"max_tokens": 4, "chunk": 4}}

    def half() -> bool:
        return sum(event["event"] == "progress" and event.get("step") == "zero_shot" for event in told) > 5

    with pytest.raises(Interrupted):
        runner.run(raw, folder, told.append, half)
    note = folder / "zero_shot.draft" / "step.json"
    begun = json.loads(note.read_text())
    assert begun["made_on"]["rows"] == [4]
    begun["made_on"]["threads"] = 99
    note.write_text(json.dumps(begun))
    told.clear()
    runner.run(raw, folder, told.append)
    (warning,) = [event for event in told if event["event"] == "warning"]
    assert "zero_shot was begun under other conditions (threads: 99 -> " in warning["line"]


def test_batches_of_several_sizes_are_no_other_conditions(base_student: Path, tmp_path: Path) -> None:
    """A step that is not interrupted, and one that goes on with the batches it began with, have nothing to warn of."""
    folder, told = tmp_path / "run", list[dict[str, Any]]()
    raw = {**config(base_student), "student": f"hf:{base_student}?batch=3", "exam": {"max_tokens": 4, "chunk": 5}}

    def part() -> bool:
        return sum(event["event"] == "progress" and event.get("step") == "zero_shot" for event in told) > 5

    with pytest.raises(Interrupted):
        runner.run(raw, folder, told.append, part)
    runner.run(raw, folder, told.append)
    assert not [event for event in told if event["event"] == "warning"]
    rows = [
        json.loads((folder / step / "step.json").read_text())["made_on"]["rows"]
        for step in ("zero_shot", "finetune_cot")
    ]
    assert rows == [[3, 2], [3, 2]]
