"""Dual chains: a right and a wrong one that go alike until they part, of a teacher's own making [EDIT: Dai et al. 2024, arXiv 2405.19737].

A wrong chain of the teacher's is rectified, a right one corrupted. The wording is ours; what is asked for is the paper's.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace
from rapidfuzz.distance import Levenshtein

from tutelage.grading.verdicts import judge
from tutelage.lessons.feedback import FeedbackConfig, common, filled, quoted
from tutelage.lessons.kept import Kept
from tutelage.lessons.rationales import gold
from tutelage.lessons.wording import ARROW, reasoning
from tutelage.tasks.task import Task
from tutelage.types import Chat, Feedback, Lesson, Message, Question

SHOWN = 2  # chains, or pairs of them, that a request shows


def rectify(task: Task, question: Question, examples: Sequence[str]) -> Chat:
    """The request to solve a question whose answer is told [the paper's answer hint]; `examples` are solutions in the student's format."""
    shown = common(task, question, FeedbackConfig(), examples)
    text = filled("rectify", problem=shown["problem"], examples=shown["examples"], answer=gold(task, question))
    return Chat(messages=(Message("user", text.strip()),), question=question.id, purpose="rectify")


def corrupt(task: Task, question: Question, right: str, pairs: Sequence[tuple[str, str]]) -> Chat:
    """The request for a wrong solution like a right one [the paper's contrastive prompt]; `pairs` are right and wrong ones to go by."""
    shown = "\n\n".join(
        f"A right solution to another problem:\n{quoted(a)}\nA wrong one like it:\n{quoted(b)}" for a, b in pairs
    )
    text = filled(
        "corrupt",
        problem=common(task, question, FeedbackConfig(), [])["problem"],
        solution=quoted(right),
        examples=f"\n{shown}\n" if shown else "",
    )
    return Chat(messages=(Message("user", text.strip()),), question=question.id, purpose="corrupt", mistakes=(right,))


def chain(task: Task, question: Question, text: str) -> tuple[str, str]:
    """A teacher's text as a completion, and its verdict; a text that commits to no answer, or does not reason, is none."""
    answer, verdict = judge(task, question, text)
    body = reasoning(text)
    return ("", "unread") if answer is None or not body else (f"{body}{ARROW}{answer}", verdict)


def distance(one: str, other: str) -> float:
    """How far two chains are apart: the share of the longer one's words that an edit of one into the other takes."""
    return float(Levenshtein.normalized_distance(one.split(), other.split()))


def pairs_of(
    kind: str,
    replies: Iterable[Feedback],
    task: Task,
    questions: Mapping[str, Question],
    others: Mapping[str, Lesson],
    most: float,
) -> Kept:
    """What a teacher wrote beside the chains it was asked about, as lessons with a right chain and the mistake `mistaken` like it.

    `kind` "rectified": the replies are the right ones, `others` the wrong ones; "corrupted": the other way about. Pairs further
    apart than `most` are no two ways from one point, and are dropped.
    """
    wanted = "right" if kind == "rectified" else "wrong"
    counts = dict.fromkeys(("failed", "unread", f"not {wanted}", f"further apart than {most:g}", "the same"), 0)
    lessons: list[Lesson] = []
    total = 0
    for reply in replies:
        total += 1
        question, other = questions[reply.question], others[reply.question]
        written, verdict = chain(task, question, reply.text)
        right, wrong = (written, other.completion) if kind == "rectified" else (other.completion, written)
        reason = ""
        if reply.error or reply.truncated:
            reason = "failed"
        elif verdict != wanted:
            reason = "unread" if verdict == "unread" else f"not {wanted}"
        elif right == wrong:
            reason = "the same"
        elif distance(right, wrong) > most:
            reason = f"further apart than {most:g}"
        if reason:
            counts[reason] += 1
            continue
        lessons.append(
            replace(other, completion=right, mistaken=wrong, kind=kind, key=reply.key, teacher=reply.model, round=1)
        )
    return Kept(lessons=tuple(lessons), source="replies", total=total, dropped=counts)
