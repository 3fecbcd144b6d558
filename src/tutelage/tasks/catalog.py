"""From what a user writes in a recipe or on the command line to a task."""

import inspect
import os
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tutelage.config import read_yaml, split_options
from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.tasks import TASKS, Entry, published
from tutelage.tasks.own import check_own_task, making_task
from tutelage.tasks.task import Task
from tutelage.types import JsonObject

# These are both made on the spot and published; `source` chooses.
TWICE = ("coin_flip", "last_letter_concatenation", "tracking_shuffled_objects", "date_understanding")


def find_task(spec: str | Mapping[str, object], data: str | None = None) -> Task:
    """Make the task that a spec names.

    A spec is a name ("coin_flip"), a name with options ("word_problems?difficulty=2&size=500"), a mapping with the
    key "name" and options beside it, a data set of reasoning-gym ("reasoning_gym:leg_counting"), or the user's own
    "package.module:NAME", a Task or a function that returns one; or the path of a config file, for the task of that
    config. `data` is a folder with local copies of the
    published data sets; without it the environment variable TUTELAGE_DATA names the folder.
    """
    if isinstance(spec, str) and spec.endswith((".yaml", ".yml")):
        spec = _task_of(Path(spec))
    name, options = _parse(spec)
    head, colon, rest = name.partition(":")
    if head == "reasoning_gym" and colon:
        if "dataset" in options:
            raise ConfigError(f"task {name!r} names its data set twice; leave out the option 'dataset'")
        name, options = head, {"dataset": rest, **options}
    elif colon:
        return _own(name, options)
    if name not in TASKS:
        raise ConfigError(f"unknown task {name!r}; {nearest(name, TASKS)}")
    reading = options.pop("reading", "house")
    entry = _entry(name, options)
    factory = load_named(entry.factory)
    fixed = dict(entry.fixed)
    if "data" in inspect.signature(factory).parameters and "data" not in options:
        fixed["data"] = data or os.environ.get("TUTELAGE_DATA") or None
    task: Task = _make(factory, name, options, fixed)
    return task if reading == "house" else _read_otherwise(task, reading)


def _read_otherwise(task: Task, reading: object) -> Task:
    """The same task with answers read by another rule, which is part of what the task is."""
    from tutelage.grading.answers import grading

    try:
        graded = grading(task.kind, reading)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"task {task.name!r}: {error}") from None
    return replace(task, **graded, options={**task.options, "reading": reading})


def anchored(spec: str | Mapping[str, object]) -> str | JsonObject:
    """The same spec with whole paths of the user's own files, so that a run goes on from whatever folder."""
    if isinstance(spec, str) and spec.endswith((".yaml", ".yml")):
        return anchored(_task_of(Path(spec)))
    name, options = _parse(spec)
    if name != "local" or "path" not in options:
        return spec if isinstance(spec, str) else dict(spec)
    path = options["path"]
    whole = {key: _whole(one) for key, one in path.items()} if isinstance(path, Mapping) else _whole(path)
    return {"name": name, **options, "path": whole}


def _whole(path: object) -> object:
    if isinstance(path, str) and not path.startswith(("~", "$")):
        return str(Path(path).absolute())
    return path


def _task_of(config: Path) -> str | JsonObject:
    """The task that a config file names."""
    task = read_yaml(config).get("task")
    if not isinstance(task, str | dict):
        raise ConfigError(f"{config} names no task (the key 'task')")
    return task


def _entry(name: str, options: JsonObject) -> Entry:
    if name not in TWICE or "source" not in options:
        return TASKS[name]
    source = options.pop("source")
    if source not in ("procedural", "published"):
        raise ConfigError(f"task {name!r}, source: {nearest(str(source), ('procedural', 'published'))}")
    return TASKS[name] if source == "procedural" else published(name, "")


def _parse(spec: str | Mapping[str, object]) -> tuple[str, JsonObject]:
    """Split a spec into the task's name and the options."""
    if isinstance(spec, str):
        return split_options(spec, "task")
    options = dict(spec)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError("a task written as a mapping needs the key 'name', for example {name: coin_flip, size: 500}")
    inner, more = _parse(name)
    if doubled := sorted(set(more) & set(options)):
        raise ConfigError(f"task {name!r}: the option {doubled[0]!r} is given twice")
    return inner, more | options


def _own(path: str, options: JsonObject) -> Task:
    """The user's own task, from a module that may stand in the folder the user works in."""
    found = by_path(path, "task")
    if callable(found):
        with making_task(path):
            found = _make(found, path, options, {})
    elif options:
        raise ConfigError(f"task {path!r} is not a function, so it takes no options ({', '.join(options)})")
    return check_own_task(found, path)


def _make(factory: Callable[..., Any], name: str, options: JsonObject, fixed: JsonObject) -> Any:
    """Call a factory with options that its signature knows, of the types it names."""
    parameters = inspect.signature(factory).parameters
    hints = typing.get_type_hints(factory)
    open_ended = [one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD]
    known = [key for key in parameters if key not in open_ended and (key == "data" or key not in fixed)]
    checked = {}
    for key, value in options.items():
        if key not in known and not open_ended:
            raise ConfigError(
                f"task {name!r} has no option {key!r}; {nearest(key, [*known, 'reading'] if name in TASKS else known)}"
            )
        checked[key] = _typed(name, key, value, hints.get(key, Any)) if key in known else value
    for key in known:
        if parameters[key].default is inspect.Parameter.empty and key not in checked | fixed:
            raise ConfigError(f"task {name!r} needs the option {key!r}")
    return factory(**{**fixed, **checked})


def _typed(task: str, option: str, value: object, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise ConfigError(f"task {task!r}, option {option!r}: {error} ({value!r})") from error
    except TypeError:  # a type of the user's own factory that msgspec does not know
        return value
