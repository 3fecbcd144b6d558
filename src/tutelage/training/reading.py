"""One forward pass as an objective reads it: each sees its own parts of the rows, and none sees the layout."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from tutelage.training.heads import Head
from tutelage.training.losses import pool
from tutelage.training.rows import Inputs


class PassOutput(NamedTuple):
    """What a forward pass gave: logits, and the last states where any part asks for them or logits are made from them in pieces."""

    logits_BTV: torch.Tensor
    states_BTH: torch.Tensor | None
    head: Head | None = None  # where logits are made in pieces; those above are none then that anything could use


class Targets:
    """Tokens to be predicted, in the order of the rows, with the logits that predict them.

    `labels_N`, `weights_N`, `rows_N` (the row that each stands in, counted within the micro-batch) and `more` (what else belongs to
    each, by the names of `RowPart.more`) lie there. Logits are many numbers a token: ask for what is made of them by `sum` or
    `each`, so that those of a long text need not be there at once, or for all of them as `logits_NV`.
    """

    def __init__(self, read: PassOutput, one: Mapping[str, torch.Tensor], width: int) -> None:
        self._read, self._width = read, width
        self._lines, self._sources = one["lines"], one["sources"]
        self.labels_N, self.weights_N, self.rows_N = one["labels"], one["weights"], one["rows"]
        self.more = {key.removeprefix("more."): values for key, values in one.items() if key.startswith("more.")}

    @property
    def logits_NV(self) -> torch.Tensor:
        """All of their logits."""
        if self._read.head is not None:
            return self._read.head.logits(self._states)
        # Only the last columns have logits; a model that knows no `logits_to_keep` gives those of all.
        return self._read.logits_BTV[self._lines, self._sources - (self._width - self._read.logits_BTV.shape[1])]

    @property
    def _states(self) -> torch.Tensor:
        assert self._read.states_BTH is not None
        return self._read.states_BTH[self._lines, self._sources]

    def sum(self, value: Callable[..., torch.Tensor], *given: torch.Tensor) -> torch.Tensor:
        """The sum of `value(logits, *given)` over the tokens; `value` sums over those it is shown. `given` has a row a token."""
        if self._read.head is None or not len(self.labels_N):
            return value(self.logits_NV, *given)
        return self._read.head.total(self._states, value, given)

    def each(self, value: Callable[..., torch.Tensor], *given: torch.Tensor) -> torch.Tensor:
        """`value(logits, *given)` of every token, in their order; `value` gives one a token that it is shown."""
        if self._read.head is None or not len(self.labels_N):
            return value(self.logits_NV, *given)
        return torch.cat(self._read.head.values(self._states, value, given))


class ForwardPass:
    """What one forward pass gave for one objective's parts."""

    def __init__(
        self,
        objective: str,
        inputs: Inputs,
        read: PassOutput,
        check: Callable[[str, str], None],
        behind: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    ) -> None:
        """`read` is what it gave; `check` refuses a part that no row has.

        `behind` reads texts behind constants, as `layout.states_behind` does.
        """
        self._objective, self._check, self._behind = objective, check, behind
        self._parts: Mapping[str, Mapping[str, torch.Tensor]] = inputs["parts"].get(objective, {})
        self._totals: Mapping[str, tuple[float, int]] = inputs["totals"].get(objective, {})
        self._lines, self._width = inputs["input_ids"].shape
        self._read = read

    def __contains__(self, part: str) -> bool:
        """Whether any row of this micro-batch has a part."""
        return part in self._parts

    def has(self, part: str) -> bool:
        """Whether any row of the whole batch has a part."""
        return part in self._totals

    def total(self, *parts: str) -> torch.Tensor:
        """The weights of these parts' targets in the whole batch, together: what a mean over tokens is divided by.

        1 where there are none: there is nothing to divide.
        """
        self._know(parts)
        return self._number(sum(self._totals[part][0] for part in parts if part in self._totals))

    def rows(self, part: str) -> torch.Tensor:
        """How many rows of the whole batch have a part: what a mean over lessons is divided by. At least 1."""
        self._know([part])
        return self._number(self._totals[part][1] if part in self._totals else 0)

    def _know(self, parts: Sequence[str]) -> None:
        for part in parts:
            if part not in self._totals:  # this batch may hold none, and another one some
                self._check(self._objective, part)

    def _number(self, value: float) -> torch.Tensor:
        return torch.tensor(float(value or 1), device=self._read.logits_BTV.device)

    def targets(self, *parts: str) -> Targets:
        """The targets of some parts together, row by row and in each in the order of its columns."""
        self._know(parts)
        found = [self._parts[part] for part in parts if part in self._parts]
        one: Mapping[str, torch.Tensor]
        if len(found) == 1:
            one = found[0]
        elif found:
            keys = [key for key in found[0] if all(key in other for other in found)]
            one = {key: torch.cat([other[key] for other in found]) for key in keys}
            order = ((one["rows"] * self._lines + one["lines"]) * self._width + one["columns"]).argsort()
            one = {key: values[order] for key, values in one.items()}
        else:
            none = torch.zeros(0, dtype=torch.long, device=self._read.logits_BTV.device)
            one = {**dict.fromkeys(("lines", "sources", "labels", "rows"), none), "weights": none.float()}
        return Targets(self._read, one, self._width)

    def pooled(self, part: str, how: str) -> torch.Tensor:
        """The last states over a part as one vector for each row that has it, in the order of the rows (AH).

        `how`: "last_token", or "mean" over the part's tokens.
        """
        one = self._parts[part]
        if "texts" in one:
            held = one["text_mask"].bool()
            return pool(self._behind(one)[held], held.nonzero()[:, 0], how)
        assert self._read.states_BTH is not None
        # Token by token in the order of the text, which need not be the order of the columns.
        return pool(self._read.states_BTH[one["lines"], one["columns"]], one["rows"], how)
