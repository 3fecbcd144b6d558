"""Configuration: YAML in, `key=value` on top, one checked and frozen object out."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import ErrorDetails

from tutelage.errors import ConfigError, nearest
from tutelage.parsing import Unreadable, yaml_value
from tutelage.redaction import is_secret_name
from tutelage.regular import read_regular
from tutelage.suspicion import may_be_secret, told_apart
from tutelage.types import JsonObject


class Settings(BaseModel):
    """Base of every configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    # Options that steps of earlier versions were made without: at their default they are left out of what is written, so that
    # such a step is still the same step.
    newer: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        told: JsonObject = handler(self)
        usual = {name: type(self).model_fields[name].get_default(call_default_factory=True) for name in self.newer}
        return {key: value for key, value in told.items() if key not in usual or value != usual[key]}


SettingsType = TypeVar("SettingsType", bound=Settings)
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def read_yaml(path: Path) -> JsonObject:
    """Read a configuration file as a mapping, or say where it is not one."""
    try:
        # A pipe that a shell made stands under /dev; any other may never be written to.
        whole = path.read_bytes() if str(path).startswith("/dev/") else read_regular(path)
        loaded = yaml_value(whole.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file in UTF-8: {error.reason} at byte {error.start}") from error
    except Unreadable as error:
        line, _, problem = str(error).partition(": ") if str(error).startswith("line ") else ("", "", str(error))
        raise ConfigError(f"{path}{line.replace('line ', ':')} is not YAML: {problem}") from None
    if not isinstance(loaded, dict):
        raise ConfigError(
            f"{path} must hold keys and values, {'and is empty' if loaded is None else f'not a {type(loaded).__name__}'}"
        )
    return loaded


def override(raw: Mapping[str, object], assignments: Sequence[str]) -> JsonObject:
    """Set dotted keys on a copy of a nested mapping; values are read as YAML (`training.epochs=3`)."""
    result = _copy(raw)
    given: list[str] = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"{told_apart(assignment)} is not key=value (for example training.epochs=3)")
        if lost := next((one for one in given if one == key or one.startswith(f"{key}.")), ""):
            what = "is given twice" if lost == key else f"would undo {lost!r}, which stands before it"
            raise ConfigError(f"{key!r} {what}; give each setting once")
        given.append(key)
        try:
            put_key(result, key, yaml_value(value))
        except Unreadable as error:
            raise ConfigError(f"the value of {key!r} is not YAML{_shown(value, key, error)}") from None
    return result


def put_key(nested: JsonObject, key: str, value: object) -> None:
    """Set a dotted key of a nested mapping in place."""
    *parents, last = key.split(".")
    for parent in parents:
        inner = nested.get(parent)
        # "task: coin_flip" and "task.flips=3" mean the same task with an option.
        inner = {"name": inner} if isinstance(inner, str) else inner
        nested[parent] = inner if isinstance(inner, dict) else {}
        nested = nested[parent]
    nested[last] = value


def set_keys(raw: Mapping[str, object], changes: Mapping[str, object]) -> JsonObject:
    """A copy of a nested mapping with dotted keys set, in their order."""
    result = _copy(raw)
    for key, value in changes.items():
        put_key(result, key, value)
    return result


def split_options(spec: str, what: str) -> tuple[str, JsonObject]:
    """A spec such as "coin_flip?flips=3&size=500" as its name and its options, whose values are read as YAML."""
    name, _, query = spec.strip().partition("?")
    options: JsonObject = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ConfigError(
                f"{what} {told_apart(name)}: {told_apart(part)} is no option; write name?option=value&option=value"
            )
        if key in options:
            raise ConfigError(f"{what} {name!r}: the option {key!r} is given twice")
        try:
            options[key] = yaml_value(unquote(value))
        except Unreadable as error:
            raise ConfigError(
                f"{what} {told_apart(name)}: the value of {key!r} cannot be read{_shown(value, key, error)}"
            ) from None
    return name, options


