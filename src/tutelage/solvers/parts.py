"""What a solver's reply says of the models that worked for it."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from tutelage.types import Model, Part, Reply


def made_of(chosen: Reply, asked: Sequence[tuple[Model, Reply]]) -> Reply:
    """A reply with the chosen one's words, and the tokens and dollars of all replies that were asked for, by who gave them.

    `asked` are the replies in the order they were asked for, the chosen one among them.
    """
    parts: dict[str, Part] = {}
    for model, reply in asked:
        for one in reply.parts or (_part(model, reply),):
            known = parts.get(one.model)
            parts[one.model] = one if known is None else _together(known, one)
    speaker = next(model for model, reply in asked if reply is chosen)
    names = {part.model for part in chosen.parts if part.chosen} or {speaker.name}
    marked = tuple(replace(part, chosen=part.model in names) for part in parts.values())
    return replace(
        chosen,
        tokens_in=sum(part.tokens_in for part in marked),
        tokens_out=sum(part.tokens_out for part in marked),
        dollars=_sum([part.dollars for part in marked]),
        parts=marked,
    )


def _part(model: Model, reply: Reply) -> Part:
    return Part(model=model.name, tokens_in=reply.tokens_in, tokens_out=reply.tokens_out, dollars=reply.dollars)


def _together(one: Part, other: Part) -> Part:
    return Part(
        model=one.model,
        calls=one.calls + other.calls,
        tokens_in=one.tokens_in + other.tokens_in,
        tokens_out=one.tokens_out + other.tokens_out,
        dollars=_sum([one.dollars, other.dollars]),
    )


def _sum(dollars: Sequence[str | None]) -> str | None:
    """Dollars together; what has no known price makes the sum unknown."""
    if None in dollars:
        return None
    return f"{sum((Decimal(one or 0) for one in dollars), Decimal(0)).normalize():f}"
