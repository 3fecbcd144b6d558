"""From what a config names to a launcher."""

import inspect
import os
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from tutelage.config import split_options
from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.launch import LAUNCHERS
from tutelage.launch.launcher import Launcher

# The type of a launcher in a recipe's settings.
Launch = Annotated[
    str, Field(description="where work runs: a launcher's name or package.module:NAME; no part of the result")
]


def find_launcher(name: str) -> Launcher:
    """A launcher by its name and what stands behind it, such as "here" or "processes:8?restarts=5", or by "package.module:NAME":
    an object, or a class that needs no arguments.
    """
    bare, options = split_options(name, "launcher")
    head, _, given = bare.partition(":")
    if head in LAUNCHERS:
        return _made(head, load_named(LAUNCHERS[head][0]), given, options)
    if ":" not in name:
        raise ConfigError(f"unknown launcher {name!r}; {nearest(name, LAUNCHERS)}, or package.module:NAME")
    found = _own(name)
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


def _own(name: str) -> Any:
    try:
        return by_path(name, "launcher")
    except ConfigError as error:
        head, lost = name.partition(":")[0], error.__cause__
        # It may be one of the table that is spelt wrong.
        if isinstance(lost, ModuleNotFoundError) and lost.name == head:
            raise ConfigError(f"unknown launcher {head!r}; {nearest(head, LAUNCHERS)} ({lost})") from error
        raise


def check_alone() -> None:
    """Refuse to be one of several processes that would each do all of a run."""
    size = os.environ.get("WORLD_SIZE", "")
    if size.isdecimal() and int(size) > 1:
        raise ConfigError(
            f"tutelage was started {size} times at once (WORLD_SIZE={size}, as torchrun and accelerate launch set it), and each would do "
            "the whole run: start it once, with --on processes:N for N processes"
        )


def _made(name: str, kind: Any, given: str, options: Mapping[str, object]) -> Launcher:
    """One of the table, from what stands behind its name and its options, which have types and defaults."""
    known = list(inspect.signature(kind).parameters.values())
    if given and not known:
        raise ConfigError(f"launcher {name!r} takes nothing behind its name, and was given {given!r}")
    typed = {one.name: type(one.default) for one in known[1:]}
    for key, value in options.items():
        if key not in typed:
            raise ConfigError(
                f"launcher {name!r} has no option {key!r}; {nearest(key, typed) if typed else 'it has none'}"
            )
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not (is_number or (typed[key] is str and isinstance(value, str))):
            what = "a text" if typed[key] is str else "a number from 0 on"
            raise ConfigError(f"launcher {name!r}: {key} must be {what}, and is {value!r}")
    made = {key: typed[key](value) for key, value in options.items()}
    launcher: Launcher = kind(*([given] if known else []), **made)
    return launcher
