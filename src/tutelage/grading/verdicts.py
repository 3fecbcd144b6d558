"""The one way in which a verdict is made, for every task."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace

from tutelage.errors import TutelageError
from tutelage.grading.markers import split_thinking
from tutelage.types import Attempt, Question, Verdict

Result = TypeVar("Result")
_REASON = 200  # characters of what another's error says


class Gradable(Protocol):
    """What of a task makes its verdicts: how a text is read, compared, and whether it commits itself."""

    @property
    def read(self) -> Callable[[str, Question], str | None]:
        """The answer in a text; None where it commits to none."""
        ...

    @property
    def same(self) -> Callable[[str, Question], bool | None]:
        """Whether an answer is the question's gold; None where that cannot be decided."""
        ...

    @property
    def commits(self) -> Callable[[str, Question], bool] | None:
        """Whether a text names one answer clearly; without it whatever was read counts."""
        ...


class Judged(NamedTuple):
    """What was made of a text."""

    answer: str | None  # as read
    verdict: Verdict
    strict: Verdict
    remark: str = ""  # why it is unread, where that is not the text's own doing


def judge(task: Gradable, question: Question, text: str) -> tuple[str | None, Verdict]:
    """Read a text and compare it with the gold answer.

    No text ends a run: where a task's own function fails on it, it is unread.
    """
    answer, verdict, _ = _judged(task, question, text)
    return answer, verdict


def strictly(task: Gradable, question: Question, text: str, verdict: Verdict) -> Verdict:
    """The same verdict, or "unread" where the text names no answer behind a marker or in a box, or several different ones."""
    return _strictly(task, question, text, verdict)[0]


def judged(task: Gradable, question: Question, text: str) -> Judged:
    """Both verdicts, and why a text is unread where the reader failed on it or the comparison was not decided."""
    answer, verdict, remark = _judged(task, question, text)
    strict, failed = _strictly(task, question, text, verdict)
    return Judged(answer, verdict, strict, remark or failed)


def readable(task: Gradable, question: Question, text: str) -> str | None:
    """The answer that a text commits to, as `task.read` gives it; None, too, where the reader fails on it."""
    return _tried(lambda: task.read(text, question))[0]


def is_equal(task: Gradable, question: Question, answer: str) -> bool:
    """Whether an answer, as it was read, is the question's; not where that cannot be decided."""
    return _tried(lambda: task.same(answer, question))[0] is True


def second_reply(text: str) -> str:
    """What is read of the reply to "Therefore, the answer is", which begins where that ends."""
    return f"The answer is {text}"


def _tried(made: Callable[[], Result]) -> tuple[Result | None, str]:
    """What a task's own function returns, or why it failed; an error of ours is about the task, and is raised."""
    try:
        return made(), ""
    except TutelageError:
        raise
    except Exception as error:  # whatever a reader stumbles over in one text must not cost all others
        said = " ".join(str(error).split())[:_REASON]
        return None, f"the reader failed: {type(error).__name__}{': ' if said else ''}{said}"


def _judged(task: Gradable, question: Question, text: str) -> tuple[str | None, Verdict, str]:
    answer, failed = _tried(lambda: task.read(text, question))
    if answer is None:
        return None, "unread", failed
    same, failed = _tried(lambda: task.same(answer, question))
    if same is None:
        return answer, "unread", failed or "whether it equals the gold answer could not be decided"
    return answer, "right" if same else "wrong", ""


def _strictly(task: Gradable, question: Question, text: str, verdict: Verdict) -> tuple[Verdict, str]:
    commits = task.commits
    clear, failed = (True, "") if commits is None else _tried(lambda: commits(text, question))
    return (verdict if clear else "unread"), failed


def with_thinking_apart(attempt: Attempt, apart: str = "") -> Attempt:
    """What was thought before an answer in a field of its own: `apart` where the model's server keeps it so."""
    said, thought = split_thinking(attempt.text, apart)
    return replace(attempt, text=said, thinking=thought)
