"""A training as it is handed to whoever runs it, with no torch in sight."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from tutelage.types import JsonObject


class TrainingJob(Struct, frozen=True, kw_only=True):
    """A training as plain data, which can be sent anywhere as JSON."""

    # The spec of the student to begin with, and `cache`, the folder of what may be fetched again.
    student: JsonObject
    settings: JsonObject  # of `TrainingConfig`
    seed: int
    folder: str  # where the new student is written, and where a training that was interrupted finds what it had
    lessons: str = ""  # path of a file of lessons, one a line


class Callbacks(NamedTuple):
    """How a training talks to the world."""

    progress: Callable[[JsonObject], None]  # told {"done", "of", "loss", "numbers": {name: …}} after each step
    stopping: Callable[[], bool]  # asked after each step whether to save and leave
