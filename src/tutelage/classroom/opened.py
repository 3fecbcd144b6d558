"""The models that a run has open, all with one context: what it paid, what it may pay, and how its task reads answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.classroom.conditions import settled
from tutelage.classroom.paying import open_context
from tutelage.classroom.reader import Reader
from tutelage.lessons.offline_teacher import WorkedTeacher
from tutelage.models import PAID
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.models.pool import Pool
from tutelage.models.specs import kinds_in, mapped
from tutelage.runs.run import Run
from tutelage.spending import BudgetConfig
from tutelage.tasks.task import Task
from tutelage.types import Model, Question


class Account(NamedTuple):
    """Where replies are kept, what may be spent, and which step asks."""

    cache: Path
    budget: BudgetConfig
    step: Callable[[], str]


class OpenModels:
    """Opens models by their specs. Services stay open; of weights on this machine one spec at a time is kept."""

    def __init__(self, run: Run, task: Task, asked: Mapping[str, Question], account: Account) -> None:
        self.run = run
        self.task = task
        self.asked = asked  # by id; may grow
        self.account = account
        self._paying: Context | None = None  # once somebody is paid: files that nobody is paid in are not made
        self._close_account: Callable[[], None] = lambda: None
        self._pool = Pool(self._open)

    def get(self, spec: Mapping[str, Any]) -> Model:
        """The model of a parsed spec."""
        return self._pool.get(spec)

    def free(self) -> None:
        """Let go of what has weights, as before a training, which needs the memory."""
        self._pool.free()

    def close(self) -> None:
        """Let go of models and files; what is in flight is awaited and kept, unless the user will not wait."""
        self._pool.clear()
        self._close_account()

    def _open(self, spec: Mapping[str, Any]) -> Model:
        if self._paying is None and kinds_in(spec) & PAID:
            self._paying, self._close_account = open_context(self.run, *self.account)
        reader = Reader(self.task, self.asked)
        worked = WorkedTeacher(self.task, self.asked) if self.task.worked else None
        context = replace(self._paying or Context(), worked=worked, read=reader.read, same=reader.same)
        return open_model(mapped(spec, self._settled), context)

    def _settled(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The spec of a student with the precision that this run computes in."""
        if spec["kind"] != "hf" or spec.get("dtype", "auto") != "auto":
            return spec
        return {**spec, "dtype": settled(self.run, "decoding", spec)}
