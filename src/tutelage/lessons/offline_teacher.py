"""What the offline teacher says: a task's own worked solutions, and corrections made by comparing with them.

It is no language model. It knows the answers because the task made the questions, so its lessons show that the loop
works and nothing about how well a real teacher would do.
"""

import random
import re
from collections.abc import Mapping, Sequence

from tutelage.arithmetic import false_sum, worked_out
from tutelage.errors import ConfigError
from tutelage.lessons.rationales import gold
from tutelage.lessons.replies import FeedbackParts, RepairParts, write_feedback, write_repair
from tutelage.lessons.steps import split_steps
from tutelage.lessons.wording import reasoning
from tutelage.tasks.task import Task
from tutelage.types import Chat, Question

_WORDINGS = 4  # how many ways of saying it are compared
Needed = tuple[Sequence[str], int]  # a sum of a solution, and the place of its sentence
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
        if chat.purpose in ("feedback", "scribe"):
            return self._feedback(question, chat)
        solution = self._worked(question, sample)
        if chat.purpose == "corrupt":
            return slipped(chat.mistakes[0] if chat.mistakes else solution, answer, question.id)
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
        """What was asked for and no more, so that a bill in words is that of a teacher that does what it is told."""
        answer = gold(self.task, question)
        first = random.Random(f"{question.id}/{chat.sample}").randrange(_WORDINGS)
        solutions = list(dict.fromkeys(self._worked(question, first + place) for place in range(_WORDINGS)))
        solutions.sort(key=lambda solution: solution == self._worked(question, 0))  # what it said first comes last
        exercises = []
        for place in range(chat.exercises if self.task.similar else 0):
            like = self._find(f"{question.id}~{chat.sample}.{place}")
            text = self.task.ask(like).messages[-1].content
            exercises.append((text, f"{self._worked(like, place)} The answer is {gold(self.task, like)}."))
        attempt = chat.mistakes[0] if chat.mistakes else ""
        if chat.purpose == "scribe":
            repair = repaired(attempt, solutions, answer) if attempt else RepairParts(0, solutions[0], "")
            ending = f"{repair.continuation} The answer is {answer}.".strip()
            line = repair.diagnosis if chat.diagnosis else ""
            return write_repair(repair._replace(continuation=ending, diagnosis=line, practice=tuple(exercises)))
        error = repaired(attempt, solutions, answer).diagnosis if attempt and chat.diagnosis else ""
        written = tuple(f"{text} The answer is {answer}." for text in solutions[: chat.solutions])
        return write_feedback(FeedbackParts(error, written, tuple(exercises)))


def slipped(solution: str, answer: str, seed: str) -> str:
    """A solution with one of its sums by another sign, all that follows from it worked out, and the answer that it comes to.

    Where no other sign leads to another whole number, the solution as it is: nothing went wrong, and whoever asked will see it.
    """
    body = reasoning(solution)
    rng = random.Random(f"{seed}/slip")
    ways = [(match, sign) for match in _SUM.finditer(body) for sign in "+-*/" if sign != match.group(2)]
    for match, sign in rng.sample(ways, len(ways)):
        text = worked_out(f"{body[: match.start(2)]}{sign}{body[match.end(2) :]}")
        ends = [found.group(4) for found in _SUM.finditer(text)]
        if not false_sum(text) and len(ends) == len(_SUM.findall(body)) and ends[-1] != answer:
            return f"{text} The answer is {ends[-1]}."
    return f"{body} The answer is {answer}."


def repaired(attempt: str, solutions: Sequence[str], answer: str) -> RepairParts:
    """Which steps of an attempt stand, what the first wrong one is, and how a solution goes on from there, up to the answer.

    Found by comparing the attempt's sums with those of a solution, or where it has none its sentences with those of all.
    """
    steps = split_steps(reasoning(attempt))
    if _SUM.search(solutions[0]):
        return _repaired_sums(steps, solutions[0], answer)
    told = max((split_steps(solution) for solution in solutions), key=lambda right: _shared(steps, right))
    place = _shared(steps, told)
    continuation = " ".join(told[place:])
    if place >= len(told):
        return RepairParts(place, "", f"The steps are right, and what follows from them is {answer}.")
    if place >= len(steps):
        return RepairParts(place, continuation, f'The reasoning ends too early: next comes "{told[place]}"')
    error = f'The first wrong step is "{steps[place]}" It should say "{told[place]}"'
    return RepairParts(place, continuation, error)


def _shared(steps: Sequence[str], right: Sequence[str]) -> int:
    """How many sentences two texts have in common from the start."""
    pairs = zip(steps, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a.lower() != b.lower()), min(len(steps), len(right)))


def _repaired_sums(steps: Sequence[str], solution: str, answer: str) -> RepairParts:
    """The same by sums: a step stands if all of its sums are right and among those that the solution needs."""
    told = split_steps(solution)
    needed = [(match.groups(), place) for place, step in enumerate(told) for match in _SUM.finditer(step)]
    for place, step in enumerate(steps):
        left = list(needed)
        for match in _SUM.finditer(step):
            done = next((one for one in left if _same_sum(one[0], match.groups())), None)
            if error := _why_wrong(match, done is not None, [sum_ for sum_, _ in left]):
                return RepairParts(place, _gone_on(step, match, told, needed, left), error)
            left.remove(done)  # type: ignore[arg-type]
        needed = left  # of a step that stands
    if needed:
        error = f"A step is missing: {' '.join(needed[0][0][:3])} = {needed[0][0][3]}."
    else:
        error = f"The sums are right, and what follows from them is {answer}."
    return RepairParts(len(steps), _from(told, needed), error)


def _gone_on(
    step: str, match: re.Match[str], told: Sequence[str], needed: Sequence[Needed], left: Sequence[Needed]
) -> str:
    """How it goes on in place of a wrong step: where a needed sum is worked out wrongly, in the student's words with its result put right."""
    left_of_it = [one for one in left if one[0][:3] != match.groups()[:3]]
    mended = worked_out(step)
    if len(left_of_it) < len(left) and not _SUM.search(step, match.end()) and not false_sum(mended) and mended != step:
        return " ".join([mended, _from(told, left_of_it)]).strip()
    return _from(told, needed)


def _from(told: Sequence[str], needed: Sequence[Needed]) -> str:
    """The sentences of a solution with sums that are still needed."""
    left = {place for _, place in needed}
    return " ".join(step for place, step in enumerate(told) if place in left)


def _why_wrong(match: re.Match[str], known: bool, needed: Sequence[Sequence[str]]) -> str:
    """What is wrong with a sum; empty where nothing is."""
    left, sign, right, result = match.groups()
    true = _result(int(left), sign, int(right))
    if true != result:
        return f'The step "{match.group()}" is worked out wrongly: {left} {sign} {right} = {true}.'
    if known:
        return ""
    asked = f"; what is needed is {' '.join(needed[0][:3])} = {needed[0][3]}" if needed else ""
    return f'The step "{match.group()}" does not follow from the problem{asked}.'


def _result(left: int, sign: str, right: int) -> str:
    if sign == "/":
        return "not possible" if right == 0 else str(left // right) if left % right == 0 else f"{left / right:.4g}"
    return str({"+": left + right, "-": left - right, "*": left * right}[sign])


def _same_sum(one: Sequence[str], other: Sequence[str]) -> bool:
    swapped = (other[2], other[1], other[0])
    return tuple(one[:3]) == tuple(other[:3]) or (one[1] in "+*" and tuple(one[:3]) == swapped)
