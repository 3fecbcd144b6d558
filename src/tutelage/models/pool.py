"""The models that a run has open: services as long as it lasts, weights one spec at a time."""

from collections.abc import Callable, Mapping

from tutelage.models import LOCAL
from tutelage.models.local.streaming import parts_in
from tutelage.models.specs import leaves
from tutelage.types import Model


class Pool:
    """Models by their specs. What has weights on this machine is let go of when other weights are opened."""

    def __init__(self, open_one: Callable[[Mapping[str, object]], Model]) -> None:
        self.open_one = open_one
        self._remote: dict[str, Model] = {}
        self._local: tuple[str, Model] | None = None

    def get(self, parsed: Mapping[str, object]) -> Model:
        """The model of a parsed spec, opened at its first use."""
        label = str(sorted(parsed.items()))
        if not any(leaf.spec["kind"] in LOCAL for leaf in leaves(parsed)):
            if label not in self._remote:
                self._remote[label] = self.open_one(parsed)
            return self._remote[label]
        if self._local is None or self._local[0] != label:
            self.free()  # let go of the old weights before new ones are loaded
            self._local = (label, self.open_one(parsed))
        return self._local[1]

    def free(self) -> None:
        """Let go of what has weights, as before a training, which needs the memory."""
        if self._local:
            let_go(self._local[1])
        self._local = None

    def clear(self) -> None:
        """Let go of all."""
        self.free()
        self._remote.clear()


def let_go(model: Model) -> None:
    """End what a model, or one in it, has running elsewhere."""
    if release := getattr(model, "release", None):
        release()
    for part in parts_in(model):
        let_go(part)
