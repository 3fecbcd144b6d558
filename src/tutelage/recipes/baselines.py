"""The baselines that stand beside a method in its table, and the order of that table."""

from collections.abc import Sequence

from tutelage.classroom.room import Classroom
from tutelage.errors import ModelError
from tutelage.lessons import rationales
from tutelage.lessons.wording import ARROW
from tutelage.recipes.settings import SHOTS, Teaching
from tutelage.training.settings import USUAL
from tutelage.types import Label, Lesson, Question


def baselines(
    room: Classroom, config: Teaching, lessons: Sequence[Lesson], train: Sequence[Question], test: Sequence[Question]
) -> None:
    """The exams without the method, or without parts of it, as far as `config.baselines` names them."""
    setup = config.exam.setup
    if "teacher" in config.baselines:
        room.sit("teacher", config.teacher, test, config.rationales.setup(config.exam, room.seed))
    if "zero_shot" in config.baselines:
        room.sit("zero_shot", config.student, test, setup("zero_shot", room.seed))
    if "zero_shot_cot" in config.baselines:
        room.sit("zero_shot_cot", config.student, test, setup("zero_shot_cot", room.seed))
    if "few_shot_cot" in config.baselines:
        shown = shots_for(room, config, lessons, test)
        room.sit("few_shot_cot", config.student, test, setup("few_shot_cot", room.seed, shown))
    if "fine_tune" in config.baselines:
        answers = rationales.answers_only(room.task, train)
        # Answers hold no reasoning that a mistake could be set against, or of which a part could count more.
        training = config.training.model_copy(update={"reflection": None, "objective": USUAL})
        label = Label(kind="training", who="baseline")
        plain = room.fit("answers-student", config.student, answers, training, label)
        room.sit("fine_tune", plain, test, setup("taught", room.seed))


def shots_for(
    room: Classroom, config: Teaching, lessons: Sequence[Lesson], questions: Sequence[Question]
) -> list[tuple[str, str]]:
    """The worked examples of few-shot-CoT: as many as were asked for, else as leave room for an answer like the teacher's."""
    if config.shots is not None:
        return exemplars(lessons, config.shots)
    shown = exemplars(lessons, SHOTS)
    answer = config.exam.model_copy(update={"max_tokens": config.exam.max_tokens or config.rationales.max_tokens})
    for count in range(len(shown), 0, -1):
        try:
            room.check_room(config.student, questions, answer.setup("few_shot_cot", room.seed, shown[:count]))
        except ModelError:
            continue
        if count < len(shown):
            room.note(
                "few_shot_cot", f"shots {len(shown)} -> {count}: with more the student cannot hold every question"
            )
        return shown[:count]
    room.note(
        "few_shot_cot", f"shots {len(shown)} -> 0: the student cannot hold a worked example beside every question"
    )
    return []


def exemplars(lessons: Sequence[Lesson], shots: int) -> list[tuple[str, str]]:
    """Worked examples for few-shot-CoT from the training lessons, one a question.

    The authors use hand-written ones, some of which are test questions; these cannot be.
    """
    firsts = {lesson.question: lesson for lesson in reversed(lessons)}
    chosen = list(reversed(firsts.values()))[:shots]
    pairs = [lesson.completion.rpartition(ARROW) for lesson in chosen]
    return [
        (lesson.prompt, f"{rationale} The answer is {answer}.")
        for lesson, (rationale, _, answer) in zip(chosen, pairs, strict=True)
    ]


# What stands before the method in its table: a title, whose exam it is, and how many rounds of teaching lie behind it.
_BEFORE: dict[str, tuple[str, str, int | None]] = {
    "zero_shot": ("zero-shot", "student", 0),
    "zero_shot_cot": ("zero-shot-CoT", "baseline", 0),
    "few_shot_cot": ("few-shot-CoT", "baseline", 0),
    "fine_tune": ("fine-tune", "baseline", None),
}


def final_exams(config: Teaching, taught: Sequence[tuple[str, int, str]]) -> dict[str, Label]:
    """The exams of the final table in their order, by step: baselines, what was taught, the teacher.

    `taught` are the exams of the method: step, rounds of teaching behind it, title.
    """
    asked: tuple[str, ...] = config.baselines
    rows = [(step, *row) for step, row in _BEFORE.items() if step in asked]
    rows += [(step, title, "student", number) for step, number, title in taught]
    rows += [("teacher", "teacher", "teacher", None)] if "teacher" in asked else []
    split = config.questions.test
    return {step: Label(who=who, round=number, split=split, title=title) for step, title, who, number in rows}
