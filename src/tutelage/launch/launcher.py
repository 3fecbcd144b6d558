"""What a launcher is: it says where work runs, and never what the work is."""

from collections.abc import Mapping
from typing import Protocol

from tutelage.models.context import Context
from tutelage.models.specs import Spec
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.types import Model


class Launcher(Protocol):
    """Where work runs. It is no part of what a step is made from, and holds no state: only a run's folder says what is done.

    One that cannot work for every config may have a method `check(config)`, which refuses it before a teacher is paid.
    """

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> Mapping[str, object]:
        """Train a student into the job's folder; returns facts about it, in JSON. All of it is done, or it raises.

        Asked again for the same job, it goes on from what the folder holds. Where `callbacks.stopping` says so it saves and
        raises `Interrupted`.
        """
        ...

    def open(self, spec: Spec, context: Context | None = None) -> Model:
        """A model that answers, wherever it computes; the arguments are those of `tutelage.open_model`."""
        ...
