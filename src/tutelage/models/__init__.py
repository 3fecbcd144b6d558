"""Who answers: `open_model(spec)` makes a model from a spec such as "hf:smollm2" or "openai:gpt-4o-mini"."""

import importlib
import inspect
import warnings
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.config import split_options
from tutelage.errors import ConfigError, nearest
from tutelage.models.cached import Asked, Cached
from tutelage.models.keeping import Forgetful, ReplyStore
from tutelage.models.metered import BudgetConfig, Meter, Spending, Spent
from tutelage.models.pace import Limits
from tutelage.models.prices import Price, find
from tutelage.models.traffic import State
from tutelage.types import Chat, Model

MODELS = {
    "hf": ("tutelage.models.hf:Hf", "a Hugging Face model: hub id, folder, GGUF file, or the packaged 'smollm2'"),
    "vllm": ("tutelage.models.vllm:Vllm", "the same by vLLM's engine on this machine; needs the extra 'vllm'"),
    "openai": ("tutelage.models.http:OpenAICompatible", "any OpenAI-compatible endpoint; base_url= for other servers"),
    "anthropic": ("tutelage.models.anthropic:Anthropic", "Anthropic's models; needs the extra 'anthropic'"),
    "google": ("tutelage.models.google:Google", "Google's Gemini models; needs the extra 'google'"),
    "recorded": ("tutelage.models.recorded:Recorded", "replies from a JSONL file; a question it lacks is an error"),
    "scripted": ("tutelage.models.scripted:Scripted", "a Python function package.module:NAME; the test double"),
    "worked": ("tutelage.models.worked:Worked", "the task's own worked solutions: the offline teacher"),
}
PAID = {"openai", "anthropic", "google"}  # kinds whose replies are kept in the reply cache
FREE = {"recorded", "scripted", "worked"}  # kinds that take neither money nor time

Spec = str | Mapping[str, Any]
Recite = Callable[[Chat, int], str]


def parse(spec: Spec) -> dict[str, Any]:
    """A spec as a mapping with `kind`, `name` and the kind's options; an unknown kind is an error."""
    if isinstance(spec, str):
        kind, _, name = (f"hf:{spec}" if Path(spec).is_dir() else spec).partition(":")  # a folder is a student
        parsed: dict[str, Any] = {"kind": kind, "name": name}
        if "?" in name and not Path(name).exists():  # "hf:smollm2?dtype=float32", as models print their names
            bare, options = split_options(name, "model")
            parsed = {**options, "kind": kind, "name": bare}
    else:
        parsed = dict(spec)
        if "kind" not in parsed and ":" in str(parsed.get("name", "")):
            parsed.update(parse(str(parsed["name"])))  # name: "hf:smollm2" beside options
        parsed.setdefault("name", "")
    if parsed.get("kind") not in MODELS:
        raise ConfigError(
            f"unknown model kind {parsed.get('kind')!r} in {spec!r}; {nearest(str(parsed.get('kind')), MODELS)}"
        )
    return parsed


class Purse(NamedTuple):
    """How a run pays its teachers: where replies are kept, what may be spent, who is told."""

    store: ReplyStore
    budget: BudgetConfig = BudgetConfig()
    spent: Spending | None = None  # so far, and goes on counting; None begins at nothing
    note: Callable[[Spent], None] = lambda row: None  # keeps a row for the next session
    tell: Callable[[State], None] = lambda state: None  # how it goes, about once a second
    stopping: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = warnings.warn  # what a user should know of how a model is asked, once
    opened: Callable[[Cached], None] = lambda model: None  # told of each model, which is closed before the store is


