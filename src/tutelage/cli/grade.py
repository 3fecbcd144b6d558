"""The commands that ask no model: grade, audit, contamination."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tutelage import runner
from tutelage.errors import ConfigError, DataError, nearest
from tutelage.evaluation import regrade
from tutelage.grading.answers import READERS, Reading
from tutelage.printing import say
from tutelage.rows import stream_rows
from tutelage.runs.inputs import tell_apart
from tutelage.tasks.auditing import misread
from tutelage.tasks.catalog import find_task
from tutelage.tasks.contamination import HeldOut, find_overlaps
from tutelage.types import JsonObject, Question

Data = Annotated[str | None, typer.Option("--data", help="Folder of local copies of published data sets.")]
AsJson = Annotated[bool, typer.Option("--json", help="The summary as one JSON object.")]


def grade_command(
    file: Annotated[
        Path, typer.Argument(help="Completions as .jsonl, .csv or .parquet; or a run, or one of its exams.")
    ],
    task: Annotated[str | None, typer.Option("--task", help="The rows name its questions by id.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="The rows bring their own gold answer, of this kind.")
    ] = None,
    reading: Annotated[
        Reading, typer.Option("--reading", help="With --kind number: the first number behind the marker, as published.")
    ] = "house",
    answer_field: Annotated[str, typer.Option("--answer-field", help="The gold answer, with --kind.")] = "answer",
    completion_field: Annotated[str | None, typer.Option("--completion-field")] = None,
    split: Annotated[str, typer.Option("--split", help="Of the task.")] = "test",
    into: Annotated[Path | None, typer.Option("--into", help="Write a verdict a row as JSON lines.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Grade completions that are there already; no model is asked."""
    if file.is_dir():
        _again(file, as_json)
        return
    if (task is None) == (kind is None):
        raise ConfigError(
            "give --task, whose questions the rows name by id, or --kind, when the rows bring their gold answer"
        )
    if task is not None and reading != "house":
        raise ConfigError(f"--reading goes with --kind; of a task it is an option: --task '{task}?reading={reading}'")
    if task is not None:
        grader = regrade.by_task(find_task(task, data=data), split, completion_field)
    elif kind in READERS:
        grader = regrade.by_kind(kind, answer_field, completion_field, reading)
    else:
        raise ConfigError(f"--kind {kind}: {nearest(str(kind), READERS)}")
    summary = regrade.grade_file(file, grader, into).summary()
    say(json.dumps(summary) if as_json else _line(summary))


def _line(summary: JsonObject) -> str:
    several = f" of {summary['questions']} questions" if summary["questions"] != summary["rows"] else ""
    remarked = f"; {summary['remarked']} could not be graded ({summary['remark']})" if summary.get("remarked") else ""
    mended = f"; half characters replaced in {summary['mended']} rows" if summary.get("mended") else ""
    return (
        f"{summary['accuracy']:.1%} [{summary['low']:.1%}, {summary['high']:.1%}] right, {summary['rows']} rows{several}, "
        f"unread {summary['unread']:.1%}; strictly {summary['strict_accuracy']:.1%} right, "
        f"{summary['strict_unread']:.1%} unread{remarked}{mended}"
    )


def _again(path: Path, as_json: bool) -> None:
    for title, (before, after) in runner.regrade(path).items():
        if as_json:
            row = {
                "exam": title,
                "before": before.accuracy,
                "accuracy": after.accuracy,
                "low": after.low,
                "high": after.high,
            }
            row |= {"strict_accuracy": after.strict, "unread": after.unread, "questions": after.questions}
            say(json.dumps(row))
        else:
            say(f"{title}: was {before.accuracy:.1%}, is {after.line()}; strictly {after.strict:.1%}")


def audit_command(
    task: Annotated[str, typer.Option("--task", help="Whose gold answers are read; `tutelage tasks` lists them.")],
    split: Annotated[str | None, typer.Option("--split", help="Only this one.")] = None,
    data: Data = None,
) -> None:
    """Check that a task's own reader finds every gold answer right, and that an id names one question; exit code 2 if not."""
    found = find_task(task, data=data)
    total = bad = 0
    known: dict[str, Question] = {}
    for name in [split] if split else found.splits:
        questions = found.load(name)
        tell_apart(questions, known)
        total += len(questions)
        for one in misread(found, questions):
            bad += 1
            say(one.line())
    if bad:
        raise DataError(f"task {found.name!r}: {bad} of {total} gold answers are not read back as right")
    say(f"task {found.name!r}: all {total} gold answers are read back as right")


def contamination_command(
    file: Annotated[Path, typer.Argument(help="Lessons or other training texts, as .jsonl, .csv or .parquet.")],
    task: Annotated[str, typer.Option("--task", help="Whose questions must not be in it.")],
    split: Annotated[str, typer.Option("--split")] = "test",
    field: Annotated[str, typer.Option("--field", help="The text that is compared.")] = "prompt",
    shown: Annotated[int, typer.Option("--show", min=0, help="How many findings to show.")] = 20,
    data: Data = None,
) -> None:
    """Say which training texts share what with held-out questions: the same text, template or 13 words in a row."""
    held_out = HeldOut(find_task(task, data=data).load(split))
    left = shown

    def texts() -> Iterator[tuple[str, str]]:
        nonlocal left
        for where, row in stream_rows(file):
            if not isinstance(row.get(field), str):
                raise DataError(f"{where}: no text in the field {field!r}; {nearest(field, row)}")
            found = held_out.overlap(row[field])
            if found and left:
                left -= 1
                say(f"{where}: {found.kind} as {found.question}: {found.text}")
            yield where, row[field]

    say(find_overlaps(texts(), held_out).line())
