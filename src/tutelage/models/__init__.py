"""Who answers: `open_model(spec)` makes a model from a spec such as "hf:smollm2" or "openai:gpt-4o-mini"."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from tutelage.errors import ConfigError, nearest
from tutelage.models.cached import Cached, ReplyStore
from tutelage.types import Chat, Model

MODELS = {
    "hf": ("tutelage.models.hf:Hf", "a Hugging Face model: hub id, folder, GGUF file, or the packaged 'smollm2'"),
    "openai": ("tutelage.models.http:OpenAICompatible", "any OpenAI-compatible endpoint; base_url= for other servers"),
    "recorded": ("tutelage.models.recorded:Recorded", "replies from a JSONL file; a question it lacks is an error"),
    "scripted": ("tutelage.models.scripted:Scripted", "a Python function package.module:NAME; the test double"),
    "worked": ("tutelage.models.worked:Worked", "the task's own worked solutions: the offline teacher"),
}
PAID = {"openai"}  # kinds whose replies are kept in the reply cache

Spec = str | Mapping[str, Any]
Recite = Callable[[Chat, int], str]


def parse(spec: Spec) -> dict[str, Any]:
    """A spec as a mapping with `kind`, `name` and the kind's options; an unknown kind is an error."""
    if isinstance(spec, str):
        kind, _, name = spec.partition(":")
        parsed: dict[str, Any] = {"kind": kind, "name": name}
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


def open_model(spec: Spec, recite: Recite | None = None, cache: ReplyStore | None = None) -> Model:
    """Open a model; nothing heavy is loaded before its first answer.

    `recite(chat, sample)` returns what a `worked:` teacher says.
    Models that are paid for are wrapped so that `cache` keeps every reply.
    """
    parsed = parse(spec)
    kind = parsed.pop("kind")
    module, _, attribute = MODELS[kind][0].partition(":")
    if kind == "worked":
        parsed["recite"] = recite
    factory = getattr(importlib.import_module(module), attribute)
    try:
        model: Model = factory(**parsed)
    except TypeError as error:
        raise ConfigError(_option_problem(kind, factory, parsed) or f"model {spec!r}: {error}") from error
    return Cached(model, cache) if kind in PAID and cache is not None else model


def _option_problem(kind: str, factory: Any, given: Mapping[str, Any]) -> str:
    code = factory.__init__.__code__
    known = [name for name in code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if name != "recite"]
    unknown = [name for name in given if name not in known and name != "recite"]
    return f"model kind {kind!r} has no option {unknown[0]!r}; {nearest(unknown[0], known)}" if unknown else ""
