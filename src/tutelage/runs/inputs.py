"""What a step was made from, as JSON and as a digest: two steps with the same inputs are the same step."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tutelage.config import differences
from tutelage.errors import DataError, RunError
from tutelage.parsing import json_file
from tutelage.runs import records as lines
from tutelage.types import Chat, Checkpoint, JsonObject, Message, Question


def names_of(step: str, inputs: Mapping[str, object]) -> set[str]:
    """The digests by which other steps know the student in a finished step: its own, and that of the one it was awarded to."""
    given = inputs.get("student")
    awarded = given.get("checkpoint") if isinstance(given, Mapping) else None
    return {digest_inputs({"step": step, **inputs})} | ({awarded} if isinstance(awarded, str) else set())


def made_from(note: Path) -> JsonObject:
    """What a step on disk was made from; a note that does not say is an error that names it."""
    inputs = json_file(note).get("inputs")
    if not isinstance(inputs, dict):
        raise RunError(
            f"{note} is broken: it does not say what the step was made from ('inputs'); it was changed since"
        )
    return inputs


def object_of(file: Path, key: str) -> JsonObject:
    """One of the objects in a run's small file, empty where there is none; anything else there is an error that names it."""
    found = json_file(file).get(key, {})
    if not isinstance(found, dict):
        raise RunError(
            f"{file} is broken: {key!r} is a {type(found).__name__}, not a JSON object; it was changed since"
        )
    return found


def is_same(one: Question, other: Question) -> bool:
    """Whether two questions ask the same, and have the same answer."""
    return (one.text, one.answer, one.choices) == (other.text, other.answer, other.choices)


def question_key(question: Question | None, name: str) -> str:
    """A digest of what a question asks, the same in whatever run and under whatever seed it is asked; of its name where no more is known."""
    told = name if question is None else "\n".join((question.text, *question.choices))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:10]


def other_questions(before: Mapping[str, Question], after: Mapping[str, Question]) -> list[str]:
    """The ids that stand for one question in one run and for another in the other: it drew its own, or its data was changed."""
    return sorted(name for name in before.keys() & after.keys() if not is_same(before[name], after[name]))


def tell_apart(questions: Sequence[Question], known: dict[str, Question]) -> None:
    """Add questions to those that are known by their ids; an id that stands for two questions is an error."""
    for one in questions:
        other = known.setdefault(one.id, one)
        if not is_same(one, other):
            places = " and ".join(each.source or f"the split {each.split!r}" for each in (other, one))
            raise DataError(
                f"the id {one.id!r} stands for two questions, at {places}: every question of a task needs an id of its own, "
                "in all its splits together; or take the ids from another column (fields: {id: COLUMN})"
            )


def in_order(file: Path, rows: list[Any], asked: Sequence[str], needed: bool = True) -> None:
    """Put a step's records into the order of the questions; where they are not about these, its file was changed."""
    place = {question: index for index, question in enumerate(asked)}
    lost = next((row.question for row in rows if row.question not in place), None)
    if lost is not None or (needed and asked and not rows):
        what = "no records" if lost is None else f"a record about {lost!r}, which was not asked"
        raise RunError(f"{file} holds {what}: it was changed since it was written")
    rows.sort(key=lambda row: (place[row.question], getattr(row, "sample", 0)))


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


def jsonable(inputs: Mapping[str, object]) -> JsonObject:
    """What a step was made from, as JSON; a long list of records stands as its digest."""
    return {key: _describe(value) for key, value in inputs.items()}


def _describe(value: object) -> object:
    if isinstance(value, Checkpoint):
        return {"checkpoint": value.digest}
    if isinstance(value, list | tuple) and value and isinstance(value[0], msgspec.Struct):
        return {"records": len(value), "digest": lines.digest_records(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return json.loads(msgspec.json.encode(value))


def digest_inputs(inputs: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(jsonable(inputs), sort_keys=True).encode()).hexdigest()[:16]


def changed(began: JsonObject, now: JsonObject) -> list[str]:
    """The conditions that changed, among those known at both times; of a list that still grows, what both have."""
    both = [key for key in now if key in began]
    lists = {key: min(len(began[key]), len(now[key])) for key in both if isinstance(now[key], list)}
    old, new = ({key: side[key][: lists[key]] if key in lists else side[key] for key in both} for side in (began, now))
    return differences(old, new)
