"""Kinds of models: a name of the table, or package.module:NAME of the user's own; what each takes, and which of it are models."""

import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from types import UnionType

import msgspec

from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.models import LIMITS, LOCAL, MODELS, PAID, PAYING, SOLVERS
from tutelage.suspicion import told_apart
from tutelage.types import Model

Factory = Callable[..., Model]
# Given by whoever opens a model, and so no options of a spec.
GIVEN = {"self", "context", "limits", "meter"}


def check_kind(kind: object) -> None:
    """Refuse a kind that is neither in the table nor an import path."""
    if not isinstance(kind, str) or (kind not in MODELS and not is_own(kind)):
        known = nearest(kind, MODELS) if isinstance(kind, str) and len(kind) < 100 else nearest("", MODELS)
        raise ConfigError(f"unknown model kind {told_apart(kind)}; {known}, or package.module:NAME")


def is_single(kind: object) -> bool:
    """Whether a kind is brought along and holds no models: what its spec means is known without loading it."""
    return kind in MODELS and kind not in SOLVERS


def has_weights(kind: str) -> bool:
    """Whether a model of this kind computes by itself, so that many of it answer faster than one; a kind of one's own says so."""
    return kind in LOCAL or (kind not in MODELS and bool(getattr(factory_of(kind), "has_weights", False)))


def is_own(kind: str) -> bool:
    """Whether a kind is written as the import path of something of the user's."""
    module, colon, name = kind.partition(":")
    return bool(colon) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def factory_of(kind: str) -> Factory:
    """The class or function that makes models of a kind."""
    if kind in MODELS:
        found: Factory = load_named(MODELS[kind][0])
        return found
    try:
        own = by_path(kind, "model kind")
    except ConfigError as error:
        head, lost = kind.partition(":")[0], error.__cause__
        if isinstance(lost, ModuleNotFoundError) and lost.name == head:  # it may be a kind that is spelt wrong
            raise ConfigError(f"unknown model kind {told_apart(head)}; {nearest(head, MODELS)} ({lost})") from error
        raise
    if not callable(own):
        raise ConfigError(
            f"model kind {kind!r} is a {type(own).__name__}; it must be a class or function that makes models"
        )
    made: Factory = own
    return made


def takes(factory: Factory) -> set[str]:
    """The names of the options that a kind's spec may have."""
    parameters = [one for init in _makers(factory) for one in inspect.signature(init).parameters.values()]
    return {one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}


def parts_of(kind: str) -> dict[str, bool]:
    """The options of a kind that are models themselves, by what their annotations say: name -> whether it takes several."""
    if is_single(kind):
        return {}
    hints = _hints(kind)
    return {name: several for name, hint in hints.items() if (several := _holds_models(hint)) is not None}


def _hints(kind: str) -> dict[str, object]:
    """What the options of a kind are annotated as; a constructor that is inherited counts."""
    hints: dict[str, object] = {}
    for init in reversed(_makers(factory_of(kind))):
        try:
            hints |= typing.get_type_hints(init)
        except (NameError, TypeError) as error:
            raise ConfigError(f"model kind {kind!r}: the types of its options cannot be read: {error}") from error
    return {name: hint for name, hint in hints.items() if name not in ("return", *GIVEN)}


def _holds_models(hint: object) -> bool | None:
    """Whether an annotation stands for several models; None where it stands for none. `Model | None` is one."""
    if hint is Model:
        return False
    inner = typing.get_args(hint)
    if typing.get_origin(hint) in (Sequence, list, tuple):
        return True if Model in inner else None
    found = [several for one in inner if (several := _holds_models(one)) is not None]
    return found[0] if found and typing.get_origin(hint) in (typing.Union, UnionType) else None


def typed_options(kind: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a solver, or of a kind of the user's own, as the types that their annotations name."""
    hints = {} if is_single(kind) else _hints(kind)
    found = dict(options)
    for name in (name for name in options if name in hints and _holds_models(hints[name]) is None):
        try:
            found[name] = msgspec.convert(options[name], hints[name])
        except msgspec.ValidationError as error:
            raise ConfigError(f"model kind {kind!r}, option {name!r}: {error} ({told_apart(options[name])})") from error
        except TypeError:
            continue  # a type that only its own kind knows
    return found


def lacking(kind: str, options: Collection[str]) -> list[str]:
    """The options that a solver, or a kind of the user's own, cannot be made without."""
    if is_single(kind):
        return []
    makers = _makers(factory_of(kind))[:1]  # a class may have none, and takes nothing then
    parameters = [one for first in makers for one in inspect.signature(first).parameters.values()]
    needed = [one for one in parameters if one.default is one.empty]
    plain = [one.name for one in needed if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return [name for name in plain if name not in options and name not in GIVEN]


def _makers(factory: Factory) -> list[Callable[..., object]]:
    """What takes the options: a function itself, or the constructors of a class, its own first."""
    bases = inspect.getmro(factory)[:-1] if inspect.isclass(factory) else ()
    return [vars(base)["__init__"] for base in bases if "__init__" in vars(base)] if bases else [factory]


def option_problem(kind: str, given: Mapping[str, object]) -> str:
    """What is wrong with the names of a spec's options; empty if nothing is. What computes local models is not loaded."""
    known: Collection[str] = LOCAL[kind] if kind in LOCAL else sorted(takes(factory_of(kind)) - GIVEN)
    if kind in PAID:
        known = [*known, *LIMITS, *PAYING]
    unknown = [name for name in given if name not in known and not (name == "name" and given[name] == "")]
    if not unknown:
        return ""
    return f"model kind {kind!r} has no option {told_apart(unknown[0])}; {nearest(unknown[0], known)}"
