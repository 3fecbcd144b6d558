"""Presets: a recipe's own defaults, or the values that its paper published, under whatever a user sets."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

Preset = Literal["house", "paper"]


class Published(NamedTuple):
    """A value as a paper gives it, and where."""

    value: Any
    source: str


def resolved(given: Any, published: Mapping[str, Published]) -> Any:
    """Settings as they were given, over the published values (by dotted key) where `preset: paper` asks for them."""
    if not isinstance(given, Mapping) or given.get("preset") != "paper":
        return given
    nested: dict[str, Any] = {}
    for key, (value, _) in published.items():
        *parents, last = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return over(nested, given)


def over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A nested mapping with changes on top; of a settings object, what was set explicitly."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        change = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        merged[key] = over(inner, change) if isinstance(inner, Mapping) and isinstance(change, Mapping) else value
    return merged
