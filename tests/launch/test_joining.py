"""Joining a cluster that is still beginning, as Ray's client tells of it."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tutelage.errors import ConfigError
from tutelage.launch import cluster

SAID = "Initialization failure from server:\nTraceback (most recent call last):\n  File x\nRuntimeError: no process could be begun"


class Beginning:
    """A Ray whose client is refused so many times."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(self, refusals: int) -> None:
        self.refusals, self.asked = refusals, 0

    def init(self, **options: object) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise ConnectionAbortedError(SAID)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(cluster, "_WAITS", (0.0, 0.0))
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ray://127.0.0.1:{server.getsockname()[1]}"


def test_a_cluster_that_is_still_beginning_is_asked_again(address: str) -> None:
    ray = Beginning(2)
    cluster._meet(ray, address)
    assert ray.asked == 3


def test_one_that_never_begins_is_named_with_its_reason(address: str) -> None:
    ray = Beginning(9)
    with pytest.raises(
        ConfigError, match=r"Initialization failure from server: RuntimeError: no process could be begun\. Start"
    ):
        cluster._meet(ray, address)
    assert ray.asked == 3
