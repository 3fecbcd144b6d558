"""What a repair costs in words beside a whole solution, from the offline teacher: `python benchmarks/repair_words.py`.

Every training question's solution is spoilt at a step drawn at random, and both forms of feedback are asked for, with the
line on what was wrong and without. Prints, a task a line: steps a solution, words of a whole solution with its line (the
default), and as shares of that a repair with its line and without; then a repair as a share of a whole solution, both
without lines, which is what going on from the student's own steps saves by itself.
"""

import random
import re
from statistics import mean

from tutelage.lessons import feedback, scribe
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.offline_teacher import WorkedTeacher
from tutelage.lessons.steps import split_steps
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.types import Question

TASKS = [
    *(f"word_problems?difficulty={level}&size=300" for level in (1, 2, 3)),
    *(f"{name}?size=300" for name in ("last_letter_concatenation", "tracking_shuffled_objects", "coin_flip")),
]


def spoilt(steps: list[str], rng: random.Random) -> str:
    """A solution that ends in a wrong step: its sum comes to another number, or where it has none it says something else."""
    sums = [place for place, step in enumerate(steps) if re.search(r"= \d", step)]
    place = rng.choice(sums or range(len(steps)))
    wrong = re.sub(r"= ([\d.,]*\d)", r"= \g<1>1", steps[place], count=1) if sums else "Something else is so."
    return f"{' '.join([*steps[:place], wrong])} --> 99991"


def words(task: Task, question: Question, wrong: str, teacher: WorkedTeacher, form: str, told: bool) -> int:
    """Words of the reply to one request."""
    config = FeedbackConfig.model_validate({"form": form, "diagnosis": told})
    asking = (
        scribe.ask_scribe(task, question, wrong, config, [], 2)
        if form == "scribe"
        else feedback.ask(task, question, [wrong], config, [], 2)
    )
    return len(teacher(asking, 0).split())


def main() -> None:
    """Print the table."""
    print("| task | steps | whole solution, words | repair | repair, no line | repair / whole, no lines |")
    print("|---|---|---|---|---|---|")
    for name in TASKS:
        task, rng = find_task(name), random.Random(0)
        questions = {question.id: question for question in task.load("train")}
        teacher, steps = WorkedTeacher(task, questions), list[int]()
        cost = dict.fromkeys(((form, told) for form in ("solution", "scribe") for told in (True, False)), 0)
        assert task.worked is not None
        for question in questions.values():
            right = split_steps(task.worked(question, 0))
            steps.append(len(right))
            wrong = spoilt(right, rng)
            for form, told in cost:
                cost[form, told] += words(task, question, wrong, teacher, form, told)
        whole = cost["solution", True]
        print(
            f"| `{name}` | {mean(steps):.1f} | {whole / len(questions):.1f} | {cost['scribe', True] / whole:.2f} | "
            f"{cost['scribe', False] / whole:.2f} | {cost['scribe', False] / cost['solution', False]:.2f} |"
        )


if __name__ == "__main__":
    main()
