"""How a student's answers change from round to round beside being right: their length, their ends, and how alike they are."""

from collections.abc import Sequence

from tutelage.evaluation.canaries import canaries
from tutelage.evaluation.pairs import compare_exams
from tutelage.evaluation.scoreboard import score
from tutelage.report.sections import Section, Table
from tutelage.runs.history import ExamView, RunHistory

HEADINGS = (
    "exam of the student",
    "answers",
    "mean tokens",
    "cut off",
    "ended by themselves",
    "shrink",
    "entropy",
    "same as another's",
)
SEVERAL = ("pass@1", "pass@n")  # where an exam has several samples a question
NOTE = (
    "shrink: how many times smaller a text is when it is compressed, the median; one that says the same over and over shrinks most. "
    "Entropy: nats a token, of what the student might have written next (at temperature 1), the mean over its answers' tokens, "
    "by those of a few answers of each batch. Same as another's: answers that are letter for letter the answer to another question. A change from round to round is a sign to look at the "
    "answers, not a measurement."
)
FORGETTING = "The same questions of a task that is not taught, asked in the same words before any training and after each: what is lost was forgotten."


def signs(run: RunHistory, of: str) -> Section:
    """Every exam of the student in the order it was sat; nothing where there is only one."""
    sat = [
        (one.title, canaries(one.attempts), _entropy(run, one.step))
        for one in run.exam_views
        if one.label.who == "student" and one.label.kind in ("exam", "review") and one.attempts
    ]
    tables = [_elsewhere(run.elsewhere)] if run.elsewhere else []
    lines = [f"{one['step']}: {one['line']}." for one in run.events if one["event"] == "note" and one.get("sign")]
    if len(sat) < 2:
        return Section(f"Signs{of}", tables=tables, lines=lines) if tables or lines else Section("")
    sampled = any(found.once is not None for _, found, _ in sat)
    rows = []
    for title, found, nats in sat:
        entropy = "" if nats is None else f"{nats:.2f}"
        told = [f"{found.cut:.1%}", f"{found.ended:.1%}", f"{found.shrinks:.2f}", entropy, f"{found.alike:.1%}"]
        once = ["", ""] if found.once is None else [f"{found.once:.1%}", f"{found.several:.1%} (n={found.samples})"]
        rows.append([title, str(found.answers), f"{found.tokens:.1f}", *told, *(once if sampled else [])])
    return Section(
        f"Signs{of}", tables=[Table((*HEADINGS, *(SEVERAL if sampled else ())), rows, NOTE), *tables], lines=lines
    )


def _entropy(run: RunHistory, step: str) -> float | None:
    """How undecided a local model was in a step's answers: nats a token in the mean, where it was noted."""
    told = [event for event in run.events if event["event"] == "entropy" and event.get("step") == step]
    seen = [(one.get("nats"), one.get("tokens")) for one in told]
    known = [(n, t) for n, t in seen if isinstance(n, int | float) and isinstance(t, int) and t > 0]
    return sum(n * t for n, t in known) / sum(t for _, t in known) if known else None


def _elsewhere(views: Sequence[ExamView]) -> Table:
    """What the student keeps of another task: each exam about it, and its difference from that of the student as it came."""
    rows = []
    for view in [view for view in views if view.attempts]:
        told = score(view.attempts)
        sure = f"{told.accuracy:.1%} [{told.low:.1%}, {told.high:.1%}]"
        rows.append([view.label.title, str(told.questions), sure, f"{told.unread:.1%}", _since(views[0], view)])
    return Table(("another task", "n", "accuracy", "unread", "since it came"), rows, FORGETTING)


def _since(first: ExamView, view: ExamView) -> str:
    """The paired difference of two whole exams on the same questions."""
    if view is first or not (first.whole and view.whole):
        return ""
    found = compare_exams(first.attempts, view.attempts)
    return f"{100 * found.difference:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
