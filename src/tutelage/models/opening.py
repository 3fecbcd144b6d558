"""From a spec such as "hf:smollm2" or "openai:gpt-4o-mini" to a model that answers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tutelage.errors import ConfigError
from tutelage.models import LIMITS, PAID
from tutelage.models.context import Context
from tutelage.models.kinds import (
    GIVEN,
    factory_of,
    has_weights,
    lacking,
    option_problem,
    parts_of,
    takes,
    typed_options,
)
from tutelage.models.remote.cached import Asker, Cached
from tutelage.models.remote.meter import Meter
from tutelage.models.remote.pace import Limits
from tutelage.models.remote.prices import Price, find
from tutelage.models.specs import Spec, check_key, parse
from tutelage.redaction import is_hiding
from tutelage.types import JsonObject, Model


def open_model(spec: Spec, context: Context | None = None) -> Model:
    """Open a model; nothing heavy is loaded and nothing is asked before its first answer.

    Models that are paid for keep their replies and count what they spend in `context`; without one nothing is kept and
    nothing is capped. A model made of models is given these, opened with the same context.
    """
    return _open(parse(spec), context or Context())


def _open(parsed: JsonObject, context: Context) -> Model:
    kind, options = str(parsed["kind"]), {option: value for option, value in parsed.items() if option != "kind"}
    if kind in PAID:
        return _paid(kind, options, context)
    if context.local and has_weights(kind):
        return context.local(parsed)
    for option, several in parts_of(kind).items():
        if option in options:
            inner = options[option]
            options[option] = [_open(one, context) for one in inner] if several else _open(inner, context)
    if needed := lacking(kind, options):
        raise ConfigError(f"model kind {kind!r} needs the option {needed[0]!r}")
    options = typed_options(kind, options)
    known = takes(factory_of(kind))
    if "context" in known:
        options["context"] = context
    if options.get("name") == "" and "name" not in known:
        del options["name"]
    model: Any = _made(kind, options)
    held: list[Any] = [options[option] for option in parts_of(kind) if option in options]
    parts = [part for one in held for part in (one if isinstance(one, list) else [one])]
    if parts:
        model.parts = tuple(parts)  # so that whoever asks a solver for what it holds finds it, whatever the solver is
    opened: Model = model
    return opened


def _made(kind: str, options: Mapping[str, object]) -> Any:
    try:
        model: Any = factory_of(kind)(**options)
    except TypeError as error:
        given = {option: value for option, value in options.items() if option not in GIVEN}
        raise ConfigError(option_problem(kind, given) or f"model kind {kind!r}: {error}") from error
    # Endpoints are made into models by what keeps their replies.
    if kind not in PAID and (missing := [part for part in ("name", "answer") if not hasattr(model, part)]):
        raise ConfigError(f"model kind {kind!r} makes a {type(model).__name__}, which lacks {' and '.join(missing)}")
    return model


def _paid(kind: str, options: JsonObject, context: Context) -> Model:
    check_key({"kind": kind, **options})
    limits = Limits(**{key: options.pop(key) for key in LIMITS & options.keys()})
    batch, poll = options.pop("batch", False), float(options.pop("poll", 30.0))
    if batch and kind != "openai":
        raise ConfigError(f"model kind {kind!r} has no batch form; only openai has")
    if batch and isinstance(options.get("base_url"), list | tuple) and len(options["base_url"]) > 1:
        raise ConfigError(
            f"model kind {kind!r}: batch=true goes to one server; base_url names {len(options['base_url'])}"
        )
    price = price_of({"kind": kind, **options})
    options.pop("price", None)
    if batch and price is not None:
        price = Price(price.input / 2, price.output / 2, f"half of {price.source}")
    meter = Meter(str(options.get("name", "")), price, context.budget, context.spent, context.note)
    endpoint = _made(kind, {**options, "limits": limits, "meter": meter})
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


def price_of(parsed: JsonObject) -> Price | None:
    """The price of a parsed spec that holds no others: its own, or the bundled one; None where neither is known.

    What runs on this machine is free.
    """
    if parsed["kind"] not in PAID:
        return Price(Decimal(0), Decimal(0), f"{parsed['kind']}: costs nothing")
    if parsed.get("price") is not None:
        given = parsed["price"]
        return Price(Decimal(str(given["input"])), Decimal(str(given["output"])), "the config")
    return find(str(parsed["name"]))
