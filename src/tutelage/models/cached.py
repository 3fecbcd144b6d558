"""A model that asks only for replies it does not have yet."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tutelage.types import Chat, Model, Reply, Sampling


class ReplyStore(Protocol):
    """Where replies are kept: `store.cache.ReplyCache`, or anything like it."""

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Reply]:
        """The stored replies among these keys."""
        ...

    def put_many(self, rows: Sequence[tuple[str, bytes, Reply]]) -> None:
        """Keep `(key, request, reply)` rows."""
        ...


def request_of(model: str, chat: Chat, sampling: Sampling, sample: int) -> bytes:
    """Everything that decides a reply, as canonical JSON: model identity, messages, every sampling field, sample index."""
    fields: dict[str, Any] = {
        "model": model,
        "messages": [[message.role, message.content] for message in chat.messages],
        "sampling": {name: getattr(sampling, name) for name in sampling.__struct_fields__ if name != "n"},
        "sample": sample,
    }
    return msgspec.json.encode(fields, order="deterministic")


class Cached:
    """Answers from a store of replies; only what is missing goes to the model, and is kept the moment it comes.

    Samples are keyed one by one, so asking for 8 after 4 pays for 4 more, and the first 4 stay the same. Failures
    are passed on but never kept.
    """

    def __init__(self, model: Model, store: ReplyStore) -> None:
        self.model = model
        self.store = store
        self.name = model.name

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield what is stored first, then what the model answers."""
        requests = [[request_of(self.name, chat, sampling, i) for i in range(sampling.n)] for chat in chats]
        keys = [[hashlib.sha256(request).hexdigest() for request in row] for row in requests]
        stored = self.store.get_many([key for row in keys for key in row])
        owed: dict[int, list[int]] = {}  # how many leading samples are stored -> chats
        for index, row in enumerate(keys):
            have = next((i for i, key in enumerate(row) if key not in stored), len(row))
            if have == len(row):
                yield index, [stored[key] for key in row]
            else:
                owed.setdefault(have, []).append(index)
        for have, indices in owed.items():
            fresh = msgspec.structs.replace(sampling, n=sampling.n - have, seed=sampling.seed + have)
            for place, replies in self.model.answer([chats[i] for i in indices], fresh):
                index = indices[place]
                named = [msgspec.structs.replace(r, key=k) for r, k in zip(replies, keys[index][have:], strict=True)]
                self.store.put_many(
                    [(r.key, requests[index][have + i], r) for i, r in enumerate(named) if r.finish != "error"]
                )
                yield index, [stored[key] for key in keys[index][:have]] + named
