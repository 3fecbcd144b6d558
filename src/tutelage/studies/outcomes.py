"""What a study keeps of a finished run: its exams, verdict by verdict, and its bill, in a few kilobytes and without weights."""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from tutelage.arithmetic import has_sums, worked_out
from tutelage.config import setting
from tutelage.errors import RunError
from tutelage.grading.verdicts import judged
from tutelage.regular import read_regular
from tutelage.runs.files import write_file
from tutelage.runs.history import ExamView, RunHistory, open_run
from tutelage.runs.inputs import digest_inputs, question_key
from tutelage.studies.bill import Cost, bill_of
from tutelage.tasks.task import Task
from tutelage.types import Attempt, JsonObject, Question

FORMAT = 1
Stored = TypeVar("Stored", bound=Struct)


class Asked(Struct, frozen=True, kw_only=True):
    """The questions of an exam, kept once for all runs that asked them."""

    ids: tuple[str, ...]
    keys: tuple[str, ...]  # a digest of each question's text: the same question is the same under every seed
    kinds: tuple[str, ...]  # the template of each, "" without one

    @property
    def digest(self) -> str:
        """The name of this set of questions."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


class KeptExam(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exam of a student: a letter an attempt (r right, w wrong, u unread), sample after sample in the questions' order."""

    step: str
    title: str
    who: str
    round: int | None
    split: str
    promised: bool  # whether it is in the run's final table
    asked: str  # the digest of its questions
    samples: int
    verdicts: str
    strict: str
    worked_out: str = ""  # verdicts with the sums of each answer worked out rightly; "" where none holds sums
    tokens: float = 0.0  # written an attempt
    truncated: int = 0
    failed: int = 0


def finals_of(exams: Iterable[KeptExam]) -> list[KeptExam]:
    """The exams of the final table that taught students sat."""
    return [exam for exam in exams if exam.promised and exam.who == "student" and exam.round != 0]


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished run of a study, as it is kept."""

    format: int
    identity: str  # digest of the config that it was made from
    student: str  # the step of the exam that the run's student sat
    last: str  # the step of the exam that its last student sat
    dev: str = ""  # the exam on dev questions of the run's student
    why: str = ""  # it was chosen
    exams: tuple[KeptExam, ...] = ()
    bill: tuple[Cost, ...] = ()
    seconds: float = 0.0  # of all steps that were made for it, those it shares among them
    own_seconds: float = 0.0  # of those that were made in it
    machine: JsonObject = {}
    versions: JsonObject = {}
    grader: str = ""
    warnings: tuple[str, ...] = ()
    taught: tuple[str, ...] = ()  # the kinds of question that its lessons are about
    made: str = ""  # a digest of what all of its steps were made from

    @property
    def finals(self) -> list[KeptExam]:
        """The exams of the final table that taught students sat."""
        return finals_of(self.exams)

    @property
    def final(self) -> KeptExam:
        """The exam that the run's student sat in the end."""
        return next(exam for exam in self.exams if exam.step == self.student)

    def exam(self, step: str) -> KeptExam | None:
        """An exam by its step."""
        return next((exam for exam in self.exams if exam.step == step), None)


def outcome_of(path: Path, task: Task, identity: str) -> tuple[Outcome, list[Asked]]:
    """What is kept of a finished run, and the questions of its exams."""
    run = open_run(path)
    sat = [view for view in run.exam_views if view.whole and view.attempts and view.label.kind == "exam"]
    on_dev = str(setting(run.config, "questions.dev") or "dev")
    asked = {view.step: _asked(run, view) for view in sat if view.step in run.promised or view.label.split == on_dev}
    exams = [_kept(run, view, task, asked[view.step]) for view in sat if view.step in asked]
    final = finals_of(exams)
    if not final:
        raise RunError(
            f"{path} sat no exam of its final table with the student that it taught: nothing can be compared"
        )
    last = max(final, key=lambda exam: exam.round or 0)
    awarded = run.student()
    view = run.exam_of(awarded) if awarded else None
    student = next((exam for exam in final if view and exam.step == view.step), last)
    dev = _dev_exam(run, exams, student)
    reused = {event["step"] for event in run.events if event["event"] == "reused" and "run" in event}
    taught = {run.questions[one.question].template for one in run.lessons if one.question in run.questions}
    outcome = Outcome(
        format=FORMAT,
        identity=identity,
        student=student.step,
        last=last.step,
        dev=dev.step if dev else "",
        why=next((step.note for step in run.of("award")), ""),
        exams=tuple(exams),
        bill=tuple(bill_of(run)),
        seconds=round(sum(step.seconds for step in run.steps), 1),
        own_seconds=round(sum(step.seconds for step in run.steps if step.name not in reused), 1),
        machine=run.facts.get("machine", {}),
        versions=run.facts.get("versions", {}),
        grader=str(run.facts.get("grader", "")),
        taught=tuple(sorted(taught - {""})),
        made=digest_inputs({step.name: step.inputs for step in run.steps}),
        warnings=tuple(str(event.get("line", "")) for event in run.events if event["event"] == "warning"),
    )
    return outcome, list(asked.values())


