"""A task of the user's own: what is wrong with it is one sentence, said before anything is asked."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tutelage.errors import ConfigError, DataError, TutelageError
from tutelage.tasks.task import Task, check_split
from tutelage.types import Question

_NEEDED, _OPTIONAL = ("load", "read", "same", "ask"), ("commits", "worked", "similar")


@contextmanager
def making_task(path: str) -> Iterator[None]:
    """Whatever fails in the user's function that makes a task is said with the place of it."""
    try:
        yield
    except TutelageError:
        raise
    except Exception as error:  # the user's own function may fail in any way
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}"
        raise ConfigError(f"task {path!r} cannot be made: {place}") from error


def check_own_task(found: object, path: str) -> Task:
    """The task, if it has every part that a task has; its questions are looked at when they are loaded."""
    if not isinstance(found, Task):
        raise ConfigError(f"task {path!r} is a {type(found).__name__}; it must be a Task or a function returning one")
    for part in (*_NEEDED, *_OPTIONAL):
        value = getattr(found, part)
        if not callable(value) and not (value is None and part in _OPTIONAL):
            raise ConfigError(f"task {path!r}: its `{part}` is a {type(value).__name__}; it must be a function")
    if isinstance(found.splits, str) or not found.splits:
        raise ConfigError(f"task {path!r}: its `splits` are {found.splits!r}; name them, such as ('train', 'test')")
    return replace(found, splits=tuple(found.splits), load=_checked_load(found, path))


def _checked_load(task: Task, path: str) -> Callable[[str], list[Question]]:
    def load(split: str) -> list[Question]:
        check_split(path, split, tuple(task.splits))
        questions = list(task.load(split))
        if not questions:
            raise DataError(f"task {path!r}: its split {split!r} holds no questions")
        for place, one in enumerate(questions):
            if not isinstance(one, Question):
                raise DataError(
                    f"task {path!r}: number {place} of its split {split!r} is a {type(one).__name__}; it must be a Question"
                )
        return questions

    return load
