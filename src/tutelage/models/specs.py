"""A model's spec: a text or a mapping that names who answers, as it is written in a config. A spec may hold specs."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ValidationInfo

from tutelage.config import expand_path, read_yaml, split_options
from tutelage.errors import ConfigError, ModelError
from tutelage.models import LIMITS, MODELS, PAID, PAYING, SOLVERS
from tutelage.models.kinds import check_kind, factory_of, is_own, is_single, option_problem, parts_of
from tutelage.models.remote import hiding, values
from tutelage.parsing import Unreadable, yaml_value
from tutelage.redaction import is_clear_name, redact
from tutelage.suspicion import told_apart
from tutelage.types import JsonObject

Spec = str | Mapping[str, object]
_DEEP = 8  # specs inside each other


def parse(spec: Spec, depth: int = 0) -> JsonObject:
    """A spec as a mapping with `kind` and the kind's options, its secrets hidden and the specs in it parsed.

    An unknown kind is an error.
    """
    given = _mapping(spec, depth)
    parts = _parts(given)
    own = hiding.spec({option: value for option, value in given.items() if option not in parts})
    check_kind(own.get("kind"))
    if own["kind"] in PAID and (problem := values.problem(own, LIMITS)):
        raise ConfigError(problem)
    inner = {
        option: _each(given, option, several, lambda one: parse(one, depth + 1)) for option, several in parts.items()
    }
    return {option: inner.get(option, own.get(option)) for option in given}


def _parts(given: Mapping[str, object]) -> dict[str, bool]:
    """The options of a spec that hold models, and whether several."""
    kind = given.get("kind")
    known = isinstance(kind, str) and (kind in MODELS or is_own(kind))
    return {option: several for option, several in parts_of(str(kind)).items() if option in given} if known else {}


def _each(given: Mapping[str, object], option: str, several: bool, make: Callable[[Any], object]) -> object:
    """What `make` makes of the spec in an option, or of each of them."""
    value, kind = given[option], given["kind"]
    if several:
        if not isinstance(value, list | tuple) or not value:
            raise ConfigError(f"model kind {kind!r}: {option} must be a list of models")
        if odd := [one for one in value if not isinstance(one, str | Mapping)]:
            raise ConfigError(f"model kind {kind!r}: {option} holds {told_apart(odd[0])}, which is no model")
        return [make(one) for one in value]
    if not isinstance(value, str | Mapping):
        raise ConfigError(f"model kind {kind!r}: {option} must be a model, such as hf:smollm2 or {{kind: …, name: …}}")
    return make(value)


def _mapping(spec: Spec, depth: int = 0) -> JsonObject:
    if depth > _DEEP:
        raise ConfigError(f"a model holds models more than {_DEEP} deep; does it hold itself?")
    if not isinstance(spec, str):
        parsed = dict(spec)
        if len(parsed) == 1 and None in parsed.values():  # teacher: worked:
            (name,) = parsed
            raise ConfigError(f'a model that is written "{name}:" stands in quotes, since YAML reads {name}: as a key')
        if "name" in parsed and isinstance(parsed["name"], str):
            parsed = _named(parsed)
        if is_single(parsed.get("kind")):
            parsed.setdefault("name", "")
        return parsed
    if spec.lstrip().startswith("{"):
        return _mapping(_written(spec), depth)
    if spec.endswith((".yaml", ".yml")) and (os.path.isfile(spec) or ":" not in spec):
        return _mapping(read_yaml(expand_path(spec)), depth + 1)
    if os.path.isdir(spec) or ("?" in spec and os.path.isdir(spec.partition("?")[0])):  # a folder is a student
        spec = f"hf:{spec}"
    kind, _, name = spec.partition(":")
    path, question, _ = spec.partition("?")
    if kind not in MODELS and is_own(path):
        return {"kind": path, **(split_options(spec, "model")[1] if question else {})}
    bare, options = _options(name)
    if kind in SOLVERS and not bare:
        return {**options, "kind": kind}
    return {**options, "kind": kind, "name": bare}


def _named(parsed: JsonObject) -> JsonObject:
    """A mapping whose name is a spec itself, or has options: {name: "hf:smollm2?dtype=float32", batch: 8}."""
    name = parsed["name"]
    if "kind" in parsed:
        bare, options = _options(name) if parsed["kind"] in MODELS else (name, {})
        inner = {**options, "name": bare}
    elif ":" in name or os.path.isdir(name.partition("?")[0]) or name.lstrip().startswith("{"):
        inner = _mapping(name)
    else:
        return parsed
    rest = {option: value for option, value in parsed.items() if option != "name"}
    if twice := sorted(inner.keys() & rest.keys()):
        raise ConfigError(f"model {redact(name)!r}: the option {twice[0]!r} is given twice")
    return {**rest, **inner}


def _options(name: str) -> tuple[str, JsonObject]:
    """A name and the options written behind it, "smollm2?dtype=float32", as models print their names."""
    if "?" not in name or os.path.exists(name):
        return name, {}
    bare, _, query = name.partition("?")
    for option, _, value in (part.partition("=") for part in query.split("&")):
        if option == "base_url":
            hiding.one_host(value, f"model {redact(bare)!r}")
    return split_options(name, "model")


def _written(text: str) -> JsonObject:
    """A spec written as a mapping on one line, as on the command line: {kind: vote, of: "hf:smollm2"}."""
    try:
        found = yaml_value(text)
    except Unreadable as error:
        raise ConfigError(f"a model that begins with {{ must be a mapping in YAML: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError("a model that begins with { must be a mapping in YAML")
    return found


def checked(spec: str | JsonObject, where: str = "", depth: int = 0) -> str | JsonObject:
    """A spec as it may be kept: the same, but for its secrets, which are hidden or refused.

    What a model has no option for is refused here too, before anything is written: it may be a secret.
    """
    given = _mapping(spec, depth)
    parts = _parts(given)
    own = {option: value for option, value in given.items() if option not in parts}
    hidden = hiding.spec(own, where)
    check_kind(hidden.get("kind"))
    kind, options = str(hidden["kind"]), {name: value for name, value in given.items() if name != "kind"}
    problem = option_problem(kind, options) or (values.problem(hidden, LIMITS) if kind in PAID else "")
    if problem:
        raise ConfigError(problem)

    def keep(option: str) -> Callable[[Any], object]:
        return lambda one: checked(one, f"{where}{option}.", depth + 1)

    inner = {option: _each(given, option, several, keep(option)) for option, several in parts.items()}
    same = hidden == own and all(given[option] == value for option, value in inner.items())
    return spec if same else {option: inner.get(option, hidden.get(option)) for option in given}


def check_key(spec: Spec) -> None:
    """Raise, before anything is written, where what is given as the name of a key may well be the key: it is not set."""
    for leaf, _ in leaves(parse(spec)):
        key = leaf.get("key")
        if key is not None and not is_clear_name(key):
            raise ModelError(
                "`key` names an environment variable, and none of the given name is set: export NAME=… and say key: NAME"
            )


class Leaf(NamedTuple):
    """A model in a spec that holds no others, and how often a reply asks it at the most."""

    spec: JsonObject
    times: int


def leaves(parsed: Mapping[str, object], times: int = 1) -> Iterator[Leaf]:
    """Who really answers in a parsed spec. A kind says by `times(options)` how often it asks its parts; else once each."""
    parts = _parts(parsed)
    if not parts:
        yield Leaf(dict(parsed), times)
        return
    often = _times(parsed)
    for option, several in parts.items():
        given: Any = parsed[option]
        for inner in given if several else [given]:
            yield from leaves(inner, times * often.get(option, 1))


def _times(parsed: Mapping[str, object]) -> Mapping[str, int]:
    """How often a solver asks its parts for one reply, as far as its kind says."""
    counted = getattr(factory_of(str(parsed["kind"])), "times", None)
    try:
        found: Mapping[str, int] = counted(parsed) if counted else {}
    except Exception as error:  # a user's own, which may fail in any way
        kind, what = parsed["kind"], f"{type(error).__name__}: {error}"
        raise ConfigError(f"model kind {kind!r}: its times(options) failed on these options: {what}") from error
    return found


def mapped(parsed: Mapping[str, object], change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """A parsed spec with `change` made to every model in it that holds no others."""
    parts = _parts(parsed)
    if not parts:
        return change(dict(parsed))
    inner = {name: _each(parsed, name, several, lambda one: mapped(one, change)) for name, several in parts.items()}
    return {**parsed, **inner}


def kinds_in(spec: Spec) -> set[str]:
    """The kinds of the models that really answer."""
    return {str(leaf.spec["kind"]) for leaf in leaves(parse(spec))}


def identity(parsed: Mapping[str, object]) -> JsonObject:
    """A parsed spec without what decides nothing about the answers: two specs with the same identity are one model."""
    parts = _parts(parsed)
    plain = {option: value for option, value in parsed.items() if option not in parts}
    if plain.get("kind") in MODELS:
        plain = {option: value for option, value in plain.items() if option not in LIMITS | PAYING}
        if isinstance(addresses := plain.get("base_url"), list | tuple) and addresses:
            plain["base_url"] = addresses[0]  # the others hold the same model, and may come and go
    inner = {option: _each(parsed, option, several, identity) for option, several in parts.items()}
    return {option: inner.get(option, plain.get(option)) for option in parsed if option in plain or option in inner}


def _validate(spec: str | JsonObject, info: ValidationInfo) -> str | JsonObject:
    return checked(spec, f"{info.field_name}.")


_ROLE = AfterValidator(_validate)
# The type of a model in a recipe's settings: no settings object holds a secret.
ModelSpec = Annotated[str | JsonObject, _ROLE]


def roles(settings: type[BaseModel]) -> list[str]:
    """The fields of a recipe's settings that hold models, one or several."""
    fields = settings.model_fields.items()
    return [name for name, field in fields if _ROLE in field.metadata or _holds_models(field.annotation)]


def _holds_models(annotation: object) -> bool:
    inner = getattr(annotation, "__args__", ())
    return _ROLE in getattr(annotation, "__metadata__", ()) or any(map(_holds_models, inner))
