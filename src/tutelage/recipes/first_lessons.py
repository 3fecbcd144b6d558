"""What a recipe does before its method: choose the questions, see that the student can hold them, make the first lessons."""

from collections.abc import Sequence
from statistics import median

from tutelage.classroom.room import Classroom
from tutelage.lessons.trial import Trial
from tutelage.recipes.settings import Splits, Teaching
from tutelage.tasks import contamination
from tutelage.tasks.contamination import HeldOut
from tutelage.types import Form, Label, Lesson, Question


def asked_in_the_end(room: Classroom, splits: Splits) -> list[Question]:
    """The test questions, as far as the task has any: whoever wants lessons alone may have none."""
    return room.questions(splits.test, splits.test_limit) if splits.test in room.task.splits else []


def training_questions(room: Classroom, config: Teaching) -> list[Question]:
    """The training questions of a recipe's lessons alone, without those that are asked in the end."""
    splits = config.questions
    train = room.questions(splits.train, splits.train_limit)
    return without_copies(room, splits, train, asked_in_the_end(room, splits))


def lessons_alone(room: Classroom, config: Teaching) -> list[Lesson]:
    """The teacher's part of a recipe that needs nothing else of it: its rationales on the training questions."""
    return first_lessons(room, config, training_questions(room, config))


def all_questions(room: Classroom, config: Teaching, train_too: bool = True) -> tuple[list[Question], list[Question]]:
    """The training and the test questions; the student can hold the latter in an exam, and with `train_too` the former."""
    splits = config.questions
    test = room.questions(splits.test, splits.test_limit)
    train = without_copies(room, splits, room.questions(splits.train, splits.train_limit), test)
    check_context(room, config, [*train, *test] if train_too else test, train)
    return train, test


def without_copies(
    room: Classroom, splits: Splits, train: Sequence[Question], held_out: Sequence[Question]
) -> list[Question]:
    """The training questions that are not asked in the end, too; what else they share with those is told."""
    against = HeldOut(held_out)
    found = contamination.find_overlaps(((question.id, question.text) for question in train), against)
    room.note("train", found.line())
    for kind, (name, shared) in found.examples.items():
        room.run.say(event="contamination", kind=kind, question=name, held_out=shared.question, text=shared.text)
    if splits.copies == "keep" or not found.counts["same"]:
        return list(train)
    known = {contamination.normalized(question.text) for question in held_out}
    return [question for question in train if contamination.normalized(question.text) not in known]


def first_lessons(room: Classroom, config: Teaching, questions: Sequence[Question], whose: str = "") -> list[Lesson]:
    """The teacher reasons aloud about the questions; what ends in the right answer is kept.

    `whose` stands before the names of the steps, where the lessons are not the student's.
    """
    setup = config.rationales.keeping(config.rationales.setup(config.rationales.exam(), room.seed))
    trial = None if config.rationales.accept_cut else Trial(config.rationales.max_tokens)
    label = Label(kind="rationales", who="teacher", round=1, split=config.questions.train)
    said = room.sit(f"{whose}rationales", config.teacher, questions, setup, trial, label)
    lessons = room.filter(f"{whose}lessons", said, questions)
    if config.rationales.thinking == "keep":
        _say_of_thinking(room, config, lessons)
    return lessons


def _say_of_thinking(room: Classroom, config: Teaching, lessons: Sequence[Lesson]) -> None:
    """How many lessons think, and how long; and what an exam would cut off of a student that has learned it."""
    words = sorted(len(lesson.completion.split()) for lesson in lessons if lesson.completion.startswith("<think>"))
    if not words:
        room.run.warn(
            "rationales.thinking=keep: no lesson holds any thinking; the teacher's server may not send it, or keep it in its "
            "own way"
        )
        return
    room.note(
        "thinking",
        f"{len(words)} of {len(lessons)} lessons think first: {median(words):,.0f} words, {words[-1]:,} at most",
    )
    if longer := sum(count > config.exam.longest() for count in words):
        room.run.warn(
            f"{longer} of {len(lessons)} lessons have more words than an exam gives tokens (exam.max_tokens="
            f"{config.exam.longest()}): a student that thinks as long is cut off before it answers. Give it "
            f"exam.max_tokens={2 * words[-1]}"
        )


def check_context(
    room: Classroom, config: Teaching, questions: Sequence[Question], train: Sequence[Question] = ()
) -> None:
    """What the student could not hold in its exams is said before the teacher is paid.

    Of worked examples nothing is known yet but their questions: a number of them that cannot fit whatever is reasoned is
    refused, for the shortest questions of `train`.
    """
    forms: list[Form] = ["taught"]
    forms += [form for form in ("zero_shot", "zero_shot_cot") if form in config.baselines]
    setups = [config.exam.setup(form, room.seed) for form in forms]
    if "few_shot_cot" in config.baselines and config.shots is not None:
        least = sorted(train, key=lambda question: len(question.text))[: config.shots]
        shown = [(question.text, f"The answer is {question.answer}.") for question in least]
        setups.append(config.exam.setup("few_shot_cot", room.seed, shown))
    room.check_room(config.student, questions, *setups)
