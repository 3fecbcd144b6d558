"""From a record of any source to a question: which column holds what, and what each may look like."""

import math
import re
import string
from collections.abc import Mapping
from decimal import Decimal

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.parsing import Unreadable, half, json_value
from tutelage.rows import Row
from tutelage.types import JsonObject, Question

FIELDS = ("question", "answer", "id", "choices", "split", "template", "rationale")
_NEEDED = ("question", "answer")
# A row without one of these among rows with it is a mistake: it would get another's number, or fall out of all splits.
_ALL_OR_NONE = ("id", "split")


def check_fields(fields: Mapping[str, str]) -> None:
    """Refuse a mapping that names a field no question has."""
    for name in fields:
        if name not in FIELDS:
            raise ConfigError(f"fields: a question has no {name!r}; {nearest(name, FIELDS)}")


def questions_of(rows: list[Row], kind: str, fields: Mapping[str, str]) -> list[Question]:
    """Turn records into questions; `fields` says which column holds what where the names differ.

    A question whose row brings no id, or no split, has an empty one.
    """
    columns = _columns(rows, fields)
    seen: dict[str, str] = {}
    questions = []
    for where, record in rows:
        question = _question(where, record, kind, columns)
        if question.id and question.id in seen:
            raise DataError(f"{where}: the id {question.id!r} is repeated; it was used before at {seen[question.id]}")
        seen[question.id] = where
        questions.append(question)
    return questions


def _columns(rows: list[Row], fields: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """For each field its column, and whether every row must have it."""
    first = rows[0][1]
    columns = {}
    for field in FIELDS:
        column = fields.get(field, field)
        required = field in fields or field in _NEEDED or (field in _ALL_OR_NONE and column in first)
        columns[field] = (column, required)
    return columns


def _question(where: str, record: JsonObject, kind: str, columns: dict[str, tuple[str, bool]]) -> Question:
    def value(field: str) -> object:
        column, required = columns[field]
        if required and column not in record:
            raise DataError(f"{where}: no field {column!r} for the {field}; {nearest(column, record)}")
        return record.get(column)

    texts = {field: _text(where, columns[field][0], value(field)) for field in FIELDS if field != "choices"}
    for field in ("question", "answer", *(name for name in _ALL_OR_NONE if columns[name][1])):
        if not texts[field]:
            raise DataError(f"{where}: the {field} (field {columns[field][0]!r}) is empty")
    labels, choices = _choices(where, columns["choices"][0], value("choices"))
    answer = texts["answer"]
    if kind == "choice":
        answer = _letter(where, answer, labels, choices)
    return Question(
        id=texts["id"],
        text=texts["question"],
        answer=answer,
        choices=choices,
        split=texts["split"],
        template=texts["template"],
        rationale=texts["rationale"],
        source=where,
    )


def _text(where: str, column: str, value: object) -> str:
    """A scalar as text. Lists and objects have no one reading as text, so they are refused."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):  # Parquet's
        return format(value, "f")
    if isinstance(value, str) and (found := half(value)):
        raise DataError(
            f"{where}: the field {column!r} holds half of a character (the lone surrogate {found}), which no file or server "
            "can be given; write the whole character"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: the field {column!r} is {value}, and must be text or a number")
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise DataError(f"{where}: the field {column!r} is a {type(value).__name__}, and must be text or a number")


def _choices(where: str, column: str, value: object) -> tuple[list[str], tuple[str, ...]]:
    """Labels and texts of the choices: from a list, from {"label": [...], "text": [...]}, or from JSON text."""
    if value is None or value == "":
        return [], ()
    if isinstance(value, str):  # a CSV cell
        try:
            value = json_value(value)
        except Unreadable as error:
            raise DataError(f"{where}: the field {column!r} is not a JSON list of choices: {error}") from None
    labels: list[str] = []
    if isinstance(value, Mapping):
        if "text" not in value:
            raise DataError(f"{where}: the field {column!r} has no 'text' with the list of choices")
        labels = [str(label) for label in value.get("label", [])]
        value = value["text"]
    if not isinstance(value, list | tuple):
        raise DataError(f"{where}: the field {column!r} is a {type(value).__name__}, and must be a list of choices")
    texts = tuple(_text(where, column, choice) for choice in value)
    if not 2 <= len(texts) <= len(string.ascii_uppercase) or (labels and len(labels) != len(texts)):
        raise DataError(f"{where}: the field {column!r} has {len(texts)} choices and {len(labels)} labels")
    texts = _without_letters(texts)
    if not all(texts):
        raise DataError(f"{where}: the field {column!r} has an empty choice")
    return labels, texts


def _without_letters(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Remove "A)", "(A)", "A." or "A:" from the choices when each begins with its own letter."""
    pairs = list(zip(string.ascii_uppercase, texts, strict=False))
    matches = [re.match(rf"\(?{letter}[).:]\s*", text) for letter, text in pairs]
    if not all(matches):
        return texts
    return tuple(text[match.end() :] for text, match in zip(texts, matches, strict=True) if match)


def _letter(where: str, gold: str, labels: list[str], choices: tuple[str, ...]) -> str:
    """The letter of the right choice, from a label, a letter, a letter in brackets, or the choice's text."""
    bare = re.sub(r"^\((.*)\)$", r"\1", gold).strip()
    span = string.ascii_uppercase[: len(choices) or len(string.ascii_uppercase)]
    if bare in labels:
        return span[labels.index(bare)]
    if len(bare) == 1 and bare.upper() in span:
        return bare.upper()
    if gold in choices:
        return span[choices.index(gold)]
    if not choices:
        raise DataError(f"{where}: the gold answer {gold!r} is no letter, and the row brings no choices")
    known = ", ".join(labels or span)
    raise DataError(f"{where}: the gold answer {gold!r} is none of the letters {known} and no choice's text")
