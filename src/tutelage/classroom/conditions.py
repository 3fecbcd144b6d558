"""What the rounding of a run depends on: the precision, chosen once a run, and what a local model's step was made on."""

from collections.abc import Mapping
from typing import Any, Literal

from tutelage.machine import machine
from tutelage.models.local import streaming
from tutelage.models.local.doubt import doubt_of
from tutelage.runs.run import Run
from tutelage.types import Model


def settled(run: Run, use: Literal["training", "decoding"], spec: Mapping[str, Any]) -> str:
    """The precision a run computes in; a run that goes on keeps the one it began with, wherever it goes on."""
    from tutelage.models.local import devices, precision

    device = devices.choose_device(str(spec.get("device", "auto")))
    chosen: str = run.settle(use, lambda: precision.choose(use, device))
    return chosen


class Conditions:
    """Notes in the step in hand what the rounding of a model's answers depends on, as it becomes known."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._step, self._first = "", 0  # the step in hand, and the place of its first batch among the model's
        self._noted: Any = None

    def note(self, step: str, model: Model | None) -> None:
        """To be called whenever an answer has come; writes only what is new."""
        known = streaming.conditions(model) if model else {}
        if not known:
            return
        if step != self._step:  # the first answer comes from the batch that was written last
            self._step, self._first, self._noted = step, len(known["rows"]) - 1, None
        known = {**machine(), **known, "rows": list(dict.fromkeys(known["rows"][self._first :]))}
        if known != self._noted:
            self._noted = known
            self.run.made_on(step, known)

    def sum_up(self, step: str, model: Model) -> None:
        """Say what a reader should know of how a step's answers were made, and where."""
        for line in streaming.remarks(model):
            self.run.say(event="note", step=step, line=line)
        nats, tokens = doubt_of(model)
        if tokens:
            self.run.say(event="entropy", step=step, nats=nats / tokens, tokens=tokens)
        for told in streaming.places(model):
            self.run.say(event="places", step=step, **told)
