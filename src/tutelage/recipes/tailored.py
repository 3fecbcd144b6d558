"""Tailored learning: rounds of exam, feedback on the mistakes, and self-reflection [Wang et al. 2023, arXiv 2310.13332]."""

import random
from collections.abc import Sequence

from tutelage.classroom.room import Classroom, Who
from tutelage.errors import ConfigError
from tutelage.lessons import reflection
from tutelage.lessons.mistakes import mistakes
from tutelage.recipes import RECIPES
from tutelage.recipes.baselines import baselines, final_exams, shots_for
from tutelage.recipes.corrections import ExamOutcome, calls_for, lessons_for, round_seed
from tutelage.recipes.first_lessons import asked_in_the_end, check_context, first_lessons, without_copies
from tutelage.recipes.forgetting import Elsewhere
from tutelage.recipes.partner import first_questions, partner_student, with_partner
from tutelage.recipes.planning import aloud, of_teaching
from tutelage.recipes.recipe import Expected, Recipe
from tutelage.recipes.rounds import latest_that_holds, rounds_without_rise, why_kept
from tutelage.recipes.tailored_settings import Tailored, TailoredSplits
from tutelage.runs import labels
from tutelage.tasks.task import Task, subset
from tutelage.types import Attempt, Checkpoint, Label, Lesson, Question


def lessons(room: Classroom, config: Tailored) -> list[Lesson]:
    """The teacher's part that needs no student: the first lessons."""
    train, dev = _train_and_dev(room, config.questions)
    asked = asked_in_the_end(room, config.questions)
    train = without_copies(room, config.questions, train, (*dev, *asked))
    return first_lessons(room, config, first_questions(train, config.first, config.partner, room.seed))


def teach(room: Classroom, config: Tailored) -> Checkpoint:
    """Round 1 learns plain rationales; each further round learns from the mistakes of the student before it."""
    room.check(config.teacher, config.student)
    _check_practice(room, config)
    elsewhere = Elsewhere(room, config)
    train, dev = _train_and_dev(room, config.questions)
    test = room.questions(config.questions.test, config.questions.test_limit)
    train = without_copies(room, config.questions, train, (*dev, *test))
    check_context(room, config, [*train, *dev, *test], train)
    setup = config.exam.setup("taught", room.seed)

    elsewhere.sit(config.student, 0)
    lessons = first_lessons(room, config, first_questions(train, config.first, config.partner, room.seed))
    baselines(room, config, lessons, train, test)
    student: Who = config.student
    sat: list[tuple[list[Attempt], Checkpoint]] = []
    for number in range(1, config.rounds + 1):
        attempts = _exam(room, config, number, student, train, lessons)
        missed = mistakes(attempts, config.mistakes.keep)
        fresh: list[Lesson] = []
        if number > 1:
            if over := _why_no_round(room, config, missed):
                room.note(f"{number}-exam", over)
                break
            errors = ExamOutcome(train, attempts, missed, lessons)
            errors = _or_the_partner_s(room, config, number, errors)
            fresh = lessons_for(room, config, number, errors, (*dev, *test))
            if not fresh:
                room.note(f"{number}-exam", "the teacher says nothing that was not learned already; no further round")
                break
            lessons = reflection.merge(lessons, fresh) if config.merge == "union" else fresh
        begin = student if config.start == "warm" else config.student
        own = [attempt for attempt in attempts if attempt.verdict == "right" and config.mistakes.own]
        taught = reflection.against(lessons, missed, own)
        trained = room.fit(f"{number}-student", begin, taught, config.training_in(number))
        student = trained
        elsewhere.sit(student, number)
        _review(room, config, number, trained, [one for one in train if one.id in {two.question for two in fresh}])
        label = _told("dev questions", number, config.questions.dev or "dev")
        sat.append((room.sit(f"{number}-dev", trained, dev, setup, label=label), trained))
        room.sit(f"{number}-test", trained, test, setup)
        if config.patience is not None and rounds_without_rise([attempts for attempts, _ in sat]) >= config.patience:
            break
    best = latest_that_holds([attempts for attempts, _ in sat])
    return room.promote("student", sat[best][1], why_kept(best, [attempts for attempts, _ in sat]))


def _review(room: Classroom, config: Tailored, number: int, student: Checkpoint, mended: Sequence[Question]) -> None:
    """What went up to the teacher in a round, asked again."""
    if config.review and mended:
        label = _told("taught questions again", number, config.questions.train, "review")
        setup = config.exam.setup("taught", room.seed)
        room.sit(f"{number}-review", student, subset(mended, config.review), setup, label=label)


