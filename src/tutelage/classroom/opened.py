"""The models that a run has open, all with one context: what it paid, what it may pay, and how its task reads answers."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tutelage.classroom.conditions import settled
from tutelage.classroom.paying import open_context
from tutelage.classroom.reader import TaskReader
from tutelage.launch.launcher import Launcher
from tutelage.lessons.offline_teacher import WorkedTeacher
from tutelage.models import PAID
from tutelage.models.context import Context
from tutelage.models.pool import Pool
from tutelage.models.specs import kinds_in, mapped
from tutelage.runs.run import Run
from tutelage.spending import BudgetConfig
from tutelage.types import Model


class Account(NamedTuple):
    """Where replies are kept, what may be spent, and which step asks."""

    cache: Path
    budget: BudgetConfig
    step: Callable[[], str]


class OpenModels:
    """Opens models by their specs. Services stay open; of weights on this machine one spec at a time is kept."""

    def __init__(self, run: Run, reader: TaskReader, account: Account, launcher: Launcher) -> None:
        self.run = run
        self.reader = reader
        self.account = account
        self.launcher = launcher  # where they compute
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
        task, asked = self.reader.task, self.reader.asked
        worked = WorkedTeacher(task, asked) if task.worked else None
        context = replace(self._paying or Context(), worked=worked, read=self.reader.read, same=self.reader.same)
        return self.launcher.open(mapped(spec, self._settled), context)

    def _settled(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The spec of a student with the precision that this run computes in."""
        if spec["kind"] != "hf" or spec.get("dtype", "auto") != "auto":
            return spec
        return {**spec, "dtype": settled(self.run, "decoding", spec)}
