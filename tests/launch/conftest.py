"""What the tests of launchers share."""

import sys
from collections.abc import Iterator

import pytest
from tests.launch import forking

from tutelage.launch import channel


@pytest.fixture(autouse=True, scope="session")
def forked() -> Iterator[None]:
    """Processes of ours are forked here, where the system knows how to."""
    if not sys.platform.startswith("linux"):
        yield
        return
    patch = pytest.MonkeyPatch()
    patch.setattr(channel, "subprocess", forking)
    yield
    patch.undo()
