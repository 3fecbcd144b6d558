"""What one lesson looks like in one epoch: a prompt, and everything that any objective wants read behind it."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from msgspec import Struct

from tutelage.errors import LessonError
from tutelage.training.examples import Branch

# A micro-batch by name, as `collate_rows` makes it: tensors, and where in them each objective's parts stand.
Inputs = dict[str, Any]


class RowPart(Struct, frozen=True):
    """A branch that an objective reads in a row, by a name of the objective's own.

    With `weights`, one a token, its tokens are targets: their log-probabilities are read, and a weight of 0 leaves one out.
    Without, only the student's last states over it are read, which costs less. `more` holds what else belongs to each
    token, such as a teacher's probabilities, and comes back beside the targets.
    """

    name: str
    branch: Branch
    weights: Sequence[float] | None = None
    more: Mapping[str, Sequence[Any]] = {}

    @property
    def counted(self) -> Sequence[float]:
        """The weights of what can be predicted: all tokens but a prompt's first, before which nothing stands."""
        return (self.weights or ())[1 if self.branch.after is None else 0 :]


class Placed(NamedTuple):
    """A part in a row: whose it is, and the place of its branch among the row's."""

    objective: str
    part: RowPart
    place: int


class Row:
    """A tree of branches that several objectives share, so that one forward pass serves them all.

    Objectives name their branches independently of each other; the same tokens behind the same tokens are one branch,
    and are computed once.
    """

    def __init__(self, parts: Mapping[str, Sequence[RowPart]]) -> None:
        self.branches: list[Branch] = []  # every branch stands behind the one that it goes on from
        self.parents: list[int] = []  # places in `branches`; -1: it goes on from nothing
        self.parts = [
            Placed(name, _checked(name, part, own), self._add(part.branch))
            for name, own in parts.items()
            for part in own
        ]

    def _add(self, branch: Branch) -> int:
        parent = -1 if branch.after is None else self._add(branch.after)
        for place, other in enumerate(self.branches):
            if self.parents[place] == parent and other.ids == branch.ids:
                return place
        self.branches.append(branch)
        self.parents.append(parent)
        return len(self.branches) - 1

    @cached_property
    def scored(self) -> set[int]:
        """The branches whose log-probabilities are read."""
        return {one.place for one in self.parts if one.part.weights is not None}

    @property
    def is_chain(self) -> bool:
        """Whether each branch goes on from the one before it, so that the row is plain text and needs no mask of its own."""
        return self.parents == list(range(-1, len(self.parents) - 1))

    @property
    def order(self) -> list[int]:
        """The branches in the order of their columns, where they share a row: what is not scored stands first.

        Logits are computed for the last columns only, so what needs none must not stand among those that do. Positions
        and the mask say what goes on from what, so the order is free: even a branch before its own prompt reads behind it.
        """
        needed = set(self.scored)
        for place in reversed(range(len(self.parents))):  # a child is scored from its parent's last token on
            if place in needed and self.parents[place] >= 0:
                needed.add(self.parents[place])
        silent = [place for place, parent in enumerate(self.parents) if place not in needed and parent >= 0]
        return [*reversed(silent), *(place for place in range(len(self.parents)) if place not in silent)]

    @property
    def paths(self) -> list[list[int]]:
        """The branches from a prompt to each end, where every end has a line of its own; scored ends first."""
        ends = [place for place in range(len(self.parents)) if place not in self.parents]
        ends.sort(key=lambda place: place not in self.scored)  # stable
        return [self._path(end) for end in ends]

    def _path(self, place: int) -> list[int]:
        return [] if place < 0 else [*self._path(self.parents[place]), place]

    @property
    def shared_length(self) -> int:
        """Tokens of the row where branches share what they go on from."""
        return sum(len(branch.ids) for branch in self.branches)

    @property
    def apart_length(self) -> int:
        """Tokens of the same where each end has a line of its own."""
        return sum(len(self.branches[place].ids) for path in self.paths for place in path)

    @property
    def reach(self) -> int:
        """How far back the last token of the longest line may look."""
        return max(branch.depth + len(branch.ids) for branch in self.branches)


def _checked(objective: str, part: RowPart, own: Sequence[RowPart]) -> RowPart:
    """A part with a name of its own, and as many weights, and as much of everything else, as it has tokens."""
    if sum(other.name == part.name for other in own) > 1:
        raise LessonError(f"objective {objective!r}: two parts of one row are called {part.name!r}; rename one of them")
    for what, values in (("weights", part.weights), *part.more.items()):
        if values is not None and len(values) != len(part.branch.ids):
            raise LessonError(
                f"objective {objective!r}: its part {part.name!r} has {len(values)} {what} for {len(part.branch.ids)} tokens"
            )
    return part


class Total(NamedTuple):
    """What a part comes to in a whole batch: what its losses are divided by, so that micro-batches add up."""

    weight: float  # of its targets
    rows: int  # that have it


Totals = dict[str, dict[str, Total]]  # by objective, by part


def totals_of(rows: Sequence[Row]) -> Totals:
    """The totals of every part in the rows of a whole batch."""
    weights: dict[tuple[str, str], list[float]] = {}
    holders: dict[tuple[str, str], int] = {}
    for row in rows:
        for objective, part, _ in row.parts:
            key = objective, part.name
            holders[key] = holders.get(key, 0) + 1
            weights.setdefault(key, []).extend(part.counted)
    found: Totals = {}
    for (objective, name), values in weights.items():
        # fsum: a tenth a token, added up one by one, would not come to a tenth of the tokens.
        found.setdefault(objective, {})[name] = Total(math.fsum(values), holders[objective, name])
    return found