def open_model(spec: Spec, recite: Recite | None = None, purse: Purse | None = None) -> Model:
    """Open a model; nothing heavy is loaded and nothing is asked before its first answer.

    `recite(chat, sample)` returns what a `worked:` teacher says. A model that is paid for keeps its replies in `purse`;
    without one nothing is kept and nothing is capped.
    """
    parsed = parse(spec)
    kind = parsed.pop("kind")
    module, _, attribute = MODELS[kind][0].partition(":")
    if kind == "worked":
        parsed["recite"] = recite
    factory = getattr(importlib.import_module(module), attribute)
    if kind in PAID:
        return _paid(kind, factory, parsed, purse)
    model: Model = _made(kind, factory, parsed)
    return model


def _made(kind: str, factory: Any, options: Mapping[str, Any], more: Collection[str] = ()) -> Any:
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigError(_option_problem(kind, factory, options, more) or f"model {kind}: {error}") from error


def _paid(kind: str, factory: Any, options: dict[str, Any], purse: Purse | None) -> Model:
    purse = purse or Purse(Forgetful())
    limits = _limits(kind, {key: options.pop(key) for key in _LIMITS & options.keys()})
    batch, poll = options.pop("batch", False), options.pop("poll", 30.0)
    if not isinstance(batch, bool):
        raise ConfigError(f"model kind {kind!r}: batch must be true or false, and is {batch!r}")
    if batch and kind != "openai":
        raise ConfigError(f"model kind {kind!r} has no batch form; only openai has")
    price = price_of({"kind": kind, **options})
    options.pop("price", None)
    if batch and price is not None:
        price = Price(price.input / 2, price.output / 2, f"half of {price.source}")
    meter = Meter(str(options.get("name", "")), price, purse.budget, purse.spent, purse.note)
    endpoint = _made(kind, factory, {**options, "limits": limits, "meter": meter}, (*_LIMITS, *_PAYING))
    endpoint.tell, endpoint.stopping = purse.tell, purse.stopping
    asked: Asked = endpoint
    if batch:
        from tutelage.models.batched import Batched

        asked = Batched(endpoint, purse.store, float(poll), purse.stopping)
    model = Cached(asked, purse.store, purse.stopping, purse.say)
    purse.opened(model)
    return model


_PAYING = {"price", "batch", "poll"}
# Options that decide how a model is asked and paid, and nothing about what it answers.
_LIMITS = {"concurrency", "requests_per_minute", "tokens_per_minute", "timeout", "patience", "tries"}


def essence(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A parsed spec without what decides nothing about the answers: two specs with the same essence are one model."""
    return {key: value for key, value in spec.items() if key not in _LIMITS | _PAYING}


def price_of(spec: Mapping[str, Any]) -> Price | None:
    """The price of a parsed spec: its own, or the bundled one; None where neither is known. Local models are free."""
    if spec["kind"] not in PAID:
        return Price(Decimal(0), Decimal(0), f"{spec['kind']}: costs nothing")
    if spec.get("price") is not None:
        return _price(spec["kind"], spec["price"])
    return find(str(spec["name"]))


def _limits(kind: str, given: Mapping[str, Any]) -> Limits:
    for key, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"model kind {kind!r}: {key} must be a number above 0, and is {value!r}")
    return Limits(**given)


def _price(kind: str, given: Any) -> Price:
    try:
        return Price(Decimal(str(given["input"])), Decimal(str(given["output"])), "the config")
    except (TypeError, KeyError, ArithmeticError):
        raise ConfigError(
            f"model kind {kind!r}: price must be {{input: …, output: …}} in dollars a million tokens, and is {given!r}"
        ) from None


def _option_problem(kind: str, factory: Any, given: Mapping[str, Any], more: Collection[str]) -> str:
    made_here = {"self", "recite", "limits", "meter"}
    signatures = [inspect.signature(base.__init__).parameters.values() for base in factory.__mro__[:-1]]
    takes = {one.name for taken in signatures for one in taken if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}
    known = [*sorted(takes - made_here), *more]
    unknown = [name for name in given if name not in known and name not in made_here]
    return f"model kind {kind!r} has no option {unknown[0]!r}; {nearest(unknown[0], known)}" if unknown else ""
