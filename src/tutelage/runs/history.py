"""A run as its folder tells it, finished or not: the one reader of events, steps and labels. It needs no recipe."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from tutelage.config import read_yaml
from tutelage.errors import RunError
from tutelage.redaction import redacted
from tutelage.runs import labels, records
from tutelage.runs.folder import is_held
from tutelage.runs.inputs import names_of
from tutelage.runs.reading import Reader
from tutelage.types import Attempt, Feedback, JsonObject, Label, Lesson, Question, Spent

SAT = ("exam", "review", "rationales", "votes")  # the kinds of step that hold graded answers
_RECORDS: JsonObject = {**dict.fromkeys((*SAT, "forgetting"), Attempt), "lessons": Lesson, "feedback": Feedback}
State = Literal["running", "finished", "stopped", "failed"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run."""

    name: str
    folder: Path
    whole: bool
    inputs: JsonObject
    label: Label
    seconds: float = 0.0
    note: str = ""  # the number that matters of it

    def facts(self) -> JsonObject:
        """What a training or an award noted about itself."""
        return Reader(self.folder.parent).mapping(self.folder / "facts.json")


class ExamView(msgspec.Struct, frozen=True, kw_only=True):
    """One exam of a run: who sat it and what came of it."""

    step: str
    label: Label
    whole: bool
    attempts: list[Attempt]

    @property
    def title(self) -> str:
        """The name a reader knows it by."""
        return self.label.title or self.step


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished training noted about itself."""

    step: str
    facts: JsonObject


class RunHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known of one run."""

    path: Path
    name: str
    state: State
    error: str
    config: JsonObject
    facts: JsonObject  # run.json
    tick: JsonObject  # the last sign of progress
    steps: list[Step]
    exam_views: list[ExamView]
    elsewhere: list[ExamView]  # exams about another task
    promised: dict[str, Label]  # the exams of the final table, by step, in the order to be read
    questions: dict[str, Question]
    lessons: list[Lesson]
    feedback: dict[str, list[Feedback]]  # by step
    trainings: list[Training]
    spent: list[Spent]
    events: list[JsonObject]
    unread: list[str]  # what of the folder could not be read, and is left out

    def of(self, kind: str) -> list[Step]:
        """The steps of a kind, in the order they were begun."""
        return [step for step in self.steps if step.label.kind == kind]

    def exams(self) -> dict[str, list[Attempt]]:
        """The whole exams of the final table by their titles, in the order to be read."""
        sat = {sitting.step: sitting.attempts for sitting in self.exam_views if sitting.whole and sitting.attempts}
        return {label.title or step: sat[step] for step, label in self.promised.items() if step in sat}

    def missing(self) -> list[str]:
        """Exams of the final table that are not there, of a run that is not finished."""
        there, titles = self.exams(), [label.title or step for step, label in self.promised.items()]
        return [] if self.state == "finished" else [title for title in titles if title not in there]

    def notes(self, step: str) -> list[str]:
        """What was said of a step, each line once."""
        said = (event for event in self.events if event["event"] == "note" and event.get("step") == step)
        return list(dict.fromkeys(str(event.get("line", "")) for event in said))

    def student(self) -> Step | None:
        """The run's student: the one it was awarded to be, else the last that was trained with the method."""
        trained = [step for step in self.of("training") if step.label.who == "student"]
        made = [step for step in (self.of("award") or trained[-1:]) if step.whole]
        return made[-1] if made else None

    def exam_of(self, student: Step) -> ExamView | None:
        """The exam of the final table that a student sat."""
        names = names_of(student.name, student.inputs)
        sat = {sitting.step: sitting for sitting in self.exam_views if sitting.whole}
        asked = {step.name: step.inputs.get("model") for step in self.steps}
        ours = (step for step in self.promised if step in sat)
        return next((sat[step] for step in ours if _checkpoint(asked[step]) in names), None)


def _checkpoint(model: object) -> str | None:
    name = model.get("checkpoint") if isinstance(model, Mapping) else None
    return name if isinstance(name, str) else None


def open_runs(paths: Sequence[Path]) -> list[RunHistory]:
    """Several runs; where two folders have one name, each goes by its whole path."""
    runs = [open_run(path) for path in paths]
    names = [run.name for run in runs]
    return [msgspec.structs.replace(run, name=str(run.path)) if names.count(run.name) > 1 else run for run in runs]


class _Outline(NamedTuple):
    """A run without its records."""

    look: Reader
    config: JsonObject
    facts: JsonObject
    events: list[JsonObject]
    promised: dict[str, Label]
    steps: list[Step]


def _outline(path: Path) -> _Outline:
    if not (path / "config.yaml").exists():
        parent = f"; its run is {path.parent}" if (path.parent / "config.yaml").exists() else ""
        raise RunError(f"{path} is not a run: it holds no config.yaml{parent}")
    look = Reader(path)
    # What earlier versions have kept may hold secrets.
    config, facts = redacted(read_yaml(path / "config.yaml")), redacted(look.facts(path / "run.json"))
    events: list[JsonObject] = redacted(look.events(path / "events.jsonl"))
    promised = _promised(look, facts, config)
    return _Outline(look, config, facts, events, promised, _steps(look, events, promised, config))


