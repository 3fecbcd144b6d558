"""What a user names by its import path, package.module:NAME: a task, a model, a recipe, a function."""

import hashlib
import importlib
import inspect
import os
import sys
import traceback
from pathlib import Path
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


def code_digest(path: str) -> str:
    """A digest of the file that "package.module:NAME" stands in: the same name may stand for other code tomorrow."""
    file = inspect.getsourcefile(importlib.import_module(path.partition(":")[0]))
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""


def _failure(error: Exception) -> str:
    """What went wrong in a user's module, and where."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}"
