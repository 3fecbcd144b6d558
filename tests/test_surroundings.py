"""Errors that tell of the machine end in a sentence and keep what is done; a process does not go over to the CPU unasked."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import SafetensorError

from tutelage.models.local.devices import choose_device, held_to
from tutelage.surroundings import as_ours, tells_of_device, tells_of_disk, tells_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        MemoryError(),
    ],
)
def test_memory_that_ends_is_told_from_other_errors(error: Exception) -> None:
    assert tells_of_memory(error)
    assert not tells_of_disk(error)
    assert str(as_ours(error)).startswith("the memory ended (")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/somewhere/model"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5312 vs 5204"),
    ],
)
def test_a_disk_that_is_full_is_told_from_other_errors(error: Exception) -> None:
    assert tells_of_disk(error)
    assert not tells_of_memory(error)
    assert "make room and run the same command again" in str(as_ours(error))


def test_an_accelerator_that_is_gone_is_told_from_a_mistake_of_a_program() -> None:
    gone = torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")
    assert tells_of_device(gone)
    assert "(CUDA error: unspecified launch failure)" in str(as_ours(gone))
    ours = torch.AcceleratorError("CUDA error: device-side assert triggered")
    assert as_ours(ours) is ours


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("out of memory"), OSError(errno.EPIPE, "")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert as_ours(error) is error


def test_a_process_that_was_begun_on_a_gpu_does_not_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    for name, value in held_to("cuda").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="was begun on cuda, which this process does not find any more"):
        choose_device("auto")
    assert choose_device("cpu") == "cpu"


# Of Linux: no file may be larger, as none may be on a disk that is full.
FULL = """
import resource, sys
from tutelage.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
sys.argv = ["tutelage", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize(
    ("on", "most"), [("here", "150_000"), ("processes:2", "300_000")]
)  # weights, and the optimiser's
def test_a_training_on_a_full_disk_ends_in_a_sentence_and_goes_on(
    on: str, most: str, base_student: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.yaml").write_text(
        yaml.safe_dump(
            {
                "recipe": "finetune_cot",
                "task": "coin_flip?size=40",
                "student": {"name": f"hf:{base_student}", "device": "cpu"},
                "questions": {"train_limit": 16, "test_limit": 4},
                "baselines": [],
                "training": {"epochs": 2, "batch": 8, "precision": "float32", "checkpoint_minutes": 0.0001},
                "exam": {"max_tokens": 4},
            }
        )
    )
    words = [sys.executable, "-c", FULL.replace("MOST", most), "run", "run.yaml", "--into", "run", "--on", on]
    full = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert full.returncode == 2, full.stderr
    assert "error: cannot write" in full.stderr
    assert "Finished steps are kept; make room and run the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "failed"
    assert "cannot write" in events[-1]["error"]

    words[2] = FULL.replace("resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))", "")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rationales  (kept)" in done.stdout
