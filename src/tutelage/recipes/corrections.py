"""What follows an exam: chosen mistakes go up to the teacher and come back as lessons."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tutelage.classroom.buying import tokens_and_calls
from tutelage.classroom.room import Classroom, Who
from tutelage.exam import ExamConfig
from tutelage.lessons import feedback, practice, rationales, reflection, scribe
from tutelage.lessons.feedback import FeedbackConfig
from tutelage.lessons.selection import choose_alike, choose_questions
from tutelage.lessons.trial import Bounds, Trial
from tutelage.recipes.planning import tokens
from tutelage.recipes.recipe import Expected
from tutelage.recipes.settings import RationalesConfig
from tutelage.tasks.asking import taught
from tutelage.tasks.contamination import HeldOut
from tutelage.tasks.task import Task
from tutelage.types import Attempt, Feedback, Label, Lesson, Question


class Tutoring(Protocol):
    """What a recipe says about its tutorials."""

    @property
    def teacher(self) -> Who:
        """Who gives the lessons."""
        ...

    @property
    def rationales(self) -> RationalesConfig:
        """How the teacher reasons aloud."""
        ...

    @property
    def feedback(self) -> FeedbackConfig:
        """Which mistakes go up, and what is asked for."""
        ...


class ExamOutcome(NamedTuple):
    """What the exam of a round showed."""

    train: Sequence[Question]
    attempts: Sequence[Attempt]
    mistakes: Sequence[Attempt]
    lessons: Sequence[Lesson]  # learned so far
    step: str = ""  # the exam in which the mistakes were made; "" is that of the round the lessons are for

    def shown(self, most: int) -> dict[str, list[Attempt]]:
        """Up to `most` mistakes a question: those with different answers first."""
        found: dict[str, list[Attempt]] = {}
        for mistake in self.mistakes:
            found.setdefault(mistake.question, []).append(mistake)
        return {key: _different_first(mistakes)[:most] for key, mistakes in found.items()}

    def names(self, shown: Mapping[str, Sequence[Attempt]], number: int) -> dict[str, tuple[str, ...]]:
        """How the lessons of round `number` refer to these mistakes, by question."""
        step = self.step or f"{number}-exam"
        return {key: tuple(feedback.attempt_name(step, one) for one in mistakes) for key, mistakes in shown.items()}


def _different_first(mistakes: Sequence[Attempt]) -> list[Attempt]:
    firsts = {mistake.answer: mistake for mistake in reversed(mistakes)}
    return sorted(mistakes, key=lambda mistake: firsts[mistake.answer] is not mistake)


def lessons_for(
    room: Classroom, config: Tutoring, number: int, errors: ExamOutcome, held_out: Sequence[Question]
) -> list[Lesson]:
    """The lessons of a round: the teacher's feedback on chosen mistakes, or for the ablation plain rationales."""
    settings = config.feedback
    if settings.writes == "own":
        return _own(room, config, number, errors, settings.rationales)
    own = _own(room, config, number, errors, settings.own, "own") if settings.own else []
    return [*own, *_taught(room, config, number, errors, held_out)]


def _taught(
    room: Classroom, config: Tutoring, number: int, errors: ExamOutcome, held_out: Sequence[Question]
) -> list[Lesson]:
    """What the teacher writes in a round."""
    settings = config.feedback
    missed = {mistake.question for mistake in errors.mistakes}
    chosen = _chosen(config, errors, settings.of, random.Random(f"{room.seed}/{number}/choose"))
    which = {
        "missed": "of them",
        "unsolved": "of those that no sample answered rightly",
        "all": "of all, missed or not,",
        "right": "of those answered right",
    }[settings.of]
    if settings.match:
        like = _chosen(config, errors, "missed", random.Random(f"{room.seed}/{number}/choose"))
        chosen = choose_alike(like, _untaught(config, errors), random.Random(f"{room.seed}/{number}/match"))
        which = "of all, as many of each template as of the missed,"
    room.note(f"{number}-exam", f"{len(missed)} questions missed; {len(chosen)} {which} go up to the teacher")
    if not chosen or room.buying.is_over:
        return []
    if settings.writes == "rationales":
        setup = _aloud(config, settings.rationales).setup(config.rationales.form, round_seed(room, number))
        label = _told("rationales", number)
        setup = config.rationales.keeping(setup)
        attempts = room.sit(f"{number}-rationales", config.teacher, chosen, setup, _trial(config), label)
        return room.filter(f"{number}-lessons", attempts, chosen, number)
    return _feedback(room, config, number, chosen, errors, HeldOut(held_out))


