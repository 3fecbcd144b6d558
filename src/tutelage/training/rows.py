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
    token, such as a teacher's probabilities, and comes back beside the targets. With `fixed`, states are read in a pass of their own, in
    which everything that the branch goes on from is a constant: no gradient reaches it through there.
    """

    name: str
    branch: Branch
    weights: Sequence[float] | None = None
    more: Mapping[str, Sequence[Any]] = {}
    fixed: bool = False

    @property
    def counted(self) -> Sequence[float]:
        """The weights of what can be predicted: all tokens but a prompt's first, before which nothing stands."""
        return (self.weights or ())[1 if self.branch.after is None else 0 :]


class Placed(NamedTuple):
    """A part in a row: whose it is, and the places of what its tokens are cut into among the row's branches, in their order."""

    objective: str
    part: RowPart
    places: Sequence[int]


class _Node:
    """Tokens that every text of a row has in common that goes through here, and what goes on from them."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = ids
        self.children: list[_Node] = []

    def grow(self, ids: Sequence[int]) -> "_Node":
        """The node in which these tokens end, behind this one; nodes are cut where texts part, or where one of them ends."""
        node = self
        while ids:
            child = next((one for one in node.children if one.ids[0] == ids[0]), None)
            if child is None:
                child = _Node(ids)
                node.children.append(child)
            alike = _alike(child.ids, ids)
            if alike < len(child.ids):
                child.cut(alike)
            node, ids = child, ids[alike:]
        return node

    def cut(self, length: int) -> None:
        """Keep the first tokens, and hand the others down to a node between this one and its children."""
        rest = _Node(self.ids[length:])
        rest.children, self.children, self.ids = self.children, [rest], self.ids[:length]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two texts have in common from the start."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


class Row:
    """A tree of branches that several objectives share, so that one forward pass serves them all.

    Objectives name their branches independently of each other; the same tokens behind the same tokens are one branch,
    and are computed once: a student's mistake and what corrects it share what both begin with.
    """

    def __init__(self, parts: Mapping[str, Sequence[RowPart]]) -> None:
        self.branches: list[Branch] = []  # every branch stands behind the one that it goes on from
        self.parents: list[int] = []  # places in `branches`; -1: it goes on from nothing
        root = _Node(())
        every = [(name, _checked(name, part, own)) for name, own in parts.items() for part in own]
        self.beside = [(name, part) for name, part in every if part.fixed]  # read in passes of their own
        named = [(name, part) for name, part in every if not part.fixed]
        for _, part in named:
            _grown(root, part.branch)
        if not named and every and every[0][1].branch.after:  # a row holds something, if only a prompt
            _grown(root, every[0][1].branch.after)
        places = self._number(root, -1)
        self.parts = [Placed(name, part, _cover(root, part.branch, places)) for name, part in named]

    def _number(self, node: _Node, parent: int) -> dict[int, int]:
        """The place of every node below one, by its identity; a parent stands before its children."""
        places: dict[int, int] = {}
        for child in node.children:
            place = places[id(child)] = len(self.branches)
            self.branches.append(Branch(child.ids, self.branches[parent] if parent >= 0 else None))
            self.parents.append(parent)
            places |= self._number(child, place)
        return places

    @cached_property
    def scored(self) -> set[int]:
        """The branches that hold a target: whose log-probabilities are read."""
        return {
            place for one in self.parts for place, weights in self.split(one, one.part.weights or ()) if any(weights)
        }

    def split(self, one: Placed, values: Sequence[Any]) -> list[tuple[int, Sequence[Any]]]:
        """What belongs to the tokens of a part, by the branches that hold these tokens; nothing where there are no values."""
        found, start = [], 0
        for place in one.places if values else ():
            end = start + len(self.branches[place].ids)
            found.append((place, values[start:end]))
            start = end
        return found

    @property
    def is_chain(self) -> bool:
        """Whether each branch goes on from the one before it, so that the row is plain text and needs no mask of its own."""
        return self.parents == list(range(-1, len(self.parents) - 1))

    @property
    def order(self) -> list[int]:
        """The branches in the order of their columns, where they share a row: what is not scored stands first.

        Logits are computed for the last columns only, so what needs none must not stand among those that do. Positions
        and the mask say what goes on from what, so the order is free: even a branch before its own prompt reads behind it.
        Plain text has no mask, and stays as it is.
        """
        if self.is_chain:
            return list(range(len(self.parents)))
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
        paths = [self._path(end) for end in ends]
        return sorted(paths, key=self.scored.isdisjoint)  # stable

    def _path(self, place: int) -> list[int]:
        return [] if place < 0 else [*self._path(self.parents[place]), place]

    @property
    def shared_length(self) -> int:
        """Tokens of the row where branches share what they go on from."""
        return sum(len(branch.ids) for branch in self.branches)

    @property
    def beside_length(self) -> int:
        """Tokens that are read in passes beside the row."""
        return sum(part.branch.depth + len(part.branch.ids) for _, part in self.beside)

    @property
    def apart_length(self) -> int:
        """Tokens of the same where each end has a line of its own."""
        return sum(len(self.branches[place].ids) for path in self.paths for place in path)

    @property
    def reach(self) -> int:
        """How far back the last token of the longest line may look."""
        return max(branch.depth + len(branch.ids) for branch in self.branches)


def _grown(root: _Node, branch: Branch) -> _Node:
    """The node in which a branch ends, grown where there was none."""
    return (_grown(root, branch.after) if branch.after else root).grow(branch.ids)


def _cover(root: _Node, branch: Branch, places: Mapping[int, int]) -> list[int]:
    """The places of the nodes that hold a branch's tokens, and nothing else: the tree is grown by now."""
    node, ids, found = _grown(root, branch.after) if branch.after else root, branch.ids, list[int]()
    while ids:
        node = next(child for child in node.children if child.ids[0] == ids[0])
        found.append(places[id(node)])
        ids = ids[len(node.ids) :]
    return found


def _checked(objective: str, part: RowPart, own: Sequence[RowPart]) -> RowPart:
    """A part with a name of its own, and as many weights, and as much of everything else, as it has tokens."""
    if part.fixed and part.weights is not None:
        raise LessonError(
            f"objective {objective!r}: its part {part.name!r} is fixed, so that states are read and no targets; leave out its weights"
        )
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
        for objective, part in [*((one.objective, one.part) for one in row.parts), *row.beside]:
            key = objective, part.name
            holders[key] = holders.get(key, 0) + 1
            weights.setdefault(key, []).extend(part.counted)
    found: Totals = {}
    for (objective, name), values in weights.items():
        # fsum: a tenth a token, added up one by one, would not come to a tenth of the tokens.
        found.setdefault(objective, {})[name] = Total(math.fsum(values), holders[objective, name])
    return found
