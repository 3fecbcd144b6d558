"""What a recipe is: one frozen object a file, found by its name or by its import path."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.models.specs import Spec
from tutelage.tasks.task import Task
from tutelage.types import Label


class Expected(NamedTuple):
    """Calls of a teacher of one kind: how many, and their tokens if replies are short or as long as allowed."""

    step: str
    calls: int
    tokens_in: tuple[int, int]
    tokens_out: tuple[int, int]
    who: Spec | None = None  # is asked; None: the config's teacher

    def times(self, rounds: int) -> "Expected":
        """The same in several rounds."""
        (a, b), (c, d) = self.tokens_in, self.tokens_out
        return self._replace(
            calls=rounds * self.calls, tokens_in=(rounds * a, rounds * b), tokens_out=(rounds * c, rounds * d)
        )


class Recipe(Struct, frozen=True, kw_only=True):
    """A method of teaching.

    `settings` has the fields `recipe`, `task`, `data`, `seed`, `cache` and `budget`, as `Teaching` has them. `teach` is the
    method. `promised` names the exams of its final table in their order, by step. `lessons` makes the teacher's part alone;
    `calls` counts what the teacher will be asked, the first rationales first; each as far as the recipe has it.
    """

    summary: str
    settings: type[Settings]
    teach: Callable[[Classroom, Any], Any]
    promised: Callable[[Any], Mapping[str, Label]]
    lessons: Callable[[Classroom, Any], Any] | None = None
    calls: Callable[[Any, Task], Sequence[Expected]] | None = None


NEEDED = ("recipe", "task", "data", "seed", "cache", "budget")  # fields of a recipe's settings that the runner reads