def _why_no_round(room: Classroom, config: Tailored, missed: Sequence[Attempt]) -> str:
    """Why no further round is taught; empty where one is."""
    if config.feedback.writes == "own" or config.feedback.own:  # the student's own answers cost nothing
        return ""
    if room.buying.is_over:
        return "budget.until is used: no more lessons are bought, and no further round is taught"
    return "" if missed else "no mistakes are left to learn from (what is unread or cut off is none)"


def _check_practice(room: Classroom, config: Tailored) -> None:
    if config.feedback.practice and not room.task.grades_inventions:
        raise ConfigError(
            f"feedback.practice={config.feedback.practice}: task {room.task.name!r} can only grade questions that it made "
            "itself; set feedback.practice=0"
        )


def _train_and_dev(room: Classroom, splits: TailoredSplits) -> tuple[list[Question], list[Question]]:
    """The training questions and the dev questions, which no training question repeats."""
    size = splits.dev_size(room.task)
    if splits.dev is not None:
        return room.questions(splits.train, splits.train_limit), room.questions(splits.dev, size)
    together = None if splits.train_limit is None else splits.train_limit + size
    every = room.questions(splits.train, together)
    count = min(size, len(every) // 5)
    if count < 1:
        raise ConfigError(
            f"split {splits.train!r} has {len(every)} questions, too few to hold dev questions out; name a split in questions.dev"
        )
    dev = subset(every, count)
    texts = {question.text for question in dev}
    return [question for question in every if question.text not in texts], dev


def _exam(
    room: Classroom, config: Tailored, number: int, student: Who, train: Sequence[Question], lessons: Sequence[Lesson]
) -> list[Attempt]:
    """The exam on training questions; the untuned student, who knows no format, is shown worked examples."""
    if number == 1 and config.training.plain:
        return []  # nothing in round 1 would use it
    asked = _asked(room, config, number, train)
    settings, seed = config.mistakes.exam(config.exam), round_seed(room, number)
    shown = shots_for(room, config, lessons, asked) if number == 1 else []
    setup = settings.setup("few_shot_cot" if shown else "taught", seed, shown)
    label = _told("training questions", number - 1, config.questions.train)
    return room.sit(f"{number}-exam", student, asked, setup, label=label)


def _asked(room: Classroom, config: Tailored, number: int, train: Sequence[Question]) -> list[Question]:
    """The training questions of a round's exam."""
    limit = config.mistakes.questions
    if limit is None or limit >= len(train):
        return list(train)
    drawn = set(random.Random(f"{room.seed}/{number}/exam").sample(range(len(train)), limit))
    return [question for place, question in enumerate(train) if place in drawn]


def _or_the_partner_s(room: Classroom, config: Tailored, number: int, errors: ExamOutcome) -> ExamOutcome:
    """What an exam showed, or where another's mistakes stand for the student's, what the partner's did."""
    if config.partner is None or config.partner.use == "none":
        return errors
    train = errors.train
    other = partner_student(room, config, first_questions(train, config.first, config.partner, room.seed, 1))
    setup = config.mistakes.exam(config.exam).setup("taught", round_seed(room, number))
    label = Label(who="partner", round=number - 1, split=config.questions.train, title="training questions, partner")
    step = f"{number}-partner"
    theirs = room.sit(step, other, _asked(room, config, number, train), setup, label=label)
    return with_partner(errors, theirs, mistakes(theirs, config.mistakes.keep), step, config.partner.use)


def promised(config: Tailored) -> dict[str, Label]:
    """The exams of the final table, in their order."""
    rounds = [(f"{number}-test", number, f"tailored, round {number}") for number in range(1, config.rounds + 1)]
    if config.training.plain and config.training.prompt_weight == 0 and config.training.previous_batch is None:
        rounds[0] = ("1-test", 1, "Fine-tune-CoT (round 1)")  # plain rationales and nothing else
    return final_exams(config, rounds)


def _told(what: str, after: int, split: str, kind: str = "exam") -> Label:
    """The label of an exam that the student sits on the way."""
    return Label(kind=kind, round=after, split=split, title=f"{what}, {labels.student(after)}")


def calls(config: Tailored, task: Task) -> list[Expected]:
    """The teacher's calls: the first lessons, and in each further round as many as there may be mistakes."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    asked = config.mistakes.questions or len(train)
    each = calls_for(config, task, train, asked, config.exam.longest())
    later = [row.times(config.rounds - 1) for row in each] if config.rounds > 1 else []
    partner = config.partner is not None and config.partner.use != "none" and config.first
    other = aloud("rationales for the partner", task, subset(train, config.first), config.rationales.samples, config)
    return [*of_teaching(config, task, config.first), *(other if partner else []), *later]


RECIPE = Recipe(
    summary=RECIPES["tailored"][1],
    settings=Tailored,
    teach=teach,
    promised=promised,
    lessons=lessons,
    calls=calls,
)
