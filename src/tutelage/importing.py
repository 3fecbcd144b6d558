"""What a user names by its import path, package.module:NAME: a task, a model, a recipe, a function."""

import importlib
import os
import sys
import traceback
from typing import Any

from tutelage.errors import ConfigError


def load_named(path: str) -> Any:
    """What stands at "package.module:NAME" of an installed package."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def by_path(path: str, what: str) -> Any:
    """Import what a user named "package.module:NAME"; `what` says in an error what it should have been.

    The module may stand in the folder the user works in.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` does; a console script's path has the script's folder instead
    try:
        return load_named(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{what} {path!r} is no package.module:NAME that can be imported: {error}") from error
    except Exception as error:  # the user's own module may fail in any way while it is imported
        raise ConfigError(f"{what} {path!r} cannot be imported: {_failure(error)}") from error


def _failure(error: Exception) -> str:
    """What went wrong in a user's module, and where."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}"
