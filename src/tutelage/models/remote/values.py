"""What the values of a paid model's options must be, said before anything is written or asked."""

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TypeGuard

from tutelage.suspicion import told_apart

_MANY = 1e12
_DAY = 86_400
_DEAR = 1_000_000  # dollars a million tokens


def problem(given: Mapping[str, object], limits: Collection[str]) -> str:
    """What is wrong with the options of a spec, of which those in `limits` are numbers; empty if nothing is.

    Only what is short and plain is repeated: a value may be a secret that stands in the wrong place.
    """
    for name, value in given.items():
        if wrong := _wrong(name, value, limits):
            return f"model kind {given['kind']!r}: {wrong}"
    return ""


def _wrong(name: str, value: object, limits: Collection[str]) -> str:
    must, right = "", True
    if name in limits:
        must, right = "be a number above 0", _is_number(value) and value > 0
    elif name == "poll":
        must = f"be seconds between two looks, above 0 and at most {_DAY}"
        right = _is_number(value) and 0 < value <= _DAY
    elif name == "price":
        must = f"be {{input: …, output: …}} in dollars a million tokens, neither below 0 nor above {_DEAR}"
        right = value is None or _is_price(value)
    elif name == "base_url" and isinstance(value, list | tuple):
        must = "be an address, or a list of different ones"
        right = bool(value) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)
    elif name in ("name", "base_url", "system"):
        must, right = "be text", isinstance(value, str | None)
    elif name == "extra":
        must, right = "hold keys and values", isinstance(value, Mapping | None)
    elif name == "batch":
        must, right = "be true or false", isinstance(value, bool)
    if not right:
        return f"{name} must {must}, and is {told_apart(value)}"
    return "" if _is_finite(value) else f"{name} holds a number without an end (nan or inf)"


def _is_number(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MANY
    )  # nor infinite, nor NaN


def _is_price(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    try:
        sides = [Decimal(str(value[side])) for side in ("input", "output")]
    except (KeyError, ArithmeticError):
        return False
    return all(side.is_finite() and 0 <= side <= _DEAR for side in sides)


def _is_finite(value: object) -> bool:
    """Whether every number in a value is one that can be written down."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
