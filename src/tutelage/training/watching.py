"""How a training talks to the world while it goes on: it tells each step, saves by the clock, and stops when asked."""

import math
import time
from collections.abc import Mapping
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tutelage.errors import LessonError
from tutelage.training import checkpoints
from tutelage.training.group import Group
from tutelage.training.job import Callbacks
from tutelage.training.minimising import numbers_in


class Watch(TrainerCallback):
    """Reports progress, saves by the clock, and stops when asked. Of several processes the first looks at the clock."""

    def __init__(self, callbacks: Callbacks, minutes: float, group: Group) -> None:
        self.callbacks = callbacks
        self.seconds = minutes * 60
        self.group = group
        self.saved = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Save when it is time or the user wants to stop; a finished training is not saved again."""
        due = time.monotonic() - self.saved > self.seconds and state.global_step < state.max_steps
        stop, due = self.group.agreed(self.callbacks.stopping(), due)
        if stop:
            control.should_save = control.should_training_stop = True
        elif due:
            control.should_save = True
            self.saved = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """What was saved counts from here on."""
        checkpoints.finish(Path(str(args.output_dir)), state.global_step, self.group)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Pass each step's loss and its objectives' numbers on."""
        if logs and "loss" in logs:
            self._check(logs, state.global_step)
            numbers = numbers_in(logs)
            told = {"loss": float(logs["loss"]), **({"numbers": numbers} if numbers else {})}
            self.callbacks.progress({"done": state.global_step, "of": state.max_steps, **told})

    def _check(self, logs: Mapping[str, float], step: int) -> None:
        """Stop at the first loss or gradient that is no number: every later step would be for nothing."""
        odd = [name for name in ("loss", "grad_norm") if not math.isfinite(logs.get(name) or 0.0)]
        if odd and step <= 1:
            raise LessonError(
                f"the first step's {odd[0]} is not finite, so the student cannot be trained in this arithmetic on this "
                "device: set training.precision=float32, or choose another device (or an objective of your own makes it so)"
            )
        if odd:
            raise LessonError(
                f"the training diverged at step {step} (its {odd[0]} is not finite): lower training.learning_rate; if that does "
                "not help, set training.precision=float32"
            )
