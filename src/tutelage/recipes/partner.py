"""A partner: a student as able, taught about other kinds of question first, so that it misses what this one does not.

Whether it is a student's very own mistakes that are worth lessons shows beside another's: the partner's choose the questions,
or are shown to the teacher in place of its own.
"""

import random
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from tutelage.classroom.room import Classroom
from tutelage.config import Settings
from tutelage.errors import ConfigError
from tutelage.recipes.corrections import ExamOutcome
from tutelage.recipes.first_lessons import first_lessons
from tutelage.recipes.settings import Teaching
from tutelage.tasks.task import subset
from tutelage.types import Attempt, Checkpoint, Label, Question


class PartnerConfig(Settings):
    """How the partner differs, and what its mistakes are used for."""

    skew: Annotated[float, Field(ge=0.5, le=1)] = Field(
        0.75,
        description="share of the student's first lessons that is about one half of the kinds of question, and of the partner's about the other",
    )
    use: Literal["choose", "show", "none"] = Field(
        "choose",
        description="choose: questions that the partner missed go up, with its mistakes; show: questions that both missed go up, with the "
        "partner's mistakes (yoked); none: the first lessons are as skewed, and the partner is left out",
    )


def first_questions(
    train: Sequence[Question], first: int | None, settings: PartnerConfig | None, seed: int, half: int = 0
) -> list[Question]:
    """The questions of a student's first lessons: a fixed random subset, skewed towards one half of the kinds where there is a partner.

    `half`: 0 is the student's, 1 the partner's; they share no question.
    """
    if settings is None:
        return subset(train, first)
    kinds = sorted({question.template for question in train})
    if first is None or len(kinds) < 2:
        raise ConfigError(
            "partner: first lessons are skewed by kind of question, so it needs `first` and a task whose questions have templates"
        )
    random.Random(f"{seed}/partner").shuffle(kinds)
    halves = set(kinds[: len(kinds) // 2]), set(kinds[len(kinds) // 2 :])
    left = subset(train, len(train))
    for place in range(half + 1):
        many = round(first * settings.skew)
        chosen = [question for question in left if question.template in halves[place]][:many]
        chosen += [question for question in left if question.template in halves[1 - place]][: first - many]
        if len(chosen) < first:
            raise ConfigError(
                f"partner: {len(train)} training questions are too few for two times first={first} with skew={settings.skew}"
            )
        taken = {question.id for question in chosen}
        left = [question for question in left if question.id not in taken]
    return [question for question in train if question.id in taken]


def partner_student(room: Classroom, config: Teaching, questions: Sequence[Question]) -> Checkpoint:
    """The partner, taught as this student was in its first round, about other questions."""
    lessons = first_lessons(room, config, questions, "partner-")
    label = Label(kind="training", who="partner", round=1)
    return room.fit("partner-student", config.student, lessons, config.training, label)


def with_partner(
    errors: ExamOutcome, theirs: Sequence[Attempt], missed: Sequence[Attempt], step: str, use: str
) -> ExamOutcome:
    """An exam's outcome with the partner's mistakes, `missed` of its attempts in the exam `step`, in place of the student's own."""
    if use == "choose":
        return errors._replace(attempts=theirs, mistakes=missed, step=step)
    own = {mistake.question for mistake in errors.mistakes}
    return errors._replace(mistakes=[mistake for mistake in missed if mistake.question in own], step=step)
