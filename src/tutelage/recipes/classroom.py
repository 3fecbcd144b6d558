"""The classroom: where a task, models, verbs and a run directory meet, so that recipes can read like algorithms."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tutelage import exam, models, tasks
from tutelage.errors import LessonError
from tutelage.evaluation import scoreboard
from tutelage.lessons import rationales
from tutelage.store.cache import ReplyCache, cache_folder, default_path
from tutelage.store.run import Run
from tutelage.tasks.base import Task
from tutelage.training.config import TrainingConfig
from tutelage.types import Attempt, Checkpoint, Lesson, Model, Question

Who = str | Mapping[str, Any] | Checkpoint
RecordType = TypeVar("RecordType", bound=msgspec.Struct)


class Classroom:
    """Everything with an effect that a recipe uses: questions, models, the run, and one line a finished step."""

    def __init__(self, run: Run, task: Task, seed: int = 0, cache: Path | None = None) -> None:
        self.run = run
        self.task = task
        self.seed = seed
        self._cache_path = cache or default_path()
        self._replies: ReplyCache | None = None
        self._asked: dict[str, Question] = {}  # by id: what the offline teacher works from
        self._opened: tuple[str, Model] | None = None

    def questions(self, split: str, limit: int | None = None) -> list[Question]:
        """The questions of a split, or a fixed subset; their gold answers are audited before anything is spent."""
        chosen = tasks.subset(self.task.load(split), limit)
        tasks.audit(self.task, chosen)
        self._asked |= {question.id: question for question in chosen}
        return chosen

    def open(self, who: Who) -> Model:
        """A model from its spec or checkpoint. The last one is kept open; another one takes its place in memory."""
        spec = self._spec(who)
        label = str(sorted(spec.items()))
        if self._opened is None or self._opened[0] != label:
            self._opened = None  # let go of the old weights before new ones are loaded
            if spec["kind"] == "hf":
                spec["cache"] = str(cache_folder())
            if spec["kind"] in models.PAID and self._replies is None:
                self._replies = ReplyCache(self._cache_path)
            worked = self._solve if self.task.worked else None
            self._opened = (label, models.open_model(spec, worked, self._replies))
        return self._opened[1]

    def check(self, *everybody: Who) -> None:
        """Open every model of a recipe once, so that a missing one is found before work begins."""
        for who in everybody:
            self.open(who)

    def sit(self, step: str, who: Who, questions: Sequence[Question], paper: exam.Paper) -> list[Attempt]:
        """One exam, as a step: attempts in the order of the questions."""

        def make(kept: list[Attempt]) -> Iterable[Attempt]:
            total = len(questions) * paper.sampling.n
            for done, attempt in enumerate(exam.sit(self.open(who), self.task, questions, paper, kept), len(kept) + 1):
                self.run.show(event="progress", step=step, done=done, of=total)
                yield attempt

        inputs = {"model": self._identity(who), "task": self._task(), "questions": _content(questions), "paper": paper}
        attempts = self.run.records(step, Attempt, make, inputs)
        place = {question.id: index for index, question in enumerate(questions)}
        attempts.sort(key=lambda attempt: (place[attempt.question], attempt.sample))
        self.note(step, scoreboard.score(attempts).line())
        return attempts

    def keep(self, step: str, attempts: Sequence[Attempt], questions: Sequence[Question]) -> list[Lesson]:
        """The lessons among a teacher's attempts, as a step; none at all is an error that says what became of them."""
        kept = rationales.keep(attempts, self.task, questions)
        inputs = {"attempts": list(attempts), "task": self._task(), "questions": _content(questions)}
        lessons = self.run.records(step, Lesson, lambda done: kept.lessons[len(done) :], inputs)
        self.note(step, kept.line())
        if not lessons:
            raise LessonError(f"nothing is left to learn from: {kept.line()}; see {self.run.path / 'rationales'}")
        return lessons

    def fit(self, step: str, student: Who, lessons: Sequence[Lesson], config: TrainingConfig) -> Checkpoint:
        """Train a student on lessons, as a step."""

        def make(folder: Path) -> Mapping[str, Any]:
            from tutelage.training.trainer import Doors, fit

            self._opened = None  # training needs the memory
            show: Callable[[dict[str, Any]], None] = lambda tick: self.run.show(event="progress", step=step, **tick)  # noqa: E731
            spec = {**self._spec(student), "cache": str(cache_folder())}
            return fit(spec, lessons, config, self.seed, folder, Doors(show, self.run.stopping))

        inputs = {
            "student": self._identity(student),
            "lessons": list(lessons),
            "training": config,
            "seed": self.seed,
        }
        checkpoint = self.run.artifact(step, make, inputs)
        facts = self.run.facts(step)
        dropped = f", {facts['too_long']} too long and dropped" if facts["too_long"] else ""
        self.note(
            step,
            f"loss {facts['first_loss']:.2f} -> {facts['last_loss']:.2f} in {facts['steps']} steps, "
            f"{facts['lessons']} lessons{dropped}, {facts['tokens'] / max(facts['seconds'], 0.1):.0f} tokens/s",
        )
        return checkpoint

    def note(self, step: str, line: str) -> None:
        """Say the number that matters of a step."""
        self.run.say(event="note", step=step, line=line)

    def close(self) -> None:
        """Let go of models and files."""
        self._opened = None
        if self._replies:
            self._replies.close()

    def _solve(self, question: str, variant: int) -> tuple[str, str]:
        asked = self._asked[question]
        assert self.task.worked is not None
        return self.task.worked(asked, variant), rationales.gold(self.task, asked)

    def _spec(self, who: Who) -> dict[str, Any]:
        return {"kind": "hf", "name": who.path} if isinstance(who, Checkpoint) else models.parse(who)

    def _identity(self, who: Who) -> Any:
        return who if isinstance(who, Checkpoint) else self._spec(who)

    def _task(self) -> dict[str, Any]:
        return {"name": self.task.name, **self.task.options}


def _content(questions: Sequence[Question]) -> list[Question]:
    """The questions without the place of their file, which may move."""
    return [msgspec.structs.replace(question, source="") for question in questions]


def facts() -> dict[str, Any]:
    """What run.json keeps about where a run was made."""
    packages = ("tutelage", "torch", "transformers", "peft", "accelerate", "openai", "numpy")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "diff": _git("diff", "HEAD"),
    }


def _git(*words: str) -> str:
    """What git says of the current folder; empty outside a repository."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
