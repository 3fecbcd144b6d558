"""Which device is used where several may be, and what it has left."""

from types import SimpleNamespace

import pytest
import torch

from tutelage.models.local import devices, precision


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_auto_is_the_accelerator_that_there_is(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: SimpleNamespace(type=kind))
    assert devices.choose_device("auto") == kind
    assert devices.choose_device("cpu") == "cpu"


def test_auto_is_the_processor_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: None)
    assert devices.choose_device("auto") == "cpu"
    assert devices.choose_device("cuda:1") == "cuda:1"


def test_memory_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**26 < devices.free_memory("cpu") < 2**46
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 100)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 30)
    assert devices.free_memory("mps") == 70
    for kind, left in (("cuda", 5), ("xpu", 7)):
        monkeypatch.setattr(getattr(torch, kind), "mem_get_info", lambda left=left: (left, 9))
        assert devices.free_memory(kind) == left


def test_what_nothing_uses_is_given_back_by_the_accelerator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    for kind in ("cuda", "xpu", "mps"):
        monkeypatch.setattr(getattr(torch, kind), "empty_cache", lambda kind=kind: given.append(kind))
    devices.release_memory()
    assert given == []
    monkeypatch.setattr(devices, "choose_device", lambda wanted: "mps")
    devices.release_memory()
    assert given == ["mps"]


@pytest.mark.parametrize(("able", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_an_xpu_computes_as_it_can_and_mps_in_float32(able: bool, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda including_emulation: able)
    assert precision.choose("training", "xpu") == chosen
    assert precision.choose("training", "mps") == "float32"
