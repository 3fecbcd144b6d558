"""How a student's answers change from round to round beside being right: their length, their ends, and how alike they are."""

from tutelage.evaluation.canaries import canaries
from tutelage.report.sections import Section, Table
from tutelage.runs.history import RunHistory

HEADINGS = (
    "exam of the student",
    "answers",
    "mean tokens",
    "cut off",
    "ended by themselves",
    "shrink",
    "same as another's",
)
SEVERAL = ("pass@1", "pass@n")  # where an exam has several samples a question
NOTE = (
    "shrink: how many times smaller a text is when it is compressed, the median; one that says the same over and over shrinks most. Same as "
    "another's: answers that are letter for letter the answer to another question. A change from round to round is a sign to look at the "
    "answers, not a measurement."
)


def signs(run: RunHistory, of: str) -> Section:
    """Every exam of the student in the order it was sat; nothing where there is only one."""
    sat = [
        (one.title, canaries(one.attempts))
        for one in run.exam_views
        if one.label.who == "student" and one.label.kind in ("exam", "review") and one.attempts
    ]
    if len(sat) < 2:
        return Section("")
    sampled = any(found.once is not None for _, found in sat)
    rows = []
    for title, found in sat:
        told = [f"{found.cut:.1%}", f"{found.ended:.1%}", f"{found.shrinks:.2f}", f"{found.alike:.1%}"]
        once = ["", ""] if found.once is None else [f"{found.once:.1%}", f"{found.several:.1%} (n={found.samples})"]
        rows.append([title, str(found.answers), f"{found.tokens:.1f}", *told, *(once if sampled else [])])
    return Section(f"Signs{of}", tables=[Table((*HEADINGS, *(SEVERAL if sampled else ())), rows, NOTE)])
