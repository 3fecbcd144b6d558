"""A conversation at a terminal, or line by line through a pipe."""

import contextlib
import importlib
from collections.abc import Generator, Iterable, Iterator

from tutelage.errors import ModelError, nearest
from tutelage.grading.verdicts import judge
from tutelage.printing import console, emit, shown, visible
from tutelage.serve.conversation import Conversation, one_line
from tutelage.tasks.task import Task
from tutelage.types import Question


def answer_lines(conversation: Conversation, lines: Iterable[str]) -> None:
    """Answer each line by one line; an empty one by an empty one."""
    for line in lines:
        question = line.strip()
        emit(one_line(list(conversation.ask(question))) if question else "")


_COMMANDS = ("/again", "/new", "/quit", "/system TEXT", "/task")


class ChatSession:
    """A conversation at a terminal. What a model writes is text: no markup and no command to the terminal."""

    def __init__(self, conversation: Conversation, task: Task | None) -> None:
        self.conversation = conversation
        self.task = task
        self.console = console()
        self._questions = _questions(task)

    def run(self) -> None:
        """Until /quit or Ctrl-D."""
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")  # input() edits lines with it
        self._note(f"{', '.join(_COMMANDS)}; Ctrl-C stops an answer, Ctrl-D ends")
        while (line := self._read()) != "/quit":
            try:
                self._obey(line)
            except ModelError as error:
                self._note(f"error: {error}")

    def _read(self) -> str:
        try:
            return input("> ").strip()
        except KeyboardInterrupt:
            self._note("/quit or Ctrl-D ends")
            return ""
        except EOFError:
            self.console.print()
            return "/quit"

    def _obey(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if not word.startswith("/"):
            self._show(self.conversation.ask(line) if line else None)
        elif word == "/new":
            self.conversation.new()
        elif word == "/system":
            self.conversation.system = rest.strip()
            self.conversation.new()
        elif word == "/again":
            self._show(self.conversation.again())
        elif word == "/task":
            self._next_of_task()
        else:
            names = [command.partition(" ")[0] for command in _COMMANDS]
            self._note(f"unknown command {word!r}; {nearest(word, names)}")

    def _next_of_task(self) -> None:
        """Put the task's next question, and say how the exam reads the answer."""
        question = next(self._questions, None)
        if self.task is None or question is None:
            self._note("there is no question; start with --task TASK to have some")
            return
        text = self.task.ask(question).messages[-1].content
        self.console.out(visible(text), highlight=False)
        answer, verdict = judge(self.task, question, self._show(self.conversation.ask(text)))
        self._note(f"read as {answer}: {verdict} (the answer is {question.answer})")

    def _show(self, pieces: Generator[str, None, None] | None) -> str:
        """Write an answer as it comes; Ctrl-C stops it and nothing else."""
        said: list[str] = []
        if pieces is None:
            return ""
        try:
            with contextlib.closing(pieces):
                for piece in pieces:
                    said.append(piece)
                    self.console.out(visible(piece), end="", highlight=False)
            self.console.print()
        except KeyboardInterrupt:
            self._note(" (stopped)")
        return "".join(said)

    def _note(self, line: str) -> None:
        self.console.print(shown((line, "dim")), soft_wrap=True)


def _questions(task: Task | None) -> Iterator[Question]:
    """A task's test questions, loaded when the first is wanted."""
    if task is not None:
        yield from task.load("test" if "test" in task.splits else task.splits[-1])
