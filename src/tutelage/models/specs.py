"""A model's spec: a text or a mapping that names who answers, as it is written in a config."""

import inspect
import os
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from tutelage.config import split_options
from tutelage.errors import ConfigError, ModelError, nearest
from tutelage.importing import load
from tutelage.models import LIMITS, LOCAL, MODELS, PAID, PAYING
from tutelage.models.remote import hiding, values
from tutelage.redaction import is_clear_name, redact
from tutelage.suspicion import told_apart

Spec = str | Mapping[str, Any]


def parse(spec: Spec) -> dict[str, Any]:
    """A spec as a mapping with `kind`, `name` and the kind's options, its secrets hidden; an unknown kind is an error."""
    parsed = hiding.spec(_mapping(spec))
    _check_kind(parsed.get("kind"))
    if parsed["kind"] in PAID and (problem := values.problem(parsed, LIMITS)):
        raise ConfigError(problem)
    return parsed


def _check_kind(kind: Any) -> None:
    if kind not in MODELS:
        known = nearest(str(kind), MODELS) if isinstance(kind, str) and len(kind) < 100 else nearest("", MODELS)
        raise ConfigError(f"unknown model kind {told_apart(kind)}; {known}")


def _mapping(spec: Spec) -> dict[str, Any]:
    if isinstance(spec, str):
        kind, _, name = (f"hf:{spec}" if os.path.isdir(spec) else spec).partition(":")  # a folder is a student
        if "?" in name and not os.path.exists(name):  # "hf:smollm2?dtype=float32", as models print their names
            bare, _, query = name.partition("?")
            for option, _, value in (part.partition("=") for part in query.split("&")):
                if option == "base_url":
                    hiding.one_host(value, f"model {redact(bare)!r}")
            bare, options = split_options(name, "model")
            return {**options, "kind": kind, "name": bare}
        return {"kind": kind, "name": name}
    parsed = dict(spec)
    if "kind" not in parsed and ":" in str(parsed.get("name", "")):
        parsed.update(_mapping(str(parsed["name"])))  # name: "hf:smollm2" beside options
    parsed.setdefault("name", "")
    return parsed


def checked(spec: str | dict[str, Any], where: str = "") -> str | dict[str, Any]:
    """A spec as it may be kept: the same, but for its secrets, which are hidden or refused.

    What a model has no option for is refused here too, before anything is written: it may be a secret.
    """
    parsed = _mapping(spec)
    hidden = hiding.spec(parsed, where)
    _check_kind(hidden.get("kind"))
    kind, given = str(hidden["kind"]), {name: value for name, value in hidden.items() if name != "kind"}
    if kind in PAID:
        problem = option_problem(kind, factory_of(kind), given, (*LIMITS, *PAYING)) or values.problem(hidden, LIMITS)
    elif kind in LOCAL:
        problem = _unknown_option(kind, given, LOCAL[kind])
    else:
        problem = option_problem(kind, factory_of(kind), given, ())
    if problem:
        raise ConfigError(problem)
    return spec if hidden == parsed else hidden


def check_key(spec: Spec) -> None:
    """Raise, before anything is written, where what is given as the name of a key may well be the key: it is not set."""
    key = parse(spec).get("key")
    if key is not None and not is_clear_name(key):
        raise ModelError(
            "`key` names an environment variable, and none of the given name is set: export NAME=… and say key: NAME"
        )


def _validate(spec: str | dict[str, Any], info: ValidationInfo) -> str | dict[str, Any]:
    return checked(spec, f"{info.field_name}.")


# The type of a model in a recipe's settings: no settings object holds a secret.
ModelSpec = Annotated[str | dict[str, Any], AfterValidator(_validate)]


def identity(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A parsed spec without what decides nothing about the answers: two specs with the same essence are one model."""
    return {key: value for key, value in spec.items() if key not in LIMITS | PAYING}


def factory_of(kind: str) -> Any:
    """The class of a kind of model."""
    return load(MODELS[kind][0])


def option_problem(kind: str, factory: Any, given: Mapping[str, Any], more: Collection[str]) -> str:
    """What is wrong with the names of a model's options; empty if nothing is."""
    made_here = {"self", "worked", "limits", "meter"}
    signatures = [inspect.signature(base.__init__).parameters.values() for base in factory.__mro__[:-1]]
    takes = {one.name for taken in signatures for one in taken if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    return _unknown_option(kind, [name for name in given if name not in made_here], [*sorted(takes - made_here), *more])


def _unknown_option(kind: str, given: Collection[str], known: Collection[str]) -> str:
    unknown = [name for name in given if name not in known]
    return (
        f"model kind {kind!r} has no option {told_apart(unknown[0])}; {nearest(unknown[0], known)}" if unknown else ""
    )
