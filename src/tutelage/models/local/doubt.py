"""How undecided local models were when they wrote: the entropy of the next token."""

from collections.abc import Sequence
from typing import Any

from tutelage.models.local.streaming import parts_in
from tutelage.types import Model

_LOOKED_AT = 4  # rows of a batch at each token


class Doubt:
    """How undecided a model was: the entropy of what it might have written next, at temperature 1, over the tokens that it wrote."""

    def __init__(self) -> None:
        self._nats, self._tokens, self._turn = 0.0, 0, 0

    def note(self, logits_BV: Any, places: Sequence[int]) -> None:
        """Take in the scores of the next token of some rows of a batch: of a few, another few each time, which stand for all.

        Of all of them it would take a CPU a good part of the time that a small student needs to write.
        """
        if not places:
            return
        looked, self._turn = min(len(places), _LOOKED_AT), self._turn + 1
        few = [places[(self._turn + i * len(places) // looked) % len(places)] for i in range(looked)]
        probabilities_BV = logits_BV[few].float().softmax(-1)
        self._nats += float(-probabilities_BV.xlogy(probabilities_BV).sum()) * len(places) / looked
        self._tokens += len(places)

    def add(self, found: tuple[float, int]) -> None:
        """Take in what another one has."""
        self._nats, self._tokens = self._nats + found[0], self._tokens + found[1]

    def take(self) -> tuple[float, int]:
        """Nats in sum and tokens since the last time."""
        found = self._nats, self._tokens
        self._nats, self._tokens = 0.0, 0
        return found


def doubt_of(model: Model) -> tuple[float, int]:
    """How undecided the local models in a model were in their answers since the last time: nats in sum, and of how many tokens."""
    both = [model.doubt.take()] if hasattr(model, "doubt") else []
    both += [doubt_of(part) for part in parts_in(model)]
    return sum(nats for nats, _ in both), sum(tokens for _, tokens in both)
