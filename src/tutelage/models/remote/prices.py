"""What a million tokens cost, for models whose price is known. Dollars, as decimals.

List prices of about June 2025, written down without a fresh look at the pages that are named: look there before you rely on
one. A price in the config (`price: {input: …, output: …}`) always wins, and a model that is not here is unpriced, never free.
"""

from decimal import Decimal
from typing import NamedTuple


class Price(NamedTuple):
    """Dollars a million tokens."""

    input: Decimal
    output: Decimal
    source: str


AS_OF = "2025-06"
_OPENAI, _ANTHROPIC, _GOOGLE = (
    f"list price of about {AS_OF}, to be checked at {page}"
    for page in ("openai.com/api/pricing", "anthropic.com/pricing", "ai.google.dev/gemini-api/docs/pricing")
)
PRICES = {
    "gpt-4o": Price(Decimal("2.50"), Decimal("10.00"), _OPENAI),
    "gpt-4o-mini": Price(Decimal("0.15"), Decimal("0.60"), _OPENAI),
    "gpt-4.1": Price(Decimal("2.00"), Decimal("8.00"), _OPENAI),
    "gpt-4.1-mini": Price(Decimal("0.40"), Decimal("1.60"), _OPENAI),
    "gpt-4.1-nano": Price(Decimal("0.10"), Decimal("0.40"), _OPENAI),
    "o3": Price(Decimal("2.00"), Decimal("8.00"), _OPENAI),
    "o4-mini": Price(Decimal("1.10"), Decimal("4.40"), _OPENAI),
    "gpt-3.5-turbo": Price(Decimal("0.50"), Decimal("1.50"), _OPENAI),
    "claude-opus-4-0": Price(Decimal("15.00"), Decimal("75.00"), _ANTHROPIC),
    "claude-sonnet-4-0": Price(Decimal("3.00"), Decimal("15.00"), _ANTHROPIC),
    "claude-3-5-haiku-latest": Price(Decimal("0.80"), Decimal("4.00"), _ANTHROPIC),
    "gemini-2.5-pro": Price(Decimal("1.25"), Decimal("10.00"), _GOOGLE),
    "gemini-2.5-flash": Price(Decimal("0.30"), Decimal("2.50"), _GOOGLE),
}


def find(model: str) -> Price | None:
    """The price of a model; a dated release (gpt-4o-2024-08-06) costs what its family costs."""
    names = [name for name in PRICES if model == name or model.startswith(f"{name}-20")]
    return PRICES[max(names, key=len)] if names else None
