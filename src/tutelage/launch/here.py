"""Work in this process, on this machine."""

from collections.abc import Mapping
from pathlib import Path

from tutelage.config import build
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.models.specs import Spec
from tutelage.runs import records
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import Lesson, Model


class Here:
    """Everything where it is asked for."""

    def fit(self, job: TrainingJob, callbacks: Callbacks) -> Mapping[str, object]:
        """Train in this process."""
        from tutelage.training.trainer import fit  # loads torch, which nothing needs before

        settings = build(TrainingConfig, job.settings, "the training")
        lessons = records.read_records(Path(job.lessons), Lesson)
        return fit(job.student, lessons, settings, job.seed, Path(job.folder), callbacks)

    def open(self, spec: Spec, context: Context | None = None) -> Model:
        """Open in this process."""
        return open_model(spec, context)
