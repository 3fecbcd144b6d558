"""New exercises like the questions a student missed: read from feedback, kept when their answer can be trusted."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from tutelage.grading.verdicts import readable
from tutelage.lessons.feedback import FeedbackConfig, settle
from tutelage.lessons.kept import Kept
from tutelage.lessons.replies import practice_in
from tutelage.lessons.wording import ARROW
from tutelage.tasks.contamination import HeldOut, normalized
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Feedback, Lesson, Question


class Exercises(Struct, frozen=True, kw_only=True):
    """The exercises of a round that can be put to the vote."""

    questions: tuple[Question, ...]
    lessons: tuple[Lesson, ...]  # one a question, for when it is voted in
    unread: int  # without a problem, an answer, or reasoning
    copied: int  # from dev or test
    repeated: int


def exercises(
    replies: Iterable[Feedback], task: Task, held_out: HeldOut, config: FeedbackConfig, number: int
) -> Exercises:
    """The exercises in a round's feedback; an exercise's gold answer is, until the vote, its own solution's."""
    counts = {"unread": 0, "copied": 0, "repeated": 0}
    questions: list[Question] = []
    lessons: list[Lesson] = []
    seen: set[str] = set()
    for reply in replies:
        for place, (problem, solution) in enumerate(practice_in(reply.text)[: config.practice]):
            question = Question(id=f"{reply.question}~{number}.{place}", text=problem, answer="", split="practice")
            answer = readable(task, question, solution) if problem and solution else None
            question = replace(question, answer=answer or "")
            body, answer, reason = settle(task, question, solution, set()) if question.answer else ("", "", "unread")
            if reason or held_out.copies(problem) or normalized(problem) in seen:
                counts["unread" if reason else "copied" if held_out.copies(problem) else "repeated"] += 1
                continue
            seen.add(normalized(problem))
            questions.append(question)
            lessons.append(_lesson(task, question, reply, f"{body}{ARROW}{answer}", number))
    return Exercises(questions=tuple(questions), lessons=tuple(lessons), **counts)


def _lesson(task: Task, question: Question, reply: Feedback, completion: str, number: int) -> Lesson:
    return Lesson(
        question=question.id,
        prompt=task.ask(question).messages[-1].content,
        completion=completion,
        kind="practice",
        round=number,
        key=reply.key,
        teacher=reply.model,
        attempts=reply.attempts,
    )


def agreed(made: Exercises, votes: Iterable[Attempt], agree: int) -> Kept:
    """The lessons of each exercise whose answer at least `agree` of the teacher's fresh solutions end in."""
    count: dict[str, int] = {}
    for vote in votes:
        count[vote.question] = count.get(vote.question, 0) + (vote.verdict == "right" and not vote.truncated)
    kept = tuple(lesson for lesson in made.lessons if count.get(lesson.question, 0) >= agree)
    outvoted = len(made.questions) - len(kept)
    dropped = {"outvoted": outvoted, "unread": made.unread, "copied": made.copied, "repeated": made.repeated}
    total = len(made.questions) + made.unread + made.copied + made.repeated
    return Kept(lessons=kept, source="exercises", total=total, dropped=dropped)
