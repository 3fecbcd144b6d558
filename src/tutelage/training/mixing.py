"""Several objectives as one: what each keeps of a lesson, the rows they share, and the sum of their losses."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

from tutelage.errors import ConfigError, LessonError, nearest
from tutelage.models.local.pretrained import LanguageModel
from tutelage.training import layout
from tutelage.training.examples import Encoder, Example
from tutelage.training.heads import watched
from tutelage.training.objectives.objective import Objective, find_objective
from tutelage.training.previous_batch import PreviousBatch
from tutelage.training.reading import ForwardPass, PassOutput
from tutelage.training.references import References
from tutelage.training.rows import Inputs, Row
from tutelage.training.settings import ObjectiveChoice, PreviousBatchConfig


class Weighted(NamedTuple):
    """An objective and what its loss counts beside the others'."""

    objective: Objective
    weight: float


class Prepared(NamedTuple):
    """The lessons of a training, and by objective what it keeps of each."""

    examples: list[Example]
    kept: dict[str, list[object]]
    active: dict[str, int]  # how many lessons each has something to say about that is its own

    def shares(self) -> dict[str, float]:
        """The share of the lessons that each objective has something to say about."""
        return {name: round(count / len(self.examples), 4) for name, count in self.active.items()}


class Mix:
    """The objectives of one training, each with its weight; and what it thought of its previous batch, where that counts, too."""

    def __init__(self, choices: Sequence[ObjectiveChoice], previous: PreviousBatchConfig | None = None) -> None:
        self.members = [Weighted(find_objective(choice), choice.weight) for choice in choices]
        names = [one.objective.name for one in self.members]
        if doubled := next((name for name in names if names.count(name) > 1), ""):
            paths = [choice.name for choice, name in zip(choices, names, strict=True) if name == doubled]
            raise ConfigError(
                f"training.objective: {' and '.join(paths)} are both called {doubled!r}; each needs a name of its own"
            )
        if len(whole := [one.objective.name for one in self.members if getattr(one.objective, "whole", False)]) > 1:
            raise ConfigError(
                f"training.objective: {' and '.join(whole)} each learn lessons whole, so a token would count twice; name one of them"
            )
        if previous is not None and not whole:
            raise ConfigError(
                "training.previous_batch holds the student to what it thought of the lessons that it learns, and no objective of "
                "training.objective learns them whole; add likelihood"
            )
        self.previous = PreviousBatch(previous) if previous is not None else None
        self._rows: Callable[[], Iterable[Row]] = tuple
        self._met: set[tuple[str, str]] = set()  # parts that some row of the training has

    def watch(self, rows: Callable[[], Iterable[Row]]) -> None:
        """Every row of the training, to be looked through where an objective reads a part that a batch does not hold."""
        self._rows = rows

    def _check_part(self, objective: str, part: str) -> None:
        """Refuse a part that no row has: a misspelt name would be learned as nothing at all."""
        if (objective, part) in self._met:
            return
        names: set[str] = set()
        for row in self._rows():
            names |= {one.part.name for one in row.parts if one.objective == objective}
            names |= {part.name for name, part in row.beside if name == objective}
            if part in names:
                self._met.add((objective, part))
                return
        raise LessonError(
            f"objective {objective!r} reads a part {part!r}, which its parts() adds to no row; {nearest(part, names)}"
        )

    @property
    def is_single(self) -> bool:
        """Whether what is minimised is one objective's loss and nothing else."""
        return self.previous is None and len(self.members) == 1 and self.members[0].weight == 1

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> Prepared:
        """What each objective keeps of the lessons; a lesson that none has anything to say about is left out."""
        found = {one.objective.name: list(one.objective.prepare(examples, encoder)) for one in self.members}
        for name, own in found.items():
            if len(own) != len(examples):
                raise LessonError(
                    f"objective {name!r} keeps something of {len(own)} lessons, and was given {len(examples)}"
                )
            if all(one is None for one in own):
                raise LessonError(f"objective {name!r} has nothing to say about any of the {len(examples)} lessons")
        used = [place for place in range(len(examples)) if any(own[place] is not None for own in found.values())]
        active = {one.objective.name: _active(one.objective, found[one.objective.name]) for one in self.members}
        kept = {name: [own[i] for i in used] for name, own in found.items()}
        return Prepared([examples[i] for i in used], kept, active)

    def refer(self, prepared: Prepared, references: References) -> Prepared:
        """The same with what an objective wants to know of texts before anything is trained."""
        kept = dict(prepared.kept)
        for one in self.members:
            if asked := getattr(one.objective, "refer", None):
                name = one.objective.name
                have = [
                    (example, own)
                    for example, own in zip(prepared.examples, kept[name], strict=True)
                    if own is not None
                ]
                told = iter(asked([example for example, _ in have], [own for _, own in have], references))
                kept[name] = [own if own is None else next(told) for own in kept[name]]
        return prepared._replace(kept=kept)

    def row(self, prepared: Prepared, index: int, place: str, role: str = "") -> Row:
        """A lesson as it is shown in one epoch, with what every objective adds to it; `role` is what it is to the previous batch."""
        example = prepared.examples[index]
        members = [(one.objective, prepared.kept[one.objective.name][index]) for one in self.members]
        parts = {each.name: each.parts(example, kept, place) for each, kept in members if kept is not None}
        if self.previous is not None and role:
            parts[self.previous.name] = [self.previous.part(example, index, role)]
        return Row(parts)

    def loss(
        self, model: LanguageModel, plain: LanguageModel, inputs: Inputs
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], Any]:
        """One forward pass for all: what is minimised, the numbers to be shown, and the model's output.

        `plain` is the model without what Trainer wraps around it.
        """
        reads_states = any(
            "sources" not in part and "texts" not in part for own in inputs["parts"].values() for part in own.values()
        )
        head = layout.head_for(plain, inputs)
        with layout.last_states(plain, reads_states or head is not None) as states, watched(head):
            out = layout.forward(model, inputs, 1 if head else inputs["keep"])
        # A micro-batch without lessons still needs a loss with a gradient, of nothing.
        total, numbers = out.logits[:0].sum(), dict[str, torch.Tensor]()
        read = PassOutput(out.logits, states[0] if states else None, head)
        for weight, loss, told in self._losses(inputs, read, partial(layout.states_behind, plain)):
            total = total + weight * loss
            if doubled := next((name for name in told if name in numbers), ""):
                raise LessonError(f"two objectives of one training both tell a number {doubled!r}; rename one of them")
            numbers |= {name: number.detach() for name, number in told.items()}
        return total, numbers, out

    def _losses(
        self, inputs: Inputs, read: PassOutput, behind: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
    ) -> Iterator[tuple[float, torch.Tensor, Mapping[str, torch.Tensor]]]:
        """The weight, the loss and the numbers of each that has a part in a micro-batch."""

        def seen(name: str) -> ForwardPass:
            return ForwardPass(name, inputs, read, self._check_part, behind)

        for objective, weight in self.members:
            if objective.name in inputs["parts"]:
                yield weight, *_told(objective, seen(objective.name))
        previous = self.previous
        if previous is not None and previous.name in inputs["parts"] and (held := previous.loss(seen(previous.name))):
            yield 1.0, *held


def _active(objective: Objective, kept: Sequence[object]) -> int:
    """How many lessons an objective works on; one that learns the others as likelihood does says which it means."""
    works_on: Callable[[object], bool] = getattr(objective, "works_on", lambda one: True)
    return sum(one is not None and works_on(one) for one in kept)


def _told(objective: Objective, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
    """What an objective makes of a forward pass: a loss that can be learned from, and its numbers."""
    said: object = objective.loss(seen)
    if not isinstance(said, tuple) or len(said) != 2 or not isinstance(said[0], torch.Tensor):
        raise LessonError(
            f"objective {objective.name!r}: its loss is a {type(said).__name__}; loss() returns (a tensor, numbers by name)"
        )
    loss, numbers = said
    if not loss.requires_grad:
        raise LessonError(
            f"objective {objective.name!r}: its loss has no gradient, so nothing would be learned from it; it must come of the "
            "logits or states that it is given, without detach() or no_grad()"
        )
    if wrong := [name for name, number in numbers.items() if not isinstance(number, torch.Tensor)]:
        raise LessonError(f"objective {objective.name!r}: its number {wrong[0]!r} must be a tensor, as the loss is")
    return loss, numbers
