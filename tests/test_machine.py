"""What decides how a machine rounds: its GPUs are part of it, where they may be used."""

from pathlib import Path

import pytest

from tutelage import machine


def test_gpus_are_named_where_the_driver_tells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in (("0000:01:00.0", "NVIDIA H100 80GB HBM3"), ("0000:02:00.0", "NVIDIA A10")):
        (tmp_path / place).mkdir()
        told = f"Model: \t\t {name}\nIRQ:   \t\t 77\nGPU UUID: \t GPU-0\n"
        (tmp_path / place / "information").write_text(told)
    monkeypatch.setattr(machine, "_CARDS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.machine()["gpus"] == "NVIDIA H100 80GB HBM3, NVIDIA A10"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "gpus" not in machine.machine()


def test_a_machine_without_gpus_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of runs on such machines is still of the same machine."""
    monkeypatch.setattr(machine, "_CARDS", tmp_path / "none")
    assert set(machine.machine()) == {"processor", "instructions", "threads", "torch", "transformers"}
