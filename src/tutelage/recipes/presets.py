"""Presets: a recipe's own defaults, or the values that its paper published, under whatever a user sets."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, model_validator

from tutelage.config import Settings
from tutelage.types import JsonObject

Preset = Literal["house", "paper"]


class Published(NamedTuple):
    """A value as a paper gives it, and where."""

    value: object
    source: str


def resolved(given: object, published: Mapping[str, Published]) -> object:
    """Settings as they were given, over the published values (by dotted key) where `preset: paper` asks for them."""
    if not isinstance(given, Mapping) or given.get("preset") != "paper":
        return given
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
    """Settings that `preset: paper` fills with the published values, under whatever is set."""

    published: ClassVar[Mapping[str, Published]] = {}  # dotted key -> the value of the recipe's paper

    @model_validator(mode="before")
    @classmethod
    def _resolve_preset(cls, given: object) -> object:
        if isinstance(given, Mapping) and given.get("preset") == "paper" and not cls.published:
            raise ValueError("preset: paper: no published values are known of this recipe; leave it out")
        return resolved(given, cls.published)


class Option(NamedTuple):
    """One setting of a recipe, as `tutelage show` lists it."""

    key: str  # dotted
    default: str  # of the house
    published: str  # the paper's, where it is another one
    source: str  # of the published value
    about: str


def options(kind: type[Settings]) -> Sequence[Option]:
    """Every option of a recipe's settings."""
    published: Mapping[str, Published] = getattr(kind, "published", {})
    rows = [(key, default, published.get(key), about) for key, default, about in _options(kind)]
    return [
        Option(key, default, str(of.value) if of else "", of.source if of else "", about)
        for key, default, of, about in rows
    ]


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