def _own(
    room: Classroom, config: Tutoring, number: int, errors: ExamOutcome, each: int, step: str = "lessons"
) -> list[Lesson]:
    """The student's own right answers, `each` a question, of at most as many questions as may go up."""
    settings = config.feedback
    right = {attempt.question for attempt in errors.attempts if attempt.verdict == "right"}
    may = [question for question in errors.train if question.id in right]
    most, rng = settings.questions, random.Random(f"{room.seed}/{number}/own")
    chosen = {question.id for question in choose_questions(settings.choose, most, may, errors.attempts, rng)}
    attempts = [attempt for attempt in errors.attempts if attempt.question in chosen]
    kept = rationales.own_right(attempts, room.task, errors.train, number, each)
    inputs = {"attempts": attempts, "feedback": settings}
    return room.lessons(f"{number}-{step}", kept, inputs, needed=False, who="student")


def _chosen(config: Tutoring, errors: ExamOutcome, of: str, rng: random.Random) -> list[Question]:
    """The questions that go up: of the missed ones, or of all."""
    may = _may_go_up(errors, of)
    candidates = [question for question in _untaught(config, errors, of) if question.id in may]
    most = config.feedback.most(config.rationales.calls)
    return choose_questions(config.feedback.choose, most, candidates, errors.attempts, rng)


def _untaught(config: Tutoring, errors: ExamOutcome, of: str = "all") -> list[Question]:
    """The training questions without a lesson so far, where they are asked for and enough of them are to be had."""
    settings, most = config.feedback, config.feedback.most(config.rationales.calls)
    if not settings.fresh or most is None:
        return list(errors.train)
    taught, may = {lesson.question for lesson in errors.lessons}, _may_go_up(errors, of)
    others = [question for question in errors.train if question.id not in taught]
    enough = sum(question.id in may for question in others) >= most
    return others if enough else list(errors.train)


def _may_go_up(errors: ExamOutcome, of: str) -> set[str]:
    """The questions that were missed, all of them, or those that were answered and never otherwise than right."""
    if of == "all":
        return {question.id for question in errors.train}
    if of in ("missed", "unsolved"):
        solved = {attempt.question for attempt in errors.attempts if attempt.verdict == "right" and of == "unsolved"}
        return {mistake.question for mistake in errors.mistakes} - solved
    otherwise = {attempt.question for attempt in errors.attempts if attempt.verdict != "right"}
    return {attempt.question for attempt in errors.attempts} - otherwise


def _feedback(
    room: Classroom, config: Tutoring, number: int, chosen: Sequence[Question], errors: ExamOutcome, held_out: HeldOut
) -> list[Lesson]:
    settings = config.feedback
    lessons, replies = list[Lesson](), list[Feedback]()
    if settings.form == "scribe":
        lessons, replies = _repairs(room, config, number, chosen, errors)
        # What a limit kept from going up once does not go up again.
        again = {reply.question for reply in replies} - {lesson.question for lesson in lessons}
        chosen = [question for question in chosen if question.id in again]
        if chosen:
            room.note(f"{number}-repairs", f"{len(chosen)} questions go up again, for a whole solution")
    if chosen:
        more, said = _corrections(room, config, number, chosen, errors, replies)
        lessons, replies = [*lessons, *more], [*replies, *said]
    if not settings.practice:
        return lessons
    return [*lessons, *_exercises(room, config, number, replies, held_out)]


def _repairs(
    room: Classroom, config: Tutoring, number: int, chosen: Sequence[Question], errors: ExamOutcome
) -> tuple[list[Lesson], list[Feedback]]:
    """The student's own right steps and how the teacher goes on from them, of one mistake a question."""
    settings = config.feedback
    first = errors.shown(min(settings.shown, 1))
    shown = {key: mistakes[0] for key, mistakes in first.items() if mistakes}
    examples = [lesson.completion for lesson in errors.lessons[:2]]
    chats = [
        scribe.ask_scribe(
            room.task,
            question,
            reflection.as_completion(shown[question.id]) if question.id in shown else "",
            settings,
            examples,
            number,
        )
        for question in chosen
    ]
    names = errors.names(first, number)
    bounds = Bounds(settings.tokens, _trial(config, ", and feedback.form=solution asks for less"))
    sampling = settings.sampling(round_seed(room, number))
    replies = room.ask_teacher(f"{number}-scribe", config.teacher, chats, sampling, names, bounds)
    asked = {question.id: question for question in chosen}
    kept = scribe.keep_repairs(replies, room.task, asked, shown, number)
    inputs = {"replies": replies, "feedback": settings, "shown": list(shown.values())}
    lessons = room.lessons(f"{number}-repairs", kept, inputs, needed=False)
    if settings.diagnosis and (told := scribe.lacking_lines(lessons)):
        room.note(f"{number}-repairs", told)
    return lessons, replies