def _dev_exam(run: RunHistory, exams: Sequence[KeptExam], student: KeptExam) -> KeptExam | None:
    """The exam of the run's student on the questions that chose it."""
    split = str(setting(run.config, "questions.dev") or "dev")
    same = [exam for exam in exams if exam.split == split and exam.round == student.round and not exam.promised]
    return same[-1] if same and split != student.split else None


def _asked(run: RunHistory, view: ExamView) -> Asked:
    asked = {attempt.question for attempt in view.attempts}
    # In the order of the run's questions: attempts are in that in which a model ended them, and the same set is to be kept once.
    ids = tuple(name for name in run.questions if name in asked) + tuple(sorted(asked - run.questions.keys()))
    known = [run.questions.get(name) for name in ids]
    return Asked(
        ids=ids,
        keys=tuple(question_key(one, name) for one, name in zip(known, ids, strict=True)),
        kinds=tuple(one.template if one else "" for one in known),
    )


def _kept(run: RunHistory, view: ExamView, task: Task, asked: Asked) -> KeptExam:
    order = {name: place for place, name in enumerate(asked.ids)}
    attempts = sorted(view.attempts, key=lambda attempt: (order[attempt.question], attempt.sample))
    return KeptExam(
        step=view.step,
        title=view.title,
        who=view.label.who,
        round=view.label.round,
        split=view.label.split,
        promised=view.step in run.promised,
        asked=asked.digest,
        samples=len(attempts) // len(asked.ids),
        verdicts="".join(attempt.verdict[0] for attempt in attempts),
        strict="".join(attempt.strict[0] for attempt in attempts),
        worked_out=_worked_out(attempts, run.questions, task),
        tokens=round(sum(attempt.tokens_out for attempt in attempts) / len(attempts), 2),
        truncated=sum(attempt.truncated for attempt in attempts),
        failed=sum(bool(attempt.error) for attempt in attempts),
    )


def _worked_out(attempts: Sequence[Attempt], questions: Mapping[str, Question], task: Task) -> str:
    """The verdicts of the answers with their sums worked out rightly; empty where none holds sums."""
    if task.kind != "number" or not any(has_sums(attempt.text) for attempt in attempts):
        return ""
    letters = []
    for attempt in attempts:
        mended = worked_out(attempt.text)
        question = questions.get(attempt.question)
        if mended == attempt.text or question is None or attempt.answer_text:
            letters.append(attempt.verdict[0])
        else:
            letters.append(judged(task, question, mended).verdict[0])
    return "".join(letters)


class OutcomeStore:
    """The folder of a study's outcomes, from which another machine goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._asked: dict[str, Asked] = {}
        self._names: dict[str, list[str]] = {}
        self._outcomes: dict[Path, Outcome] = {}

    def put(self, place: Path, outcome: Outcome, asked: Sequence[Asked]) -> None:
        """Keep one outcome; the questions first, so that none is there without them."""
        for one in asked:
            file = self._asked_file(one.digest)
            if not file.exists():
                _write(file, one)
        _write(self.file(place), outcome)
        self._outcomes[place] = outcome

    def get(self, place: Path) -> Outcome | None:
        """One outcome; None where there is none."""
        file = self.file(place)
        if place not in self._outcomes and file.exists():
            found = _read(file, Outcome)
            if found.format > FORMAT:
                raise RunError(
                    f"{file} is of a newer version of tutelage (format {found.format}); this one reads {FORMAT}"
                )
            # Without its questions an outcome cannot be read: it is not there.
            if all(self._asked_file(exam.asked).exists() for exam in found.exams):
                self._outcomes[place] = found
        return self._outcomes.get(place)

    def drop(self, place: Path) -> None:
        """Keep one outcome no longer."""
        self._outcomes.pop(place, None)
        self.file(place).unlink(missing_ok=True)

    def asked(self, digest: str) -> Asked:
        """A set of questions by its digest."""
        if digest not in self._asked:
            self._asked[digest] = _read(self._asked_file(digest), Asked)
        return self._asked[digest]

    def names(self, digest: str) -> list[str]:
        """A name for each question of a set: the same under every seed, and two for two questions of one text."""
        if digest not in self._names:
            seen: Counter[str] = Counter()
            for key in self.asked(digest).keys:
                seen[key] += 1
                self._names.setdefault(digest, []).append(f"{key}/{seen[key]}")
        return self._names[digest]

    def _asked_file(self, digest: str) -> Path:
        return self.folder / "questions" / f"{digest}.json.gz"

    def file(self, place: Path) -> Path:
        """Where an outcome is kept."""
        return self.folder / place.with_name(f"{place.name}.json.gz")


def _write(file: Path, one: Struct) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, gzip.compress(msgspec.json.encode(one), mtime=0), shared=True)


def _read(file: Path, kind: type[Stored]) -> Stored:
    try:
        return msgspec.json.decode(gzip.decompress(read_regular(file)), type=kind)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise RunError(
            f"{file} is nothing that a study keeps: {error}; delete it, and the runs that need it are made again"
        ) from None
