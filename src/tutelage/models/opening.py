"""From a spec such as "hf:smollm2" or "openai:gpt-4o-mini" to a model that answers."""

import warnings
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tutelage.errors import ConfigError
from tutelage.models import LIMITS, PAID, PAYING
from tutelage.models.remote.cached import Asker, Cached
from tutelage.models.remote.dispatch import State
from tutelage.models.remote.keeping import MemoryStore, ReplyStore
from tutelage.models.remote.meter import Meter
from tutelage.models.remote.pace import Limits
from tutelage.models.remote.prices import Price, find
from tutelage.models.specs import (
    Spec,
    check_key,
    factory_of,
    option_problem,
    parse,
)
from tutelage.redaction import is_hiding
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Chat, Model, Spent

Solutions = Callable[[Chat, int], str]


class Context(NamedTuple):
    """How a run pays its teachers: where replies are kept, what may be spent, who is told."""

    store: ReplyStore
    budget: BudgetConfig = BudgetConfig()
    spent: Spending | None = None  # so far, and goes on counting; None begins at nothing
    note: Callable[[Spent], None] = lambda row: None  # keeps a row for the next session
    tell: Callable[[State], None] = lambda state: None  # how it goes, about once a second
    stopping: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = warnings.warn  # what a user should know of how a model is asked, once
    opened: Callable[[Cached], None] = lambda model: None  # told of each model, which is closed before the store is


def open_model(spec: Spec, worked: Solutions | None = None, context: Context | None = None) -> Model:
    """Open a model; nothing heavy is loaded and nothing is asked before its first answer.

    `recite(chat, sample)` returns what a `worked:` teacher says. A model that is paid for keeps its replies in `purse`;
    without one nothing is kept and nothing is capped.
    """
    parsed = parse(spec)
    kind = parsed.pop("kind")
    if kind == "worked":
        parsed["worked"] = worked
    factory = factory_of(kind)
    if kind in PAID:
        return _paid(kind, factory, parsed, context)
    model: Model = _made(kind, factory, parsed)
    return model


def _made(kind: str, factory: Any, options: Mapping[str, Any], more: Collection[str] = ()) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigError(option_problem(kind, factory, options, more) or f"model {kind}: {error}") from error


def _paid(kind: str, factory: Any, options: dict[str, Any], context: Context | None) -> Model:
    check_key({"kind": kind, **options})
    context = context or Context(MemoryStore())
    limits = Limits(**{key: options.pop(key) for key in LIMITS & options.keys()})
    batch, poll = options.pop("batch", False), float(options.pop("poll", 30.0))
    if batch and kind != "openai":
        raise ConfigError(f"model kind {kind!r} has no batch form; only openai has")
    price = price_of({"kind": kind, **options})
    options.pop("price", None)
    if batch and price is not None:
        price = Price(price.input / 2, price.output / 2, f"half of {price.source}")
    meter = Meter(str(options.get("name", "")), price, context.budget, context.spent, context.note)
    endpoint = _made(kind, factory, {**options, "limits": limits, "meter": meter}, (*LIMITS, *PAYING))
    endpoint.tell, endpoint.stopping, endpoint.say = context.tell, context.stopping, context.say
    if is_hiding(endpoint.name):
        context.say(
            f"{kind}:{endpoint.model}: what is secret in base_url or extra is sent to the server and written nowhere; "
            "to go on from the run's own config.yaml, export it as NAME=… and write ${NAME} in its place"
        )
    asked: Asker = endpoint
    if batch:
        from tutelage.models.remote.openai_batch import Batched

        asked = Batched(endpoint, context.store, poll, context.stopping)
    model = Cached(asked, context.store, context.stopping, context.say)
    context.opened(model)
    return model


def price_of(spec: Mapping[str, Any]) -> Price | None:
    """The price of a parsed spec: its own, or the bundled one; None where neither is known. Local models are free."""
    if spec["kind"] not in PAID:
        return Price(Decimal(0), Decimal(0), f"{spec['kind']}: costs nothing")
    if spec.get("price") is not None:
        given = spec["price"]
        return Price(Decimal(str(given["input"])), Decimal(str(given["output"])), "the config")
    return find(str(spec["name"]))
