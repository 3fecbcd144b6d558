"""Can a student use what a teacher says of its mistakes, before anyone trains on it? Four exams on the same missed questions."""

import random
import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec.structs import replace
from pydantic import Field

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import ConfigError, RunError
from tutelage.evaluation.pairs import compare_exams
from tutelage.exam import ExamConfig
from tutelage.launch import HERE
from tutelage.launch.catalog import Launch
from tutelage.lessons import reflection
from tutelage.lessons.feedback import attempt_name
from tutelage.lessons.wording import ARROW, SHOWN_AGAIN
from tutelage.recipes import RECIPES
from tutelage.recipes.recipe import Recipe
from tutelage.runs import history
from tutelage.spending import BudgetConfig
from tutelage.types import Attempt, JsonObject, Label, Lesson, Question

# What the student is shown below a question, by exam.
SHOWN = {
    "alone": "",
    "feedback": SHOWN_AGAIN,
    "null": SHOWN_AGAIN,
    "solution": "{question}\n\nA solution without its result:\n{solution}\n\nAnswer the question.",
}
TITLES = {
    "alone": "the student alone",
    "feedback": "shown the feedback on its mistake",
    "null": "shown the feedback on another mistake",
    "solution": "shown the solution without its result",
}


class Probe(Settings):
    """Which run's mistakes are put to the student again, and what stands beside them."""

    recipe: Literal["probe"] = Field("probe", description="which recipe: its name, or package.module:RECIPE")
    run: str = Field(description="folder of a run of `tailored` with feedback")
    round: Annotated[int, Field(ge=2)] | None = Field(None, description="whose exam and feedback; default: the last")
    questions: Annotated[int, Field(ge=2)] = Field(
        100, description="missed questions that are asked again, at the most"
    )
    task: str | JsonObject = Field(description="the run's task")
    data: str | None = Field(None, description="folder of local copies of the published data sets")
    exam: ExamConfig = ExamConfig()
    budget: BudgetConfig = BudgetConfig()
    cache: str | None = Field(None, description="file of paid replies; a student's cost nothing")
    seed: int = Field(0, description="of which questions, and whose feedback stands for another's")
    launch: Launch = HERE


class _Mistake(NamedTuple):
    question: Question
    attempt: Attempt
    lesson: Lesson


def teach(room: Classroom, config: Probe) -> dict[str, list[Attempt]]:
    """The same questions four times: alone, with the feedback, with another's, with the solution; nothing is trained."""
    student, mistakes = _mistakes(Path(config.run), config)
    room.check(student)
    setup = config.exam.setup("taught", room.seed)
    sat = {}
    for name, form in SHOWN.items():
        # Feedback on another mistake is that on the next.
        said = mistakes[1:] + mistakes[:1] if name == "null" else mistakes
        shown = [_shown(form, *pair) for pair in zip(mistakes, said, strict=True)]
        sat[name] = room.sit(name, student, shown, setup)
    gain = compare_exams(sat["null"], sat["feedback"])
    verdict = (
        "GO: the student does better with the feedback on its mistake than with another's"
        if gain.low > 0
        else "NO GO: feedback on its mistake does no more for the student than feedback on another, so there is nothing to distil from it "
        "(objective self_distil)"
    )
    rise = f"{100 * (gain.after - gain.before):+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    room.note("probe", f"{verdict}: {rise} on {gain.questions} questions")
    return sat


def _shown(form: str, own: _Mistake, said: _Mistake) -> Question:
    """A question with what stands below it; the feedback is that on `said`."""
    if not form:
        return own.question
    text = form.format(
        question=own.question.text,
        mistake=reflection.as_completion(own.attempt) or own.attempt.text,
        feedback=said.lesson.feedback,
        solution=_masked(own.lesson.completion),
    )
    return replace(own.question, text=text)


def _masked(completion: str) -> str:
    """A solution in which its answer is "…", wherever it stands."""
    body, _, answer = completion.rpartition(ARROW)
    return re.sub(rf"(?<![\w.,]){re.escape(answer)}(?![\w]|[.,]\d)", "…", body)


def _mistakes(folder: Path, config: Probe) -> tuple[str, list[_Mistake]]:
    """The student that made the mistakes of a round, and those of them that have the teacher's line, in a drawn order."""
    run = history.open_run(folder)
    rounds = sorted({lesson.round for lesson in run.lessons if lesson.feedback})
    if not rounds:
        raise RunError(
            f"{folder} holds no feedback on mistakes; probe a run of `tailored` with feedback.writes=feedback"
        )
    number = config.round or rounds[-1]
    lessons = {lesson.question: lesson for lesson in run.lessons if lesson.round == number and lesson.feedback}
    if not lessons:
        raise ConfigError(f"round={number}: {folder} has feedback of round {' and '.join(map(str, rounds))}")
    # A lesson names the attempts that its feedback is about.
    sat = {attempt_name(view.step, attempt): attempt for view in run.exam_views for attempt in view.attempts}
    answered = {name: sat[one.attempts[0]] for name, one in lessons.items() if one.attempts and one.attempts[0] in sat}
    trained = [
        step
        for step in run.of("training")
        if step.whole and step.label.who == "student" and step.label.round == number - 1
    ]
    if not trained:
        raise RunError(f"{folder} no longer holds the student of round {number - 1}")
    names = [name for name in answered if name in run.questions]
    random.Random(config.seed).shuffle(names)
    found = [_Mistake(run.questions[name], answered[name], lessons[name]) for name in names[: config.questions]]
    if len(found) < 2:
        raise RunError(f"{folder} has {len(found)} mistakes with feedback; a probe needs two or more")
    return f"hf:{trained[-1].folder}", found


def promised(config: Probe) -> dict[str, Label]:
    """The four exams."""
    return {
        name: Label(who="student", round=config.round and config.round - 1, split="missed", title=title)
        for name, title in TITLES.items()
    }


RECIPE = Recipe(summary=RECIPES["probe"][1], settings=Probe, teach=teach, promised=promised)
