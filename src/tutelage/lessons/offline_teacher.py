"""What the offline teacher says: a task's own worked solutions, and corrections made by comparing with them.

It is no language model. It knows the answers because the task made the questions, so its lessons show that the loop
works and nothing about how well a real teacher would do.
"""

import random
import re
from collections.abc import Mapping, Sequence

from tutelage.errors import ConfigError
from tutelage.lessons.feedback import FeedbackParts, write_feedback
from tutelage.lessons.rationales import gold
from tutelage.lessons.wording import ARROW
from tutelage.tasks.task import Task
from tutelage.types import Chat, Question

_WORDINGS = 4  # how many solutions and exercises it offers; the asker takes what was asked for
_SUM = re.compile(r"(\d{1,12}) ([-+*/]) (\d{1,12}) = (\d{1,12})")


class WorkedTeacher:
    """Answers chats about a task's questions from its worked solutions: called as `teacher(chat, sample)` it returns the reply's text."""

    def __init__(self, task: Task, asked: Mapping[str, Question]) -> None:
        self.task = task
        self.asked = asked  # by id; may grow

    def __call__(self, chat: Chat, sample: int) -> str:
        """The reply to a chat; samples differ in wording only."""
        question = self._find(chat.question)
        answer = gold(self.task, question)
        if chat.purpose == "answer":
            return f"{answer}."
        if chat.purpose == "feedback":
            return self._feedback(question, chat)
        solution = self._worked(question, sample)
        return solution if chat.purpose == "rationale" else f"{solution} The answer is {answer}."

    def _worked(self, question: Question, variant: int) -> str:
        assert self.task.worked is not None
        return self.task.worked(question, variant)

    def _find(self, name: str) -> Question:
        parent, exercise, _ = name.partition("~")
        if not exercise:
            return self.asked[name]
        if self.task.similar is None:
            raise ConfigError(
                f"the teacher 'worked:' cannot set exercises: task {self.task.name!r} makes no like questions"
            )
        return self.task.similar(self.asked[parent], random.Random(name))

    def _feedback(self, question: Question, chat: Chat) -> str:
        answer = gold(self.task, question)
        first = random.Random(f"{question.id}/{chat.sample}").randrange(_WORDINGS)
        solutions = list(dict.fromkeys(self._worked(question, first + place) for place in range(_WORDINGS)))
        error = first_wrong_step(chat.mistakes[0], solutions, answer) if chat.mistakes else ""
        exercises = []
        for place in range(_WORDINGS if self.task.similar else 0):
            like = self._find(f"{question.id}~{chat.sample}.{place}")
            text = self.task.ask(like).messages[-1].content
            exercises.append((text, f"{self._worked(like, place)} The answer is {gold(self.task, like)}."))
        return write_feedback(
            FeedbackParts(error, tuple(f"{text} The answer is {answer}." for text in solutions), tuple(exercises))
        )


def first_wrong_step(attempt: str, solutions: Sequence[str], answer: str) -> str:
    """Say which step of an attempt is the first wrong one, by comparing its sums or else its sentences with solutions."""
    body = attempt.rpartition(ARROW.strip())[0] or attempt
    if _SUM.search(solutions[0]):
        return _first_wrong_sum(body, solutions[0], answer)
    steps = _sentences(body)
    told = max((_sentences(solution) for solution in solutions), key=lambda right: _shared(steps, right))
    place = _shared(steps, told)
    if place >= len(told):
        return f"The steps are right, and what follows from them is {answer}."
    if place >= len(steps):
        return f'The reasoning ends too early: next comes "{told[place]}"'
    return f'The first wrong step is "{steps[place]}" It should say "{told[place]}"'


def _sentences(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part.strip()]


def _shared(steps: Sequence[str], right: Sequence[str]) -> int:
    """How many sentences two texts have in common from the start."""
    pairs = zip(steps, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a.lower() != b.lower()), min(len(steps), len(right)))


def _first_wrong_sum(attempt: str, solution: str, answer: str) -> str:
    needed = [match.groups() for match in _SUM.finditer(solution)]
    for match in _SUM.finditer(attempt):
        left, sign, right, result = match.groups()
        true = _result(int(left), sign, int(right))
        if true != result:
            return f'The step "{match.group()}" is worked out wrongly: {left} {sign} {right} = {true}.'
        done = next((wanted for wanted in needed if _same_sum(wanted, match.groups())), None)
        if done is None:
            missing = " ".join(needed[0][:3]) if needed else ""
            asked = f"; what is needed is {missing} = {needed[0][3]}" if missing else ""
            return f'The step "{match.group()}" does not follow from the problem{asked}.'
        needed.remove(done)
    if needed:
        return f"A step is missing: {' '.join(needed[0][:3])} = {needed[0][3]}."
    return f"The sums are right, and what follows from them is {answer}."


def _result(left: int, sign: str, right: int) -> str:
    if sign == "/":
        return "not possible" if right == 0 else str(left // right) if left % right == 0 else f"{left / right:.4g}"
    return str({"+": left + right, "-": left - right, "*": left * right}[sign])


def _same_sum(one: Sequence[str], other: Sequence[str]) -> bool:
    swapped = (other[2], other[1], other[0])
    return tuple(one[:3]) == tuple(other[:3]) or (one[1] in "+*" and tuple(one[:3]) == swapped)