def _shown(value: str, key: str, error: Unreadable) -> str:
    """A value that cannot be read and why, which repeats parts of it; neither where it may hold a secret."""
    if is_secret_name(key.rpartition(".")[2]) or may_be_secret(value):
        return " (not shown: it may hold a secret)"
    return f": {value if len(value) <= 200 else f'{value[:200]}…'!r} ({error})"


def _copy(raw: Mapping[str, object]) -> JsonObject:
    return {str(key): _copy(value) if isinstance(value, Mapping) else value for key, value in raw.items()}


def setting(config: Mapping[str, object], key: str, default: object = None) -> Any:
    """A dotted key of a saved config; `default` where this recipe, or its version, has none."""
    value: object = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return value


def build(kind: type[SettingsType], raw: Mapping[str, object], source: str) -> SettingsType:
    """Check a mapping against its settings class; every problem is named by its dotted key."""
    try:
        return kind.model_validate(dict(raw))
    except PydanticUserError as error:
        raise ConfigError(f"{source}: {_unfinished(kind, error)}") from None
    except ValidationError as error:
        problems = "; ".join(_problem(kind, item) for item in error.errors())
        raise ConfigError(f"{source}: {problems}") from None


def _unfinished(kind: type[BaseModel], error: PydanticUserError) -> str:
    """What keeps a settings class from being used, such as a type that it names and that is not there."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    try:
        kind.model_rebuild(force=True)
    except PydanticUndefinedAnnotation as lost:
        return (
            f"the settings class {name} names the type {lost.name!r}, which is not there; import it, or mend its name"
        )
    except PydanticUserError as another:
        error = another
    said = " ".join(str(error.message).split())
    return f"the settings class {name} cannot be used: {said}"


def _problem(kind: type[BaseModel], item: ErrorDetails) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        prefix = key.rpartition(".")[0]
        known = {f"{prefix}.{name}" if prefix else name for name in fields_at(kind, item["loc"][:-1])}
        return f"unknown key {key!r}; {nearest(key, known)}"
    if item["type"] == "missing":
        return f"the key {key!r} is missing"
    message = item["msg"].removeprefix("Value error, ")
    if not key:
        return message
    # What a whole section got wrong is said by its message; a single value is shown.
    if isinstance(item["input"], dict) or is_secret_name(str(item["loc"][-1])):
        return f"{key}: {message}"
    return f"{key} = {told_apart(item['input'])}: {message}"


def fields_at(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The names a nested settings class knows at a place such as ("training", "lora")."""
    for part in location:
        if part not in kind.model_fields:
            continue
        for inner in [kind.model_fields[part].annotation, *getattr(kind.model_fields[part].annotation, "__args__", ())]:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                kind = inner
    return list(kind.model_fields)


def dump(settings: BaseModel) -> str:
    """The resolved configuration as YAML."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def expand_path(path: str) -> Path:
    """Expand ~ and environment variables in a path; an unset variable is an error that names it."""
    if "\0" in path:
        raise ConfigError(f"the path {path!r} holds a character that no path has (NUL)")
    for match in _VARIABLE.finditer(path):
        name = match.group(1) or match.group(2)
        if not os.environ.get(name):
            raise ConfigError(f"the path {path!r} needs the environment variable {name}, which is not set")
    return Path(os.path.expandvars(path)).expanduser()


def differences(old: object, new: object, prefix: str = "") -> list[str]:
    """Name every field in which two nested mappings differ, as `exam.n: 4 -> 8`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        found = [differences(old.get(key), new.get(key), f"{prefix}.{key}" if prefix else str(key)) for key in keys]
        return [line for lines in found for line in lines]
    return [] if old == new else [f"{prefix}: {old!r} -> {new!r}"]


def cache_folder() -> Path:
    """The folder for everything that may be fetched or made again: TUTELAGE_CACHE, else ~/.cache/tutelage."""
    root = os.environ.get("TUTELAGE_CACHE")
    if root:
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "tutelage"
