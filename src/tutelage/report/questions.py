"""Every question of a run with the student's answers round by round, what the teacher said, and what was learned."""

from collections import defaultdict
from collections.abc import Sequence

from tutelage.lessons import feedback
from tutelage.lessons.replies import diagnosis_of
from tutelage.runs.history import ExamView, RunHistory
from tutelage.tasks.asking import zero_shot_cot
from tutelage.types import Attempt, Chat, Feedback, JsonObject, Lesson, Message, Question

_MOST = 20_000  # characters of one text; the rest stays in the run's folder

# What became of a question, and how a reader is told.
OUTCOMES = {
    "fixed": "mistakes fixed",
    "wrong": "still wrong",
    "broken": "newly broken",
    "unread": "unread",
    "right": "right throughout",
    "once": "asked once",
    "untold": "not examined",
}


def pages(run: RunHistory) -> JsonObject:
    """The book of one run as plain data: its exams, and a page a question."""
    exam_views = [sitting for sitting in run.exam_views if sitting.attempts]
    answers: dict[str, list[tuple[int, Attempt]]] = defaultdict(list)
    for place, sitting in enumerate(exam_views):
        for attempt in sitting.attempts:
            answers[attempt.question].append((place, attempt))
    lessons: dict[str, list[Lesson]] = defaultdict(list)
    for lesson in run.lessons:
        lessons[lesson.question.partition("~")[0]].append(lesson)  # an exercise belongs to the question it is like
    said: dict[str, list[JsonObject]] = defaultdict(list)
    for step, replies in run.feedback.items():
        for line, reply in enumerate(replies, 1):
            said[reply.question].append(_said(step, line, reply))
    names = [name for name in dict.fromkeys((*answers, *lessons, *said)) if "~" not in name]
    return {
        "name": run.name,
        "exams": [
            {"step": s.step, "title": s.title + ("" if s.whole else " (unfinished)"), "role": s.label.who}
            for s in exam_views
        ],
        # The book opens with what was examined.
        "questions": sorted(
            (
                _page(name, run.questions.get(name), exam_views, answers[name], lessons[name]) | {"said": said[name]}
                for name in names
            ),
            key=lambda page: page["outcome"] == "untold",
        ),
    }


def _page(
    name: str,
    question: Question | None,
    exam_views: Sequence[ExamView],
    answers: Sequence[tuple[int, Attempt]],
    lessons: Sequence[Lesson],
) -> JsonObject:
    asked = next((lesson.prompt for lesson in lessons if lesson.question == name), _asked(question))
    return {
        "id": name,
        "text": _cut(asked),
        "gold": question.answer if question else "",
        "split": question.split if question else "",
        "kind": question.template if question else "",
        "outcome": outcome(exam_views, answers),
        "answers": [_answer(exam_views[place], place, attempt) for place, attempt in answers],
        "lessons": [_lesson(lesson, name) for lesson in lessons],
    }


def outcome(exam_views: Sequence[ExamView], answers: Sequence[tuple[int, Attempt]]) -> str:
    """What became of a question over the student's exams: a key of `OUTCOMES`.

    The student as it came counts only where there are fewer than two later exams to compare.
    """
    by_exam: dict[int, list[Attempt]] = defaultdict(list)
    for place, attempt in answers:
        label = exam_views[place].label
        if label.who == "student" and label.round is not None:
            by_exam[place].append(attempt)
    order = sorted(by_exam, key=lambda place: (exam_views[place].label.round or 0, place))
    taught = [place for place in order if exam_views[place].label.round]
    verdicts = [_together(by_exam[place]) for place in (taught if len(taught) > 1 else order)]
    if not verdicts:
        return "untold"
    if verdicts[-1] == "unread":
        return "unread"
    if len(verdicts) == 1:
        return "once"
    if verdicts[-1] == "right":
        return "right" if set(verdicts) == {"right"} else "fixed"
    return "broken" if "right" in verdicts else "wrong"


def _together(attempts: Sequence[Attempt]) -> str:
    """Several samples as one verdict: right if more than half are; unread if none could be read."""
    right = sum(attempt.verdict == "right" for attempt in attempts)
    if right * 2 > len(attempts):
        return "right"
    return "unread" if all(attempt.verdict == "unread" for attempt in attempts) else "wrong"


def _answer(sitting: ExamView, place: int, attempt: Attempt) -> JsonObject:
    told = {
        "exam": place,
        "sample": attempt.sample,
        "verdict": attempt.verdict,
        "text": _cut(attempt.text),
        "second": _cut(attempt.answer_text),
        "read": _cut(attempt.answer or ""),
        "cut": attempt.truncated,
        "error": attempt.error or attempt.remark,
        "key": attempt.key,
        "name": feedback.attempt_name(sitting.step, attempt),
    }
    return _filled(told)


def _filled(told: JsonObject) -> JsonObject:
    """What says something; the script takes the rest for empty. A 0 is the place of the first exam, or the first sample."""
    return {key: value for key, value in told.items() if value not in ("", []) and value is not False}


def _said(step: str, line: int, reply: Feedback) -> JsonObject:
    told = {
        "step": step,
        "place": f"{step}/records.jsonl:{line}",
        "error": _cut(diagnosis_of(reply.text)),
        "reply": _cut(reply.text),
        "prompt": _cut(reply.prompt),
        "attempts": list(reply.attempts),
        "key": reply.key,
        "failed": reply.error,
    }
    return _filled(told)


def _lesson(lesson: Lesson, page: str) -> JsonObject:
    plain = lesson.kind == "rationale"
    told = {
        "round": lesson.round or 1,
        "kind": lesson.kind,
        "text": _cut(lesson.completion),
        "kept": _cut(lesson.completion[: lesson.kept]),
        "prompt": _cut(lesson.prompt) if lesson.question != page else "",
        "key": lesson.key,
        "attempts": list(lesson.attempts),
        # Plain rationales are asked for in one way, so the request can be written out again.
        "request": _cut(_first_call(lesson.prompt)) if plain else "",
    }
    return _filled(told)


def _first_call(prompt: str) -> str:
    return zero_shot_cot(Chat(messages=(Message("user", prompt),))).messages[-1].content


def _asked(question: Question | None) -> str:
    if question is None:
        return "(the run's folder does not hold this question)"
    return "\n".join([question.text, *question.choices])


def _cut(text: str) -> str:
    return (
        text if len(text) <= _MOST else f"{text[:_MOST]} … ({len(text) - _MOST:,} characters more in the run's folder)"
    )
