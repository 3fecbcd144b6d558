"""What becomes of a training whose memory ends: it begins again with half as many lessons at once."""

import contextlib
import gc
from collections.abc import Callable, Iterator

from tutelage.errors import LessonError
from tutelage.models.local.devices import release_memory
from tutelage.surroundings import tells_of_memory
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject


class OutOfMemory(Exception):
    """The memory did not hold as many lessons at once as a training began with."""


@contextlib.contextmanager
def telling_of_memory() -> Iterator[None]:
    """Raise `OutOfMemory` for an error that says so inside, in whichever words a device has for it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not tells_of_memory(error):
            raise
        raise OutOfMemory(str(error)) from error


def halve_until_it_fits(
    attempt: Callable[[TrainingConfig], JsonObject], config: TrainingConfig, size: int
) -> JsonObject:
    """Train, in each of so many processes with fewer lessons at once wherever the last attempt ran out of memory.

    Batches are the same but for rounding, and an attempt goes on from the last one's checkpoint.
    """
    share = -(-config.batch // size)
    halved, at_once = 0, min(config.micro_batch or share, share)
    while True:
        try:
            facts = attempt(config)
            return facts | ({"halved": halved, "at_once": at_once} if halved else {})
        except OutOfMemory as error:
            if at_once == 1:
                raise LessonError(
                    "the memory does not hold the training of one lesson at once: set training.gradient_checkpointing=true or "
                    "training.lora={}, lower training.max_length, or take a smaller student"
                ) from error
        # Only here, where nothing holds the tensors of what failed any more, is their memory free.
        halved, at_once = halved + 1, (at_once + 1) // 2
        config = config.model_copy(update={"micro_batch": at_once})
        gc.collect()
        release_memory()
