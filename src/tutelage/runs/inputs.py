"""What a step was made from, as JSON and as a digest: two steps with the same inputs are the same step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tutelage.config import differences
from tutelage.parsing import json_file
from tutelage.runs import records as lines
from tutelage.types import Chat, Checkpoint, Message, Question


def names_of(step: Path) -> set[str]:
    """The digests by which other steps know the student in a finished step: its own, and that of the one it was awarded to."""
    inputs = json_file(step / "step.json")["inputs"]
    given = inputs.get("student")
    names = {digest({"step": step.name, **inputs})}
    return names | {given["checkpoint"]} if isinstance(given, dict) and "checkpoint" in given else names


class ChatIdentity(msgspec.Struct, frozen=True):
    """What of a chat makes a step: its question and what is sent."""

    question: str
    messages: tuple[Message, ...]


def asked(chats: Sequence[Chat]) -> list[ChatIdentity]:
    """What of some chats makes a step."""
    return [ChatIdentity(question=chat.question, messages=chat.messages) for chat in chats]


def content(questions: Sequence[Question]) -> list[Question]:
    """The questions without the place of their file, which may move."""
    return [msgspec.structs.replace(question, source="") for question in questions]


def jsonable(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a step was made from, as JSON; a long list of records stands as its digest."""
    return {key: _describe(value) for key, value in inputs.items()}


def _describe(value: Any) -> Any:
    if isinstance(value, Checkpoint):
        return {"checkpoint": value.digest}
    if isinstance(value, list | tuple) and value and isinstance(value[0], msgspec.Struct):
        return {"records": len(value), "digest": lines.digest(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return json.loads(msgspec.json.encode(value))


def digest(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(jsonable(inputs), sort_keys=True).encode()).hexdigest()[:16]


def changed(began: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The conditions that changed, among those known at both times; of a list that still grows, what both have."""
    both = [key for key in now if key in began]
    lists = {key: min(len(began[key]), len(now[key])) for key in both if isinstance(now[key], list)}
    old, new = ({key: side[key][: lists[key]] if key in lists else side[key] for key in both} for side in (began, now))
    return differences(old, new)
