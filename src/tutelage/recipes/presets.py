"""Presets: a recipe's own defaults, or the values that a paper published, under whatever a user sets."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, model_validator

from tutelage.config import Settings
from tutelage.errors import nearest
from tutelage.types import JsonObject


class Published(NamedTuple):
    """A value as a paper gives it, and where."""

    value: object
    source: str


def resolved(given: Mapping[str, object], published: Mapping[str, Published]) -> JsonObject:
    """Settings as they were given, over published values (by dotted key)."""
    nested: JsonObject = {}
    for key, (value, _) in published.items():
        *parents, last = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return over(nested, given)


def over(base: Mapping[str, object], changes: Mapping[str, object]) -> JsonObject:
    """A nested mapping with changes on top; of a settings object, what was set explicitly."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        change = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        merged[key] = over(inner, change) if isinstance(inner, Mapping) and isinstance(change, Mapping) else value
    return merged


class WithPresets(Settings):
    """Settings that `preset: NAME` fills with published values, under whatever is set."""

    published: ClassVar[Mapping[str, Published]] = {}  # dotted key -> the value of the recipe's paper

    @classmethod
    def presets(cls) -> Mapping[str, Mapping[str, Published]]:
        """The published values by the name of their preset: the recipe's paper's, unless it follows several."""
        return {"paper": cls.published} if cls.published else {}

    @model_validator(mode="before")
    @classmethod
    def _resolve_preset(cls, given: object) -> object:
        name = given.get("preset", "house") if isinstance(given, Mapping) else "house"
        if not isinstance(given, Mapping) or name == "house":
            return given
        if name not in cls.presets():
            raise ValueError(f"preset: {name}: {_why_none(str(name), cls.presets())}")
        return resolved(given, cls.presets()[name])


def _why_none(name: str, presets: Mapping[str, object]) -> str:
    if name == "paper" and not presets:
        return "no published values are known of this recipe; leave it out"
    return nearest(name, ["house", *presets])


class Option(NamedTuple):
    """One setting of a recipe, as `tutelage show` lists it."""

    key: str  # dotted
    default: str  # of the house
    published: str  # the paper's, where it is another one; of several presets each with its name
    source: str  # of the published values
    about: str


def options(kind: type[Settings]) -> Sequence[Option]:
    """Every option of a recipe's settings."""
    presets = kind.presets() if issubclass(kind, WithPresets) else {}
    rows: list[Option] = []
    for key, default, about in _options(kind):
        known = {name: values[key] for name, values in presets.items() if key in values}
        named = {name: str(of.value) if len(presets) == 1 else f"{name}: {of.value}" for name, of in known.items()}
        sources = dict.fromkeys(of.source for of in known.values())
        rows.append(Option(key, default, ", ".join(named.values()), "; ".join(sources), about))
    return rows


def _options(kind: type[Settings], prefix: str = "") -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for key, field in kind.model_fields.items():
        nested = _nested(kind, key)
        if nested:
            if field.get_default(call_default_factory=True) is None:
                rows.append((prefix + key, "None", f"{field.description or ''}; once it is set:"))
            rows += _options(nested, f"{prefix}{key}.")
        else:
            default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
            rows.append((prefix + key, default, field.description or ""))
    return rows


def _nested(kind: type[Settings], key: str) -> type[Settings] | None:
    annotation = kind.model_fields[key].annotation
    for inner in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, Settings):
            return inner
    return None
