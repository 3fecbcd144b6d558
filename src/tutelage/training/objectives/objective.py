"""What an objective is, and how one is found: by its name in the table or by the user's own package.module:NAME."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from tutelage.config import Settings, build
from tutelage.errors import ConfigError, nearest
from tutelage.importing import by_path, load_named
from tutelage.training.examples import Encoder, Example
from tutelage.training.objectives import OBJECTIVES
from tutelage.training.reading import ForwardPass
from tutelage.training.rows import RowPart
from tutelage.training.settings import ObjectiveChoice


class Objective(Protocol):
    """Something that training minimises. It keeps nothing between calls: what it knows of a lesson is what `prepare` kept."""

    @property
    def name(self) -> str:
        """What its share is called in the run and the report; no other objective of a training has it."""
        ...

    def prepare(self, examples: Sequence[Example], encoder: Encoder) -> Sequence[Any]:
        """What it keeps of each lesson, in their order; None of one that it has nothing to say about.

        Called once, before anything is trained. Raises `LessonError`, in one sentence, where it could use none of them:
        an objective that is silently off would be believed to have been tried.
        """
        ...

    def parts(self, example: Example, kept: Any, place: str) -> Sequence[RowPart]:
        """What it adds to the row of a lesson in one epoch: each text it reads there, under a name of its own.

        `kept` is what `prepare` kept, never None. `place` is "seed/epoch/index": whoever draws, draws from
        `random.Random(place)`, so that a training that goes on shows what an undisturbed one would have.
        """
        ...

    def loss(self, seen: ForwardPass) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """What is minimised, and the numbers to be shown by their names, of the rows of a micro-batch that hold its parts.

        Every sum is divided by its own count over the whole batch (`seen.total`, `seen.rows`), so that the micro-batches
        of a batch add up to it. A number named "loss" is shown as the training's loss instead of all that is minimised.
        """
        ...


_NEEDED = ("prepare", "parts", "loss")


def find_objective(choice: ObjectiveChoice) -> Objective:
    """An objective by its name, or by "package.module:NAME": a class of settings whose fields are its options, or an object."""
    name, options = choice.name, choice.options
    if name not in OBJECTIVES and ":" not in name:
        raise ConfigError(f"unknown objective {name!r}; {nearest(name, OBJECTIVES)}, or package.module:NAME")
    found = load_named(OBJECTIVES[name][0]) if name in OBJECTIVES else by_path(name, "objective")
    kind = found.__name__ if isinstance(found, type) else type(found).__name__
    lacking = [part for part in _NEEDED if not callable(getattr(found, part, None))]
    lacking += [] if isinstance(getattr(found, "name", None), str) else ["name"]
    if lacking:
        raise ConfigError(
            f"objective {name!r} is a {kind} without {', '.join(lacking)}; it needs name, {', '.join(_NEEDED)}, as "
            "docs/add-a-objective.md shows"
        )
    if isinstance(found, type):
        if not issubclass(found, Settings):
            raise ConfigError(
                f"objective {name!r} is the class {kind}; derive it from tutelage.config.Settings, whose fields are its "
                "options, or name an object"
            )
        found = build(found, options, f"training.objective {name!r}")
    elif options:
        raise ConfigError(f"objective {name!r} is an object, so it takes no options ({', '.join(options)})")
    made: Objective = found
    return made
