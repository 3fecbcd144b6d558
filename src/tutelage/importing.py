"""What a user names by its import path, package.module:NAME: a task, a recipe, a function."""

import importlib
import os
import sys
from typing import Any

from tutelage.errors import ConfigError


def by_path(path: str, what: str) -> Any:
    """Import what stands at "package.module:NAME"; `what` says in an error what it should have been.

    The module may stand in the folder the user works in.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # as `python -m` does; a console script's path has the script's folder instead
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{what} {path!r} is no package.module:NAME that can be imported: {error}") from error
