"""What a student writes itself, as texts on which a teacher's probabilities are learned [Agarwal et al. 2023, arXiv 2306.13649]."""

from collections.abc import Mapping, Sequence

from tutelage.lessons.kept import Kept
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Lesson, Question

ROLLOUT = "rollout"  # the kind of such a lesson


def keep_rollouts(attempts: Sequence[Attempt], task: Task, questions: Mapping[str, Question], number: int) -> Kept:
    """Every answer of a student that says anything, right or wrong, and where it was cut off, too: no word of it is learned."""
    lessons = [
        Lesson(
            question=attempt.question,
            prompt=task.ask(questions[attempt.question]).messages[-1].content,
            completion=attempt.text.rstrip(),
            kind=ROLLOUT,
            round=number,
            sample=attempt.sample,
        )
        for attempt in attempts
        if attempt.text.strip() and not attempt.error
    ]
    failed = sum(bool(attempt.error) for attempt in attempts)
    dropped = {"failed": failed, "empty": len(attempts) - len(lessons) - failed}
    return Kept(lessons=tuple(lessons), source="answers of the student's own", total=len(attempts), dropped=dropped)
