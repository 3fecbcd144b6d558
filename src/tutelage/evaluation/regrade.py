"""Grading completions that are there already, in any file, without asking a model."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.evaluation import intervals
from tutelage.grading.answers import Reading, grading
from tutelage.grading.verdicts import judged, second_reply
from tutelage.parsing import HALF
from tutelage.rows import stream_rows
from tutelage.tasks.task import Task
from tutelage.types import Attempt, JsonObject, Question, Verdict

_COMPLETIONS = ("completion", "text", "response", "output", "generation", "prediction")
_IDS = ("id", "question_id", "question")


class Graded(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One graded row of a file."""

    id: str
    verdict: Verdict  # lenient: the last answer that a text names
    strict: Verdict  # unread where a text names no answer behind a marker, or several different ones
    read: str | None
    remark: str = ""  # why it is unread, where the reader failed or the comparison was not decided


class Tally(Struct, kw_only=True):
    """What became of all rows."""

    right: int = 0
    wrong: int = 0
    unread: int = 0
    strict_right: int = 0
    strict_unread: int = 0
    remarked: int = 0  # rows that are unread since the reader failed, or the comparison was not decided
    remark: str = ""  # of the first of them, with its id
    mended: int = 0  # rows in which halves of characters were replaced
    by_question: dict[str, list[int]] = {}  # id -> [right, rows]

    def add(self, row: Graded) -> None:
        """Count one row."""
        setattr(self, row.verdict, getattr(self, row.verdict) + 1)
        self.strict_right += row.strict == "right"
        self.strict_unread += row.strict == "unread"
        self.remarked += bool(row.remark)
        self.remark = self.remark or (f"{row.id}: {row.remark}" if row.remark else "")
        counts = self.by_question.setdefault(row.id, [0, 0])
        counts[0] += row.verdict == "right"
        counts[1] += 1

    def summary(self) -> JsonObject:
        """The numbers, as one JSON object: shares between 0 and 1, the interval at 95 %."""
        rows, questions = self.right + self.wrong + self.unread, len(self.by_question)
        shares = [right / count for right, count in self.by_question.values()]
        low, high = intervals.of_shares(shares)
        return {
            "rows": rows,
            "questions": questions,
            "accuracy": sum(shares) / questions,
            "low": low,
            "high": high,
            "strict_accuracy": self.strict_right / rows,
            "unread": self.unread / rows,
            "strict_unread": self.strict_unread / rows,
            "right": self.right,
            "wrong": self.wrong,
            **({"remarked": self.remarked, "remark": self.remark} if self.remarked else {}),
            **({"mended": self.mended} if self.mended else {}),
        }


def by_task(task: Task, split: str, completion: str | None = None) -> Callable[[str, JsonObject], Graded]:
    """A grader of rows that name a question of a task by its id."""
    questions = {question.id: question for question in task.load(split)}

    def grade(where: str, row: JsonObject) -> Graded:
        column = next((name for name in _IDS if str(row.get(name)) in questions), None)
        if column is None:
            named = [str(row[name]) for name in _IDS if name in row]
            what = f"{named[0]!r} is no question of {task.name!r} ({split})" if named else f"no field {_IDS[0]!r}"
            raise DataError(f"{where}: {what}; {nearest(named[0] if named else '', questions)}")
        return _graded(task, questions[str(row[column])], _said(where, row, completion))

    return grade


def by_kind(
    kind: str, answer: str = "answer", completion: str | None = None, reading: Reading = "house"
) -> Callable[[str, JsonObject], Graded]:
    """A grader of rows that bring their own gold answer."""
    task = Task(name=kind, kind=kind, splits=(), load=lambda split: [], **grading(kind, reading))

    def grade(where: str, row: JsonObject) -> Graded:
        if answer not in row:
            raise DataError(f"{where}: no field {answer!r} for the gold answer; {nearest(answer, row)}")
        if problem := _no_gold(row[answer]):
            raise DataError(f"{where}: the gold answer (field {answer!r}) is {problem}")
        name = str(row.get("id", row.get("question_id", where.rpartition(":")[2])))
        choices = row.get("choices") or ()
        gold = Question(id=name, text=str(row.get("question", "")), answer=str(row[answer]), choices=tuple(choices))
        return _graded(task, gold, _said(where, row, completion))

    return grade


def _no_gold(value: object) -> str:
    """Why a value is no gold answer; empty where it may be one."""
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    return "empty" if isinstance(value, str) and not value.strip() else ""


def _said(where: str, row: JsonObject, completion: str | None) -> str:
    if row.get("answer_text"):  # the second call of zero-shot-CoT, in a run's own records
        return second_reply(row["answer_text"])
    names = [completion] if completion else [name for name in _COMPLETIONS if name in row][:1]
    if not names or names[0] not in row:
        wanted = completion or _COMPLETIONS[0]
        raise DataError(f"{where}: no field {wanted!r} for the completion; {nearest(wanted, row)}")
    if not isinstance(row[names[0]], str):
        raise DataError(f"{where}: the field {names[0]!r} is a {type(row[names[0]]).__name__}, and must be text")
    return str(row[names[0]])


def _whole(value: object) -> object:
    """A text without halves of characters (lone surrogates), which could not be written down; each is replaced by U+FFFD."""
    return HALF.sub("\ufffd", value) if isinstance(value, str) else value


def _graded(task: Task, question: Question, text: str) -> Graded:
    found = judged(task, question, text)
    return Graded(id=question.id, verdict=found.verdict, strict=found.strict, read=found.answer, remark=found.remark)


def grade_file(path: Path, grader: Callable[[str, JsonObject], Graded], into: Path | None = None) -> Tally:
    """Grade the rows of a file one by one; `into` is written whole, or not at all."""
    if into:
        _check_into(into, path)
    tally = Tally(by_question={})
    draft = into.with_name(f"{into.name}.draft") if into else Path(os.devnull)
    try:
        with draft.open("wb") as file:
            for where, row in stream_rows(path):
                whole = {key: _whole(value) for key, value in row.items()}
                tally.mended += whole != row
                graded = grader(where, whole)
                tally.add(graded)
                file.write(msgspec.json.encode(graded) + b"\n")
        if not tally.by_question:
            raise DataError(f"{path}: holds no rows")
        if into:
            draft.replace(into)
    finally:
        if into:
            draft.unlink(missing_ok=True)
    return tally


def _check_into(into: Path, path: Path) -> None:
    """Whether verdicts can be written there, and the completions stay what they are."""
    if into.exists() and path.exists() and into.samefile(path):
        raise ConfigError(f"--into {into} is the file that is graded: its completions would be lost; name another")
    if into.is_dir() or (into.exists() and not into.is_file()):
        raise ConfigError(f"--into {into} is {'a folder' if into.is_dir() else 'no regular file'}; name a file")
    if not into.parent.is_dir():
        raise ConfigError(f"--into {into}: there is no folder {into.parent}")


def again(task: Task, questions: Mapping[str, Question], attempts: Iterable[Attempt]) -> list[Attempt]:
    """The attempts of a finished exam with the verdicts of today's reader; failed calls stay unread."""
    fresh = []
    for attempt in attempts:
        if attempt.error:
            fresh.append(attempt)
            continue
        said = second_reply(attempt.answer_text) if attempt.answer_text else attempt.text
        graded = _graded(task, questions[attempt.question], said)
        verdicts = {"verdict": graded.verdict, "strict": graded.strict, "remark": graded.remark}
        fresh.append(msgspec.structs.replace(attempt, answer=graded.read, **verdicts))
    return fresh
