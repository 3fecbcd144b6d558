"""Where a model's replies are kept: what is asked of a store, and the one that keeps nothing."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tutelage.types import Reply


class ReplyStore(Protocol):
    """Where replies are kept: `store.cache.ReplyCache`, or anything like it."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """The stored replies among these keys."""
        ...

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes) -> None:
        """Keep one reply with the request that brought it and the server's own bytes."""
        ...

    def claim(self, keys: Sequence[str]) -> set[str]:
        """Which of these are to be asked for here, since no other process does; raises if no reply could be kept."""
        ...

    def release(self, keys: Sequence[str]) -> None:
        """These are asked for no longer."""
        ...

    def pending(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> batch, for those among `keys` that wait in one."""
        ...

    def submitted(self, batch: str, keys: Sequence[str]) -> None:
        """These requests wait in a batch now."""
        ...

    def collected(self, batch: str) -> None:
        """A batch is over."""
        ...

    def adapted(self, model: str) -> Mapping[str, str]:
        """What is known of a model that does not take every field: field -> its name there, or ""."""
        ...

    def adapt(self, model: str, field: str, known_as: str) -> None:
        """Keep such a finding."""
        ...


class MemoryStore:
    """A store that keeps nothing longer than the process."""

    def __init__(self) -> None:
        self._batches: dict[str, str] = {}

    def claim(self, keys: Sequence[str]) -> set[str]:
        """All: nobody shares what is not kept."""
        return set(keys)

    def release(self, keys: Sequence[str]) -> None:
        """Nothing was held."""

    def pending(self, keys: Sequence[str]) -> Mapping[str, str]:
        """Key -> batch."""
        return {key: self._batches[key] for key in keys if key in self._batches}

    def submitted(self, batch: str, keys: Sequence[str]) -> None:
        """Note a batch."""
        self._batches |= dict.fromkeys(keys, batch)

    def collected(self, batch: str) -> None:
        """Forget a batch."""
        self._batches = {key: held for key, held in self._batches.items() if held != batch}

    def adapted(self, model: str) -> Mapping[str, str]:
        """Nothing: the endpoint knows as much."""
        return {}

    def adapt(self, model: str, field: str, known_as: str) -> None:
        """Forget a finding."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """Nothing."""
        return {}

    def put(self, key: str, request: bytes, reply: Reply, raw: bytes) -> None:
        """Let go of a reply."""