def _corrections(
    room: Classroom,
    config: Tutoring,
    number: int,
    chosen: Sequence[Question],
    errors: ExamOutcome,
    before: Sequence[Feedback],
) -> tuple[list[Lesson], list[Feedback]]:
    """Whole solutions from the teacher, who is shown the mistakes; `before` are its replies of this round so far."""
    settings, wrong = config.feedback, errors.shown(config.feedback.shown)
    examples = [lesson.completion for lesson in errors.lessons[:2]]
    chats = [
        feedback.ask(room.task, question, [m.text for m in wrong.get(question.id, ())], settings, examples, number)
        for question in chosen
    ]
    names = errors.names(wrong, number)
    left = None if settings.tokens is None else max(0, settings.tokens - tokens_and_calls(before)[0])
    sampling = settings.sampling(round_seed(room, number))
    bounds = Bounds(left, _trial(config))
    replies = room.ask_teacher(f"{number}-feedback", config.teacher, chats, sampling, names, bounds)
    kept = feedback.keep_solutions(
        replies, room.task, {question.id: question for question in chosen}, settings, number, errors.lessons
    )
    inputs = {"replies": replies, "feedback": settings, "learned": list(errors.lessons)}
    if kept.dropped["repeated"] and not kept.lessons:  # nothing new is no failure
        room.note(f"{number}-feedback", kept.line())
        return [], replies
    must = not before and room.buying.until is None
    return room.lessons(f"{number}-lessons", kept, inputs, needed=must), replies


def _exercises(
    room: Classroom, config: Tutoring, number: int, replies: Sequence[Feedback], held_out: HeldOut
) -> list[Lesson]:
    """New exercises in the teacher's replies, those on whose answer its votes agree."""
    settings = config.feedback
    made = practice.exercises(replies, room.task, held_out, settings, number)
    if not made.questions:
        room.note(f"{number}-practice", practice.agreed(made, [], 1).line())
        return []
    setup = _aloud(config, settings.votes).setup(config.rationales.form, round_seed(room, number))
    cast = room.sit(f"{number}-votes", config.teacher, made.questions, setup, _trial(config), _told("votes", number))
    agreed = practice.agreed(made, cast, settings.agree)
    voted_in = {"replies": replies, "votes": cast, "feedback": settings}
    return room.lessons(f"{number}-practice", agreed, voted_in, needed=False)


def _told(what: str, number: int) -> Label:
    return Label(kind=what, who="teacher", round=number, title=f"teacher's {what} in round {number}")


def _aloud(config: Tutoring, samples: int) -> ExamConfig:
    """The teacher solves questions by itself, with the room that its feedback has."""
    settings = config.feedback
    temperature = settings.temperature or (0.7 if samples > 1 else 0.0)
    return ExamConfig(n=samples, temperature=temperature, max_tokens=settings.max_tokens)


def _trial(config: Tutoring, hint: str = "") -> Trial | None:
    """A look at the first replies of each step, unless the user goes on whatever they are."""
    return None if config.rationales.accept_cut else Trial(config.feedback.max_tokens, "feedback", hint)


def round_seed(room: Classroom, number: int) -> int:
    """A round's own seed, far from the seeds of another round's samples, which count up from theirs."""
    return room.seed + 1000 * number


def calls_for(config: Tutoring, task: Task, train: Sequence[Question], asked: int, longest: int) -> list[Expected]:
    """The teacher's calls of one round at the most, where `asked` questions are in its exam and each may be missed.

    `longest` is how many tokens an answer of the student's may have.
    """
    settings = config.feedback
    if settings.writes == "own":
        return []
    most = min(len(train), asked)
    most = min(most, settings.most(config.rationales.calls) or most)
    if most == 0:
        return []
    each = sum(tokens(taught(task.ask(question)).messages[-1].content) for question in train) // len(train)
    if settings.writes == "rationales":
        out, calls = settings.max_tokens, config.rationales.calls * settings.rationales * most
        span = ((0, calls * (each + out // 2)), (0, calls * out // 2))
        return [Expected("further rationales, at the most", calls, *span)]
    prompt = 400 + each + settings.shown * longest
    kinds = ("repairs", "whole solutions instead") if settings.form == "scribe" else ("feedback",)
    span = ((0, most * prompt), (0, most * settings.max_tokens))
    rows = [Expected(f"{kind}, at the most", most, *span) for kind in kinds]
    if settings.practice:
        votes = config.rationales.calls * most * settings.practice * settings.votes
        span = ((0, votes * each * 3), (0, votes * settings.max_tokens // 2))
        rows.append(Expected("votes on exercises, at the most", votes, *span))
    return rows
