"""Every error a user can cause, each saying what happened, to what, and what to do."""

import difflib
from collections.abc import Iterable

from tutelage.redaction import redact


class TutelageError(Exception):
    """A mistake in the input or the surroundings that the user can mend; the command line exits with its code.

    Whatever was put into its message, no secret stands in it.
    """

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(redact(str(message)))


class ConfigError(TutelageError):
    """A configuration that cannot be used: an unknown key or name, or a value out of range."""


class DataError(TutelageError):
    """A data file or data set that cannot be read as the task it should be."""


class ModelError(TutelageError):
    """A teacher or student that cannot be opened or cannot answer."""


class RunError(TutelageError):
    """A run directory that cannot be used or continued as asked."""


class LessonError(TutelageError):
    """Nothing, or nothing usable, is left to learn from."""


class BudgetError(TutelageError):
    """A cap on spending was reached; what was paid for is kept."""

    exit_code = 3


class MissingPackage(TutelageError):
    """An optional package is needed for what was asked and is not installed."""

    def __init__(self, package: str, purpose: str, install: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; install it with: pip install {install}"
        )


class Interrupted(TutelageError):
    """The user asked to stop; what was finished is kept."""

    exit_code = 130


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which known name the user probably meant, or list them all: the tail of an unknown-name error."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}"
