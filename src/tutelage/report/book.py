"""A run's directory, finished or not, as one thing to report on."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from tutelage import recipes
from tutelage.config import read_yaml
from tutelage.models.metered import Spent
from tutelage.parsing import Unreadable, json_value
from tutelage.redaction import redacted
from tutelage.runs import records
from tutelage.runs.run import is_held
from tutelage.types import Attempt, Feedback, Lesson, Question

State = Literal["running", "finished", "stopped", "failed"]
Role = Literal["student", "baseline", "teacher"]
RecordType = TypeVar("RecordType", bound=msgspec.Struct)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run."""

    name: str
    folder: Path
    whole: bool
    inputs: dict[str, Any]
    seconds: float = 0.0
    note: str = ""  # the number that matters of it

    @property
    def round(self) -> int | None:
        """The round a step belongs to, by its name."""
        found = re.match(r"(\d+)-", self.name)
        return int(found[1]) if found else None


class Sitting(msgspec.Struct, frozen=True, kw_only=True):
    """One exam of a run: who sat it and what came of it."""

    step: str
    title: str
    role: Role
    after: int | None  # the student as it was after this round; 0: as it came
    whole: bool
    attempts: list[Attempt]


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished training noted about itself."""

    step: str
    facts: dict[str, Any]


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report says of one run."""

    path: Path
    name: str
    state: State
    error: str
    config: dict[str, Any]
    facts: dict[str, Any]  # run.json
    tick: dict[str, Any]  # the last sign of progress
    steps: list[Step]
    sittings: list[Sitting]
    titles: dict[str, str]  # of the exams of the final table, by step
    questions: dict[str, Question]
    lessons: list[Lesson]
    feedback: dict[str, list[Feedback]]  # by step
    trainings: list[Training]
    spent: list[Spent]
    events: list[dict[str, Any]]

    def exams(self) -> dict[str, list[Attempt]]:
        """The whole exams of the final table by their titles, in the order to be read."""
        sat = {sitting.step: sitting.attempts for sitting in self.sittings if sitting.whole and sitting.attempts}
        return {title: sat[step] for step, title in self.titles.items() if step in sat}

    def missing(self) -> list[str]:
        """Exams of the final table that are not there, of a run that is not finished."""
        there = self.exams()
        return [] if self.state == "finished" else [title for title in self.titles.values() if title not in there]


def open_runs(paths: Sequence[Path]) -> list[Book]:
    """Several runs; where two folders have one name, each goes by its whole path."""
    runs = [open_run(path) for path in paths]
    names = [run.name for run in runs]
    return [msgspec.structs.replace(run, name=str(run.path)) if names.count(run.name) > 1 else run for run in runs]


def open_run(path: Path) -> Book:
    """Read a run's directory. Nothing in it is changed, so that it may belong to a run that is working."""
    titles = recipes.titles(path)  # or the error that it is no run
    # What earlier versions have kept may hold secrets.
    config = redacted(read_yaml(path / "config.yaml"))
    events = redacted(records.rows(path / "events.jsonl"))
    steps = _steps(path, events)
    state, error = _state(path, events)
    return Book(
        path=path,
        name=path.resolve().name,
        state=state,
        error=error,
        config=config,
        facts=redacted(_json(path / "run.json")),
        tick=_json(path / "progress.json"),
        steps=steps,
        sittings=[_sitting(step, titles) for step in steps if "paper" in step.inputs],
        titles=titles,
        questions={question.id: question for question in records.so_far(path / "questions.jsonl", Question)},
        lessons=[lesson for step in steps if _holds_lessons(step) for lesson in _records(step, Lesson)],
        feedback={step.name: _records(step, Feedback) for step in steps if "chats" in step.inputs},
        trainings=[
            Training(step=step.name, facts=facts)
            for step in steps
            if (facts := _json(step.folder / "facts.json")).get("losses")
        ],
        spent=records.so_far(path / "calls.jsonl", Spent),
        events=events,
    )


def _state(path: Path, events: list[dict[str, Any]]) -> tuple[State, str]:
    ends = ("done", "failed", "stopped", "session")
    last: dict[str, Any] = next((event for event in reversed(events) if event["event"] in ends), {})
    if is_held(path):
        return "running", ""
    if last.get("event") == "done":
        return "finished", ""
    return ("failed", str(last["error"])) if last.get("event") == "failed" else ("stopped", "")


def _steps(path: Path, events: list[dict[str, Any]]) -> list[Step]:
    """Finished steps and drafts, in the order they were begun."""
    begun: dict[str, int] = {}
    notes: dict[str, str] = {}
    for place, event in enumerate(events):
        if event["event"] in ("started", "reused"):
            begun.setdefault(event["step"], place)
        elif event["event"] == "note":
            notes[event["step"]] = event["line"]
    found = []
    for folder in path.iterdir():
        note = _json(folder / "step.json") if folder.is_dir() else {}
        if note and folder.suffix in ("", ".draft"):
            name = folder.name.removesuffix(".draft")
            seconds, whole = float(note.get("seconds", 0)), folder.suffix == ""
            line = notes.get(name, "") if whole else ""
            found.append(Step(name=name, folder=folder, whole=whole, inputs=note["inputs"], seconds=seconds, note=line))
    return sorted(found, key=lambda step: (begun.get(step.name, len(events)), step.name))


# Who sits the exams that belong to no round: the student as it came, without the method, or its teacher.
_ALONE: dict[str, tuple[Role, int | None]] = {
    "zero_shot": ("student", 0),
    "zero_shot_cot": ("baseline", 0),
    "few_shot_cot": ("baseline", 0),
    "fine_tune": ("baseline", None),
    "finetune_cot": ("student", 1),
    "exam": ("student", 0),
    "teacher": ("teacher", None),
    "rationales": ("teacher", None),
}


# What a round's exams are on, and how many rounds of teaching lie behind the student who sits them.
_IN_A_ROUND = {
    "exam": ("training questions", -1),
    "review": ("taught questions again", 0),
    "dev": ("dev questions", 0),
    "test": ("test questions", 0),
}


def _sitting(step: Step, titles: Mapping[str, str]) -> Sitting:
    role, after = _ALONE.get(step.name, ("baseline", None))
    title = titles.get(step.name, step.name)
    if step.round is not None:
        name = step.name.partition("-")[2]
        what, behind = _IN_A_ROUND.get(name, (f"teacher's {name} in round {step.round}", None))
        role, after = ("teacher", None) if behind is None else ("student", step.round + behind)
        title = titles.get(step.name) or (what if after is None else f"{what}, {student(after)}")
    attempts = _records(step, Attempt)
    return Sitting(step=step.name, title=title, role=role, after=after, whole=step.whole, attempts=attempts)


def student(after: int) -> str:
    """Which of a run's students it is."""
    return f"after round {after}" if after else "as it came"


def _holds_lessons(step: Step) -> bool:
    return (step.folder / "records.jsonl").exists() and not {"paper", "chats"} & step.inputs.keys()


def _records(step: Step, kind: type[RecordType]) -> list[RecordType]:
    return records.so_far(step.folder / "records.jsonl", kind)


def _json(file: Path) -> dict[str, Any]:
    try:
        loaded = json_value(file.read_bytes())
    except (OSError, Unreadable):
        return {}
    return loaded if isinstance(loaded, dict) else {}