def open_run(path: Path) -> RunHistory:
    """Read a run's directory. Nothing in it is changed, so that it may belong to a run that is working."""
    look, config, facts, events, promised, steps = _outline(path)
    kept = {step.name: look.records(step.folder / "records.jsonl", _RECORDS[step.label.kind]) for step in steps if step.label.kind in _RECORDS}  # fmt: skip
    told = {step.name: look.training(step.folder / "facts.json") for step in steps}
    state, error = _state(look, events)
    return RunHistory(
        path=path,
        name=path.resolve().name,
        state=state,
        error=error,
        config=config,
        facts=facts,
        tick=look.tick(path / "progress.json"),
        steps=steps,
        exam_views=_views(steps, kept, SAT),
        elsewhere=_views(steps, kept, ("forgetting",)),
        promised=promised,
        questions={question.id: question for question in look.records(path / "questions.jsonl", Question)},
        lessons=[lesson for step in steps if step.label.kind == "lessons" for lesson in kept[step.name]],
        feedback={step.name: kept[step.name] for step in steps if step.label.kind == "feedback"},
        trainings=[Training(step=step, facts=facts) for step, facts in told.items() if facts],
        spent=look.spent(path / "calls.jsonl"),
        events=events,
        unread=look.unread,
    )


def _views(steps: list[Step], kept: JsonObject, kinds: tuple[str, ...]) -> list[ExamView]:
    return [
        ExamView(step=step.name, label=step.label, whole=step.whole, attempts=kept[step.name])
        for step in steps
        if step.label.kind in kinds
    ]


def steps(path: Path) -> list[Step]:
    """The steps of a run in the order they were begun, without what they hold."""
    return _outline(path).steps


class Sat(NamedTuple):
    """A finished exam as its file holds it, which is refused where a line of it cannot be read."""

    title: str
    label: Label
    file: Path
    attempts: list[Attempt]


def sat(path: Path) -> list[Sat]:
    """The finished exams of a run, or the one exam of a step's folder."""
    if os.path.lexists(path / "records.jsonl") and not (path / "config.yaml").exists():
        return [_sat("exam", _label_at(path), path)]
    run = _outline(path)  # each exam's records are read below, and no others
    whole = {step.name: step.folder for step in run.steps if step.whole}
    return [_sat(label.title or step, label, whole[step]) for step, label in run.promised.items() if step in whole]


def exams(path: Path) -> dict[str, list[Attempt]]:
    """The finished exams of a run by their titles, or the one exam of a step's folder."""
    return {one.title: one.attempts for one in sat(path)}


def questions(path: Path) -> dict[str, Question]:
    """The questions that a run asked, by id; of an exam's folder, those of its run. Empty where they are not there."""
    run = path if (path / "config.yaml").exists() else path.parent
    return {question.id: question for question in Reader(run).records(run / "questions.jsonl", Question)}


def _sat(title: str, label: Label, folder: Path) -> Sat:
    file = folder / "records.jsonl"
    attempts = records.read_records(file, Attempt)
    if not attempts:
        raise RunError(f"{file} holds no records: it was emptied since it was written")
    return Sat(title, label, file, attempts)


def _label_at(folder: Path) -> Label:
    """What a step's folder is, where its run can be told."""
    if (folder.parent / "config.yaml").exists():
        steps = {step.name: step.label for step in _outline(folder.parent).steps}
        return steps.get(folder.resolve().name, Label())
    return Label()


def _promised(look: Reader, facts: Mapping[str, object], config: Mapping[str, object]) -> dict[str, Label]:
    told = facts.get("promised")
    if not isinstance(told, Mapping):
        return labels.promised_by_0_1(config)
    found = {step: labels.read_label(one) for step, one in told.items()}
    if odd := [step for step, label in found.items() if label is None]:
        look.leave_out(look.path / "run.json", f"the label that it promises of {', '.join(odd)} is none")
    return {step: label for step, label in found.items() if label is not None}


def _state(look: Reader, events: list[JsonObject]) -> tuple[State, str]:
    ends = ("done", "failed", "stopped", "session")
    last: JsonObject = next((event for event in reversed(events) if event["event"] in ends), {})
    if _works(look):
        return "running", ""
    if last.get("event") == "done":
        return "finished", ""
    return ("failed", str(last.get("error", ""))) if last.get("event") == "failed" else ("stopped", "")


def _works(look: Reader) -> bool:
    """Whether a process is working in the run."""
    try:
        return is_held(look.path)
    except OSError as error:
        look.leave_out(look.path / ".lock", error.strerror or error)
        return False


def _steps(
    look: Reader, events: list[JsonObject], promised: Mapping[str, Label], config: Mapping[str, object]
) -> list[Step]:
    """Finished steps and drafts, in the order they were begun."""
    begun: dict[str, int] = {}
    notes: dict[str, str] = {}
    for place, event in enumerate(events):
        if event["event"] in ("started", "reused"):
            begun.setdefault(event["step"], place)
        elif event["event"] == "note":
            notes[event["step"]] = event["line"]
    found = []
    for folder in sorted(look.path.iterdir()):
        name, whole = folder.name.removesuffix(".draft"), folder.suffix == ""
        note = look.step(folder) if folder.suffix in ("", ".draft") and folder.is_dir() else {}
        if note:
            own = labels.read_label(note["label"]) if "label" in note else None
            if own is None and "label" in note:
                look.leave_out(folder / "step.json", "its label is none; what the step is, is guessed by its name")
            found.append(
                Step(
                    name=name,
                    folder=folder,
                    whole=whole,
                    inputs=note["inputs"],
                    label=promised.get(name) or own or labels.guessed(name, note["inputs"], config),
                    seconds=note["seconds"],
                    note=notes.get(name, "") if whole else "",
                )
            )
    return sorted(found, key=lambda step: (begun.get(step.name, len(events)), step.name))
