"""Repairs: a student's own right steps, and how a teacher goes on from them [ours; arXiv 2606.11173 is told to do alike].

A teacher that writes only what comes behind the first wrong step is paid for less, and what it writes stands where the
student itself arrives. Nothing of its reply is believed: what it keeps is the student's own text, letter for letter, and
the whole must end in the right answer without the step that it calls wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tutelage.arithmetic import false_sum
from tutelage.grading.verdicts import judge
from tutelage.lessons.feedback import FeedbackConfig, common, filled, quoted
from tutelage.lessons.kept import Kept
from tutelage.lessons.reflection import as_completion
from tutelage.lessons.replies import RepairParts, read_repair
from tutelage.lessons.steps import split_steps, step_ends
from tutelage.lessons.wording import ARROW, reasoning, same_words
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Chat, Feedback, Lesson, Message, Question

# What is asked where a mistake is shown, and where none is.
_SHOWN = {
    "task": "Below are a problem and the numbered steps of the student's attempt at it. Find the first wrong step, let the steps "
    "before it stand, and go on from there.",
    "diagnose": "which step is the first wrong one, and what is wrong with it.",
    "keep": "how many of the numbered steps stand, counted from the first: those before the first wrong step, all of them if only "
    "the answer is wrong or the end is missing, 0 if the first is wrong.",
    "continuation": "how the solution goes on behind the steps that stand. It repeats neither these nor the wrong step. It is written",
}
_UNSHOWN = {
    "task": "Below is a problem. Solve it for the student.",
    "diagnose": "which step of such a problem is the easiest to get wrong, and why.",
    "keep": "0.",
    "continuation": "the solution, written",
}


def ask_scribe(
    task: Task, question: Question, wrong: str, config: FeedbackConfig, examples: Sequence[str], number: int
) -> Chat:
    """The request to go on from the right steps of an attempt, in round `number`; without an attempt, the same for a question alone.

    What is alike in all requests of a round stands first, for services that read it only once.
    """
    body, told = reasoning(wrong), _SHOWN if wrong else _UNSHOWN
    steps = "\n".join(f"Step {place}:\n{quoted(step)}" for place, step in enumerate(split_steps(body), start=1))
    answer = wrong.strip().removeprefix(body).strip().removeprefix(ARROW.strip()).strip() or "(none)"
    text = filled(
        "scribe",
        attempts=filled("scribe_attempt", steps=steps, answer=quoted(answer)) if wrong else "",
        practice=filled("scribe_practice", exercises=config.practice) if config.practice else "",
        **common(task, question, config, examples),
        **{**told, "diagnose": f'"diagnosis": one sentence that says {told["diagnose"]}\n' if config.diagnosis else ""},
    )
    return Chat(
        messages=(Message("user", text.strip()),),
        question=question.id,
        purpose="scribe",
        sample=number,
        mistakes=(wrong,) if wrong else (),
        exercises=config.practice,
        diagnosis=config.diagnosis,
    )


class Repaired(NamedTuple):
    """A completion whose first `kept` characters are the student's own, and what the whole ends in."""

    completion: str
    kept: int


# What makes a reply unusable, as it is counted and said.
_TOO_MUCH, _REPEATS = "keep a wrong step", "repeat the wrong step"
REASONS = ("failed", "unanswered", _TOO_MUCH, _REPEATS, "wrong", "unread", "repeated")


def settle_repair(task: Task, question: Question, mistaken: str, parts: RepairParts) -> tuple[Repaired | None, str]:
    """What a reply makes of a mistake, or why it cannot be used; `mistaken` is the mistake written as a completion, empty if none was shown."""
    body = reasoning(mistaken)
    ends, steps = step_ends(body), split_steps(body)
    if parts.keep > len(ends):
        return None, _TOO_MUCH
    kept = body[: ends[parts.keep - 1]] if parts.keep else ""
    if false_sum(kept):
        return None, _TOO_MUCH
    said = _behind(steps[: parts.keep], reasoning(parts.continuation))
    wrong = steps[parts.keep] if parts.keep < len(steps) else ""
    if wrong and same_words(wrong) in map(same_words, split_steps(said)):
        return None, _REPEATS
    # What stands between two of the student's steps stands here, too: a space, or a new line.
    joint = body[len(kept) : len(body) - len(body[len(kept) :].lstrip())] if len(kept) < len(body) else " "
    whole = f"{kept}{joint if kept and said else ''}{said}"
    answer, verdict = judge(task, question, parts.continuation)  # the kept steps must not lend it a number
    if verdict != "right" or answer is None or not whole:
        return None, verdict if verdict != "right" else "unread"
    completion = f"{whole}{ARROW}{answer}"
    return (None, "repeated") if completion == mistaken else (Repaired(completion, len(kept)), "")


def _behind(kept: Sequence[str], continuation: str) -> str:
    """A continuation without the kept steps, where it says the last of them again before it goes on."""
    ends, steps = step_ends(continuation), [same_words(step) for step in split_steps(continuation)]
    alike = [same_words(step) for step in kept]
    again = next((count for count in range(min(len(alike), len(steps)), 0, -1) if steps[:count] == alike[-count:]), 0)
    return continuation[ends[again - 1] :].strip() if again else continuation


def keep_repairs(
    replies: Iterable[Feedback],
    task: Task,
    questions: Mapping[str, Question],
    shown: Mapping[str, Attempt],
    number: int,
) -> Kept:
    """The repairs of a round as its lessons, one a question; `shown` is the attempt that each question's request showed.

    What cannot be used is counted by its reason; `unrepaired` says which questions these are.
    """
    counts = dict.fromkeys(REASONS, 0)
    lessons: list[Lesson] = []
    calls = 0
    for reply in replies:
        calls += 1
        parts = None if reply.error else read_repair(reply.text)
        if parts is None:
            counts["failed" if reply.error else "unanswered"] += 1
            continue
        question = questions[reply.question]
        mistaken = as_completion(shown[question.id]) if question.id in shown else ""
        repair, reason = settle_repair(task, question, mistaken, parts)
        if repair is None:
            counts[reason] += 1
            continue
        lessons.append(
            Lesson(
                question=question.id,
                prompt=task.ask(question).messages[-1].content,
                completion=repair.completion,
                kind="repair" if mistaken else "feedback",
                round=number,
                key=reply.key,
                teacher=reply.model,
                attempts=reply.attempts,
                feedback=parts.diagnosis,
                kept=repair.kept,
                mistaken=mistaken,
            )
        )
    return Kept(lessons=tuple(lessons), source="repairs", total=calls, dropped=counts)


def lacking_lines(lessons: Iterable[Lesson]) -> str:
    """How many repairs have no line on the mistake, which no objective misses aloud; empty where all have one."""
    count = sum(not lesson.feedback for lesson in lessons)
    return f"{count} repairs have no line on the mistake: none was given, or it was too long to be one" if count else ""
