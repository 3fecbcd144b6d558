"""Accuracy by kind of question, and on kinds that lessons are about beside those that none is about."""

from collections import Counter

from tutelage.evaluation.scoreboard import score
from tutelage.report.sections import Section, Table, final
from tutelage.runs.history import RunHistory

_TEMPLATES = 40  # rows of the table by template


def templates(run: RunHistory, of: str) -> Section:
    """Accuracy by the template, or the kind, of question."""
    ours = final(run)
    template = {question.id: question.template for question in run.questions.values() if question.template}
    count = Counter(
        template[attempt.question]
        for sitting in ours[-1:]
        for attempt in sitting.attempts
        if attempt.question in template
    )
    if len(count) < 2:
        return Section("")
    rows = []
    for name, asked in count.most_common(_TEMPLATES):
        shares = []
        for sitting in ours:
            own = [attempt for attempt in sitting.attempts if template.get(attempt.question) == name]
            shares.append(f"{sum(a.verdict == 'right' for a in own) / len(own):.0%}" if own else "")
        rows.append([name, str(asked), *shares])
    tables = [table for table in [new_kinds(run)] if table]
    more = f"The {_TEMPLATES} most frequent of {len(count)}. " if len(count) > _TEMPLATES else ""
    note = f"{more}Few questions each: read a row as a hint, not as a measurement."
    tables.append(Table(("kind", "n", *(s.title for s in ours)), rows, note))
    return Section(f"By kind of question{of}", tables=tables)


def new_kinds(run: RunHistory) -> Table | None:
    """The student's exams on kinds of question that lessons are about, beside kinds that none is about; None where all are of one side."""
    ours = final(run)
    template = {question.id: question.template for question in run.questions.values() if question.template}
    taught = {template.get(lesson.question) for lesson in run.lessons}
    if not template:
        return None
    sides = {"that lessons are about": True, "that no lesson is about": False}
    rows = []
    for name, is_taught in sides.items():
        own = [[a for a in view.attempts if (template.get(a.question) in taught) == is_taught] for view in ours]
        if not any(own):
            return None
        found = [score(attempts) if attempts else None for attempts in own]  # an exam may have asked none of them
        count = next(one.questions for one in reversed(found) if one)
        shares = (f"{one.accuracy:.1%} [{one.low:.1%}, {one.high:.1%}]" if one else "" for one in found)
        rows.append([name, str(count), *shares])
    return Table(("kinds of question", "n", *(view.title for view in ours)), rows)


def sentence(run: RunHistory) -> str:
    """The last two of the student's exams on kinds that lessons are about and on new ones; empty where there are no new ones."""
    found = new_kinds(run)
    told = []
    for name, count, *shares in found.rows if found else ():
        told.append(
            f"of the {count} questions of kinds {name} {' -> '.join(one.partition(' ')[0] for one in shares[-2:])}"
        )
    return f" Right {', '.join(told)}." if told else ""
