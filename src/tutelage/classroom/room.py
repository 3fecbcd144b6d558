"""The classroom: where a task, models, verbs and a run directory meet, so that recipes can read like algorithms."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tutelage import exam
from tutelage.classroom.buying import Buying, as_far_as
from tutelage.classroom.conditions import Conditions
from tutelage.classroom.handing import Means, hand_over
from tutelage.classroom.opened import Account, OpenModels
from tutelage.classroom.reader import TaskReader
from tutelage.classroom.remarks import of_exam, of_replies, of_training
from tutelage.config import cache_folder
from tutelage.errors import LessonError
from tutelage.importing import code_digest
from tutelage.lessons import feedback, rationales
from tutelage.lessons.kept import Kept
from tutelage.lessons.replies import why_no_lesson
from tutelage.lessons.trial import Bounds, Trial, first_and_rest, groups_of, loss_of
from tutelage.models import FREE, LOCAL, specs
from tutelage.models.answering import answers_of
from tutelage.models.local import streaming
from tutelage.runs import labels
from tutelage.runs.files import link
from tutelage.runs.inputs import asked, content, in_order
from tutelage.runs.replies import default_path
from tutelage.runs.run import Run
from tutelage.tasks.auditing import audit
from tutelage.tasks.task import Task, subset
from tutelage.training.job import TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import Attempt, Chat, Checkpoint, Feedback, Label, Lesson, Model, Question, Sampling

Who = str | Mapping[str, Any] | Checkpoint
RecordType = TypeVar("RecordType", bound=msgspec.Struct)


class Classroom:
    """Everything with an effect that a recipe uses: questions, models, the run, and one line a finished step."""

    def __init__(
        self,
        run: Run,
        task: Task,
        seed: int = 0,
        means: Means = Means(),  # noqa: B008 - immutable
        promised: labels.Labels | None = None,
    ) -> None:
        self.run = run
        self.promised = promised or {}  # the exams of the final table, by step
        self.task = task
        self.seed = seed
        self._step = ""  # that asks, for the ledger
        self._asked: dict[str, Question] = {}  # by id: what the offline teacher works from
        self.launcher = means.launcher
        account = Account(means.cache or default_path(), means.budget, lambda: self._step)
        self._models = OpenModels(run, TaskReader(task, self._asked), account, means.launcher)
        self._conditions = Conditions(run)
        self.buying = Buying(means.budget.until)  # the bill of the lessons, where it has a limit

    def questions(self, split: str, limit: int | None = None) -> list[Question]:
        """The questions of a split, or a fixed subset; their gold answers are audited before anything is spent."""
        chosen = self.drawn(split, limit)
        fresh = [question for question in chosen if question.id not in self._asked]
        self._asked |= {question.id: question for question in fresh}
        self.run.know(chosen)
        return chosen

    def drawn(self, split: str, limit: int | None = None) -> list[Question]:
        """The same, of which the run keeps nothing: questions that are asked beside its own."""
        chosen = subset(self.task.load(split), limit)
        audit(self.task, chosen)
        return chosen

    def on(self, task: Task) -> "Classroom":
        """The same room, in which exams are about another task; the names of its steps, and all else, are shared."""
        other = copy.copy(self)
        other.task = task
        return other

    def open(self, who: Who) -> Model:
        """A model from its spec or checkpoint. Services stay open; of weights on this machine one spec at a time is kept."""
        return self._models.get(self._spec(who))

    def check(self, *everybody: Who) -> None:
        """Open every model of a recipe once, so that a missing one is found before work begins."""
        for who in everybody:
            self.open(who)

    def check_room(self, who: Who, questions: Sequence[Question], *setups: exam.ExamSetup) -> None:
        """Whether a local model can hold the questions of its exams, before anything is paid for."""
        for setup in setups:
            chats = exam.put(self.task, questions, setup)
            streaming.check_room(self.open(who), chats, setup.sampling, setup.form == "taught")

    def sit(
        self,
        step: str,
        who: Who,
        questions: Sequence[Question],
        setup: exam.ExamSetup,
        trial: Trial | None = None,
        label: Label | None = None,
    ) -> list[Attempt]:
        """One exam, as a step: attempts in the order of the questions.

        With a trial its first replies are asked for alone, and looked at before the rest is. `label` says what it is to
        whoever reads the run; an exam that the recipe promised has its label already.
        """
        kinds = specs.kinds_in(self._spec(who))
        own = label or self.promised.get(step) or self._label("exam", step, who, questions)
        buying = self.buying if own.kind in ("rationales", "votes") else Buying(None)

        def make(kept: list[Attempt]) -> Iterable[Attempt]:
            self._step = step
            total = len(questions) * setup.sampling.n
            seen = Counter(attempt.verdict for attempt in kept)
            self.run.show(event="progress", step=step, done=len(kept), of=total)
            tried = None if kinds <= FREE else trial
            plain = first_and_rest(questions, tried, setup.sampling.n)
            parts = buying.parts(questions, lambda question: question.id, kept) if buying.until else plain
            model = self.open(who)
            sat = (attempt for part in parts for attempt in exam.sit(model, self.task, part, setup, kept))
            for attempt in kept if tried else ():
                tried.look(loss_of(attempt))  # type: ignore[union-attr]
            for done, attempt in enumerate(sat, len(kept) + 1):
                seen[attempt.verdict] += 1
                marks = {"right": seen["right"], "unread": seen["unread"]}
                self.run.show(event="progress", step=step, done=done, of=total, **marks)
                self._conditions.note(step, model)
                kept.append(attempt)
                yield attempt
                if tried:
                    tried.look(loss_of(attempt))
            self._conditions.sum_up(step, model)

        inputs = {"model": self._identity(who), "task": self._task(), "questions": content(questions), "paper": setup}
        attempts = self.run.records(step, Attempt, make, {**inputs, **buying.inputs()}, own)
        limited = buying.until is not None
        in_order(self.run.path / step / "records.jsonl", attempts, [question.id for question in questions], not limited)
        buying.count(attempts)
        left = len(questions) - len(names_in(attempts))
        self.note(step, of_exam(attempts, kinds) + buying.line(len(questions), left))
        return attempts

    def filter(
        self, step: str, attempts: Sequence[Attempt], questions: Sequence[Question], number: int = 0
    ) -> list[Lesson]:
        """The lessons of a round among a teacher's attempts, as a step."""
        kept = rationales.keep(attempts, self.task, questions, number)
        needed = self.buying.until is None or number <= 1  # what a bill buys later may be nothing
        return self.lessons(step, kept, {"attempts": list(attempts), "questions": content(questions)}, needed)

    def lessons(
        self, step: str, kept: Kept, inputs: Mapping[str, Any], needed: bool = True, who: str = "teacher"
    ) -> list[Lesson]:
        """Kept lessons as a step that was made from `inputs`; none at all is an error that says what became of them, if they are needed.

        `who` wrote them.
        """
        whole = {**inputs, "task": self._task()}
        number = max((lesson.round for lesson in kept.lessons), default=0) or labels.round_of(step) or 1
        label = Label(kind="lessons", who=who, round=number)
        made = self.run.records(step, Lesson, lambda done: kept.lessons[len(done) :], whole, label)
        self.note(step, kept.line())
        if needed and not made:
            raise LessonError(
                f"nothing is left to learn from: {kept.line()}; see the steps before {step!r} in {self.run.path}"
            )
        return made

    def ask_teacher(
        self,
        step: str,
        who: Who,
        chats: Sequence[Chat],
        sampling: Sampling,
        names: Mapping[str, tuple[str, ...]],
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
    ) -> list[Feedback]:
        """Ask a teacher for feedback, a chat a question, as a step; `names` are the attempts each chat shows.

        A chat that failed is a reply with an error. With a trial the first replies are looked at before the rest is asked for.
        """
        most = bounds.tokens
        tried = None if specs.kinds_in(self._spec(who)) <= FREE else bounds.trial

        def make(kept: list[Feedback]) -> Iterable[Feedback]:
            self._step = step
            have = names_in(kept)
            for had in kept if tried else ():
                tried.look(why_no_lesson(had))  # type: ignore[union-attr]
            plain = groups_of(chats, most is not None, tried)
            groups = self.buying.parts(chats, lambda chat: chat.question, kept) if self.buying.until else plain
            for group in groups if most is None else as_far_as(most, groups, kept):
                part = [chat for chat in group if chat.question not in have]
                model = self.open(who)
                for index, (reply, *_) in answers_of(model, part, sampling):
                    kept.append(feedback.written(part[index], reply, names))
                    self.run.show(event="progress", step=step, done=len(kept), of=len(chats))
                    self._conditions.note(step, model)
                    yield kept[-1]
                    if tried:
                        tried.look(why_no_lesson(kept[-1]))
            self._conditions.sum_up(step, self.open(who))

        inputs = {
            "model": self._identity(who),
            "task": self._task(),
            "chats": asked(chats),
            "sampling": sampling,
            "tokens": most,
            **self.buying.inputs(),
        }
        replies = self.run.records(step, Feedback, make, inputs, self._label("feedback", step, who))
        in_order(self.run.path / step / "records.jsonl", replies, [chat.question for chat in chats], needed=False)
        self.buying.count(replies)
        self.note(step, of_replies(replies, len(chats), most, self.buying.line))
        return replies

    def fit(
        self,
        step: str,
        student: Who,
        lessons: Sequence[Lesson],
        config: TrainingConfig,
        label: Label | None = None,
    ) -> Checkpoint:
        """Train a student on lessons, as a step; one that is no student of the method's has a label that says so."""

        def make(folder: Path) -> Mapping[str, Any]:
            self._models.free()  # training needs the memory
            job = TrainingJob(
                student={**self._spec(student), "cache": str(cache_folder())},
                settings=config.model_dump(mode="json"),
                seed=self.seed,
                folder=str(folder),
            )
            return hand_over(self.run, step, self.launcher, job, lessons)

        inputs = {
            "student": self._identity(student),
            "lessons": list(lessons),
            "training": config,
            "seed": self.seed,
            # What a name outside the package stands for may change; what it stood for when a student was trained decides.
            **({"code": {name: code_digest(name) for name in own}} if (own := config.own_objectives()) else {}),
        }
        whose = label or Label(kind="training", round=labels.round_of(step) or 1)
        checkpoint = self.run.artifact(step, make, inputs, whose)
        for line in of_training(self.run.facts(step)):
            self.note(step, line)
        opened = {option: value for option, value in self._spec(student).items() if option != "name"}
        return msgspec.structs.replace(checkpoint, spec=opened)

    def promote(self, step: str, checkpoint: Checkpoint, why: str) -> Checkpoint:
        """One of the students as the run's student, as a step; the files are shared where the disk allows it."""

        def make(folder: Path) -> Mapping[str, Any]:
            for file in Path(checkpoint.path).iterdir():
                if file.name not in ("step.json", "facts.json"):
                    link(file, folder / file.name)
            return {"why": why}

        awarded = self.run.artifact(step, make, {"student": checkpoint}, Label(kind="award"))
        self.note(step, why)
        return msgspec.structs.replace(awarded, spec=checkpoint.spec)

    def note(self, step: str, line: str, sign: bool = False) -> None:
        """Say the number that matters of a step; a `sign` is one of what teaching does to the student beside its accuracy."""
        self.run.say(event="note", step=step, line=line, **({"sign": True} if sign else {}))

    def close(self) -> None:
        """Let go of models and files; what teachers have in flight is awaited and kept, unless the user will not wait."""
        self._models.close()

    def _spec(self, who: Who) -> dict[str, Any]:
        return {"kind": "hf", **who.spec, "name": who.path} if isinstance(who, Checkpoint) else specs.parse(who)

    def _label(self, kind: str, step: str, who: Who, questions: Sequence[Question] = ()) -> Label:
        """What a step is that its recipe says nothing of: by who is asked, and by the round that its name begins with."""
        local = isinstance(who, Checkpoint) or bool(specs.kinds_in(self._spec(who)) & LOCAL.keys())
        role = "student" if isinstance(who, Checkpoint) else "baseline" if local else "teacher"
        return Label(kind=kind, who=role, round=labels.round_of(step), split=questions[0].split if questions else "")

    def _identity(self, who: Who) -> Any:
        return who if isinstance(who, Checkpoint) else specs.identity(self._spec(who))

    def _task(self) -> dict[str, Any]:
        return {"name": self.task.name, **self.task.options}


def names_in(rows: Sequence[Attempt | Feedback]) -> set[str]:
    """The questions that records are about."""
    return {row.question for row in rows}
