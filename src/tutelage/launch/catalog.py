"""From what a config names to a launcher."""

from typing import Annotated

from pydantic import Field

from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.launch import LAUNCHERS
from tutelage.launch.launcher import Launcher

# The type of a launcher in a recipe's settings.
Launch = Annotated[
    str, Field(description="where work runs: a launcher's name or package.module:NAME; no part of the result")
]


def find_launcher(name: str) -> Launcher:
    """A launcher by its name, or by "package.module:NAME": an object, or a class that needs no arguments."""
    if name not in LAUNCHERS and ":" not in name:
        raise ConfigError(f"unknown launcher {name!r}; {nearest(name, LAUNCHERS)}, or package.module:NAME")
    found = load_named(LAUNCHERS[name][0]) if name in LAUNCHERS else by_path(name, "launcher")
    kind = found.__name__ if isinstance(found, type) else type(found).__name__
    if lacking := [part for part in ("fit", "open") if not callable(getattr(found, part, None))]:
        raise ConfigError(
            f"launcher {name!r} is a {kind} without {' and '.join(lacking)}; it needs fit and open, as "
            "docs/add-a-launcher.md shows"
        )
    if isinstance(found, type):
        try:
            found = found()
        except TypeError as error:
            raise ConfigError(
                f"launcher {name!r} is the class {kind}, which is made without arguments: {error}"
            ) from error
    launcher: Launcher = found
    return launcher
