"""Corrections as lessons: a question with a wrong chain, and which step of it is wrong, why, and how it goes on [An et al. 2023, arXiv 2310.20689].

The wording is ours; what stands in a correction, and its order, is the paper's. A chain that only ends too early or wrongly has
no wrong step, which is said.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from tutelage.lessons.kept import Kept
from tutelage.lessons.reflection import as_completion
from tutelage.lessons.steps import split_steps
from tutelage.lessons.wording import reasoning
from tutelage.types import Attempt, Lesson

ASKED = "{prompt}\n\nA solution to this, which is wrong:\n{mistake}\n\nWhich step is the first wrong one, why, and how does it go on rightly from there?"
_NO_STEP = "none, what follows is missing or wrong"


def corrections(lessons: Sequence[Lesson], shown: Mapping[str, Attempt], number: int) -> Kept:
    """What a teacher wrote about mistakes as lessons in correcting, one each; `shown` are the wrong attempts by question.

    A repair names its wrong step, and what follows takes its place. A whole solution stands for all of the attempt. What no attempt
    was shown for is no correction.
    """
    made: list[Lesson] = []
    for lesson in lessons:
        attempt = shown.get(lesson.question)
        mistake = lesson.mistaken or (as_completion(attempt) if attempt else "")
        if mistake:
            asked = ASKED.format(prompt=lesson.prompt, mistake=mistake)
            made.append(
                replace(lesson, prompt=asked, completion=_said(lesson, mistake), kind="correction", kept=0, mistaken="")
            )
    made = [replace(one, round=number, wrong=(), right=()) for one in made]
    dropped = {"without a mistake": len(lessons) - len(made)}
    return Kept(lessons=tuple(made), source="replies", total=len(lessons), dropped=dropped)


def _said(lesson: Lesson, mistake: str) -> str:
    """The wrong step, why it is wrong, and the solution from there on."""
    before, steps = len(split_steps(lesson.completion[: lesson.kept])), split_steps(reasoning(mistake))
    # Of a whole solution it is not known which of the attempt's steps stand.
    found = (steps[before] if before < len(steps) else _NO_STEP) if lesson.mistaken else ""
    lines = [f"Wrong step: {found}"] if found else []
    lines += [f"Why: {lesson.feedback.strip()}"] if lesson.feedback.strip() else []
    return "\n".join([*lines, f"Rightly: {lesson.completion[lesson.kept :].strip()}"])


def repeated(lessons: Sequence[Lesson], size: Callable[[Lesson], int], total: int, seed: str) -> list[Lesson]:
    """Lessons in shuffled passes until their sizes add up to a total, as nearly as whole lessons can."""
    rng, chosen, so_far = random.Random(seed), list[Lesson](), 0
    sizes = {id(lesson): size(lesson) for lesson in lessons}
    if not lessons or not any(sizes.values()):
        return []
    while True:
        turn = list(lessons)
        rng.shuffle(turn)
        for lesson in turn:
            more = sizes[id(lesson)]
            if 2 * (total - so_far) < more:
                return chosen
            chosen.append(lesson)
            so_far += more
