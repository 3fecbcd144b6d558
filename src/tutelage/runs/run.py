"""A run is a directory of finished steps: each is made once, and a killed run goes on where it was."""

import contextlib
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import msgspec
import yaml

from tutelage.config import differences, read_yaml
from tutelage.errors import Interrupted, RunError, TutelageError
from tutelage.parsing import json_file
from tutelage.redaction import redacted
from tutelage.regular import opened
from tutelage.runs import folder, labels
from tutelage.runs import records as lines
from tutelage.runs.files import write_file
from tutelage.runs.inputs import changed, digest_inputs, jsonable, made_from, object_of, tell_apart
from tutelage.runs.sharing import Beside, borrow
from tutelage.types import Checkpoint, JsonObject, Label, Question

RecordType = TypeVar("RecordType", bound=msgspec.Struct)
Listener = Callable[[JsonObject], None]
Identity = Callable[[Mapping[str, object]], Mapping[str, object]]


def _never() -> bool:
    return False


def _ignore(event: JsonObject) -> None:
    pass


class Run:
    """One run directory, held by one process at a time.

    `records` and `artifact` make a step in a draft folder and rename it when it is whole. A finished step with the
    same inputs is read back; with other inputs it is refused, and the error names the field that differs. A step that
    another run in `reuse` made from the same inputs is taken from there.
    """

    def __init__(
        self,
        path: Path,
        listener: Listener = _ignore,
        stopping: Callable[[], bool] = _never,
        reuse: Beside = Beside(),  # noqa: B008 - immutable
    ) -> None:
        self.path = path
        self.listener = listener
        self.stopping = stopping
        self.reuse = reuse
        self._lock: IO[str] | None = None
        self._ticked = 0.0
        self._known: dict[str, Question] = {}  # by id
        self._machine: JsonObject = {}  # this one
        self._began: dict[str, JsonObject] = {}  # step -> what its draft was made on before this session

    @classmethod
    def start(
        cls,
        path: Path,
        config: Mapping[str, object],
        facts: JsonObject,
        identity: Identity = dict,
        **callbacks: Any,
    ) -> Self:
        """Open a new or an interrupted run; `facts` (versions, machine, command, …) are written into run.json once.

        Of these `promised`, the labels of the exams that a recipe will have made in the end, goes with the config.
        `identity(config)` is the part of a config that must not change while a run goes on.
        """
        folder.make_folder(path)
        run = cls(path, **callbacks)
        run._lock = folder.hold(path)  # first: all below writes
        saved = path / "config.yaml"
        if saved.exists() and folder.begun(path):  # before anything is made nothing binds a run
            try:
                run._same_config(identity(read_yaml(saved)), identity(config))
            except TutelageError:
                run.close()
                raise
        elif not saved.exists():
            write_file(path / "run.json", json.dumps(facts, indent=1).encode())
        run._machine = facts.get("machine", {})
        run._note_machine()
        run._promise(facts.get("promised"))
        # After run.json: a folder with a config.yaml is a run, so one that was killed before this line begins anew.
        if not saved.exists() or read_yaml(saved) != dict(config):
            write_file(saved, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())
        if lines.mend(path / "events.jsonl"):
            run.warn("the last line of events.jsonl was torn by a crash, and is left out")
        run.say(event="session", command=facts.get("command"), what=facts.get("what", ""))
        return run

    def _promise(self, promised: object) -> None:
        """Keep what the final table will hold, which another config, or another version, may have changed."""
        file = self.path / "run.json"
        known = json_file(file)
        if promised is not None and known.get("promised") != promised:
            write_file(file, json.dumps({**known, "promised": promised}, indent=1).encode())

    def _note_machine(self) -> None:
        """Say so where a run goes on with other rounding than it began with."""
        began = object_of(self.path / "run.json", "machine")
        if other := differences(began, self._machine):
            self.warn(
                f"the run began on another machine or with other versions ({'; '.join(other)}): what is finished stays, and "
                "what is made from here on may be rounded otherwise than in a run that was not interrupted"
            )

    def settle(self, name: str, make: Callable[[], Any]) -> Any:
        """A choice that this machine makes for a run, such as its precision: made once, and kept in run.json."""
        file = self.path / "run.json"
        known = json_file(file)
        settled = object_of(file, "settled")
        if name not in settled:
            settled[name] = make()
            write_file(file, json.dumps({**known, "settled": settled}, indent=1).encode())
        return settled[name]

    def made_on(self, name: str, conditions: JsonObject) -> None:
        """Note what the rounding of a step in hand depends on; say so where it was begun under other conditions."""
        note = self.path / f"{name}.draft" / "step.json"
        known = json_file(note)
        began = self._began.setdefault(name, object_of(note, "made_on"))  # what an earlier session left
        if other := changed(began, conditions):
            self.warn(f"{name} was begun under other conditions ({'; '.join(other)}): answers can differ by rounding")
        lists = {key: began.get(key, []) for key, value in conditions.items() if isinstance(value, list)}
        both = {key: list(dict.fromkeys([*lists[key], *conditions[key]])) for key in lists}
        write_file(note, json.dumps({**known, "made_on": {**began, **conditions, **both}}).encode())

    def warn(self, line: str) -> None:
        """Say what may be wrong although nothing failed."""
        self.say(event="warning", line=line)

    def _same_config(self, saved: object, config: Mapping[str, object]) -> None:
        if differing := differences(saved, config):
            raise RunError(
                f"{self.path} was started with another config: {'; '.join(differing)}. "
                f"Choose another --into, or go on with the old one: tutelage run {shlex.quote(str(self.path / 'config.yaml'))}"
            )

    def close(self) -> None:
        """Let another process work in the directory."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def say(self, **event: object) -> None:
        """Append an event to events.jsonl and tell whoever listens."""
        event = {"time": round(time.time(), 3), **event}
        kept = redacted(json.loads(json.dumps(event, default=str)))
        with opened(self.path / "events.jsonl", "ab") as file:
            file.write(json.dumps(kept).encode() + b"\n")
        self.listener(event)

    def show(self, **event: object) -> None:
        """Tell whoever listens; on disk only the last such tick is kept, for `tutelage status`."""
        if event.get("event") == "progress" and time.monotonic() - self._ticked > 1:
            self._ticked = time.monotonic()
            write_file(
                self.path / "progress.json", json.dumps({"time": round(time.time(), 3), **event}).encode(), sync=False
            )
        self.listener(event)

    def know(self, questions: Sequence[Question]) -> None:
        """Keep the questions that are asked, each once, so that a report needs nothing but this folder.

        All that a run keeps names a question by its id, so two questions that share one are refused.
        """
        tell_apart(questions, self._known)
        file = self.path / "questions.jsonl"
        ids = {row.id for row in lines.recover(file, Question)}
        with opened(file, "ab") as kept:
            kept.writelines(lines.encode(row) for row in questions if row.id not in ids)

    def records(
        self,
        name: str,
        kind: type[RecordType],
        make: Callable[[list[RecordType]], Iterable[RecordType]],
        inputs: Mapping[str, object],
        label: Label | None = None,
    ) -> list[RecordType]:
        """Make a step of records, or read it back; `label` says what it is.

        `make(kept)` is given what an interrupted earlier try had written and yields the records still owed; each is
        on disk as soon as it is yielded.
        """
        with self._made(name, inputs, label) as draft:
            if draft is None:
                return lines.read_records(self.path / name / "records.jsonl", kind)
            file_path = draft / "records.jsonl"
            kept = lines.recover(file_path, kind)  # the whole lines that an interrupted try left
            with opened(file_path, "ab") as file:
                for record in make(list(kept)):
                    file.write(lines.encode(record))
                    file.flush()  # a killed process loses nothing; only a power cut could
                    kept.append(record)
                    self.check_stop(name)
                os.fsync(file.fileno())  # before the rename says that the step is whole
        return kept

    def artifact(
        self,
        name: str,
        make: Callable[[Path], Mapping[str, object]],
        inputs: Mapping[str, object],
        label: Label | None = None,
    ) -> Checkpoint:
        """Make a step that is a folder of files, such as a checkpoint, or find it again.

        `make(folder)` writes into the draft folder, which may hold what an interrupted try left, and returns facts
        for step.json. The checkpoint's digest is that of its inputs.
        """
        with self._made(name, inputs, label) as draft:
            if draft and not (draft / "facts.json").exists():  # else killed between the last write and the rename
                write_file(draft / "facts.json", json.dumps(dict(make(draft)), indent=1).encode())
        return Checkpoint(path=str(self.path / name), digest=digest_inputs({"step": name, **inputs}))

    def facts(self, name: str) -> JsonObject:
        """What an artifact step noted about itself."""
        return json_file(self.path / name / "facts.json")

    def check_stop(self, step: str) -> None:
        """Leave the run, everything kept, when the user has asked to stop."""
        if self.stopping():
            raise Interrupted(f"stopped in step {step}; what is finished is kept")

    @contextlib.contextmanager
    def _made(self, name: str, inputs: Mapping[str, object], label: Label | None) -> Iterator[Path | None]:
        """A folder in which a step is to be made; None where it is finished."""
        if self._finished(name, inputs):
            yield None
            return
        with self.reuse.alone(name, inputs, lambda: self.check_stop(name)):
            if other := self.reuse.lender(name, inputs):
                self._borrow(name, label, other)
                yield None
            else:
                with self._draft(name, inputs, label) as draft:
                    yield draft

    def _finished(self, name: str, inputs: Mapping[str, object]) -> bool:
        # A step's folder has its name only once it is whole (`_draft`), so that it is there is the proof that it is finished.
        note = self.path / name / "step.json"
        if not os.path.lexists(note):
            if os.path.lexists(note.parent):
                raise RunError(
                    f"{note.parent} is no step of this run, since it holds no step.json; move it elsewhere, and the step is made"
                )
            return False
        if differing := differences(made_from(note), jsonable(inputs)):
            raise RunError(
                f"step {name} of {self.path} was made from other inputs: {'; '.join(differing)}. "
                f"Choose another --into, or delete {self.path / name} and the steps after it to make them again"
            )
        self.say(event="reused", step=name)
        return True

    def _borrow(self, name: str, label: Label | None, other: Path) -> None:
        """Take a step that another run made from the same inputs."""
        borrow(other / name, self.path / name, labels.labelled(label))
        self.say(event="reused", step=name, run=str(other))
        if differing := changed(object_of(other / name / "step.json", "made_on"), self._machine):
            self.warn(
                f"{name} is taken from {other}, which made it under other conditions ({'; '.join(differing)}): made here it "
                "could be rounded otherwise"
            )

    @contextlib.contextmanager
    def _draft(self, name: str, inputs: Mapping[str, object], label: Label | None) -> Iterator[Path]:
        """A folder to work in that becomes the step when the block ends well."""
        draft = self.path / f"{name}.draft"
        note = draft / "step.json"
        wanted = {"step": name, **labels.labelled(label), "inputs": jsonable(inputs)}
        if os.path.lexists(draft) and not draft.is_dir():
            raise RunError(f"{draft} is no folder; move it elsewhere, and the step is made")
        if draft.exists() and (not note.exists() or made_from(note) != wanted["inputs"]):
            shutil.rmtree(draft)  # left by a run with other inputs: nothing in it can be used
        draft.mkdir(exist_ok=True)  # what is left of an interrupted try with these inputs is gone on with
        if not note.exists():
            write_file(note, json.dumps(wanted).encode())
        self.check_stop(name)
        self.say(event="started", step=name)
        begun = time.monotonic()
        yield draft  # where the block raises nothing below happens, and the draft stays
        seconds = round(time.monotonic() - begun, 2)
        write_file(note, json.dumps({**json_file(note), "seconds": seconds}, indent=1).encode())
        draft.rename(self.path / name)
        self.say(event="finished", step=name, seconds=seconds)
