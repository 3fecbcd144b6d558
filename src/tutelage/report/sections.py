"""What a report says of one run, as plain tables and figures: the page and the text file are two forms of it."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

import yaml
from markupsafe import Markup

from tutelage import __version__
from tutelage.errors import DataError, TutelageError
from tutelage.evaluation.pairs import compare_exams
from tutelage.evaluation.scoreboard import Score, score
from tutelage.printing import visible
from tutelage.recipes import catalog
from tutelage.report import figures
from tutelage.runs.history import ExamView, RunHistory
from tutelage.types import Attempt, JsonObject

_VERSION = __version__


class Table(NamedTuple):
    """A table: headings and rows of text. `note` stands under it."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Section(NamedTuple):
    """One part of a report: figures, each with the tables that hold its numbers."""

    title: str
    figures: Sequence[tuple[str, Markup]] = ()  # (caption, SVG)
    tables: Sequence[Table] = ()
    lines: Sequence[str] = ()
    open: bool = False  # whether the tables stand open beside the figure


HEADINGS = ("exam", "accuracy", "95 % interval", "strict", "n", "unread", "cut off", "tokens")
PAIRED = (
    "exams on the same questions",
    "before",
    "after",
    "difference",
    "95 % interval",
    "p (McNemar)",
    "fixed",
    "broken",
)


def state_line(run: RunHistory) -> str:
    """How a run ended, and what is missing of it."""
    more = f" Not there yet: {', '.join(run.missing())}." if run.missing() else ""
    go_on = f" Go on with: tutelage run {_config_of(run)}"
    if run.state == "finished":
        return "Finished."
    if run.state == "running":
        return f"Still running.{more}"
    return (f"Failed: {visible(run.error)}." if run.state == "failed" else "Stopped before its end.") + more + go_on


def _config_of(run: RunHistory) -> str:
    return visible(shlex.quote(str(run.path / "config.yaml")))


def headline(run: RunHistory) -> str:
    """What came of a run, in a sentence or two."""
    ours = final(run)
    if not ours:
        return "No exam of the student is finished yet."
    last, first = score(ours[-1].attempts), score(ours[0].attempts)
    text = (
        f"{ours[-1].title}: {last.accuracy:.1%} right ({last.low:.1%} to {last.high:.1%}) of {last.questions} questions"
    )
    text += f"; {ours[0].title}: {first.accuracy:.1%}." if len(ours) > 1 else "."
    if len(ours) > 2 and (cells := paired(ours[-2].attempts, ours[-1].attempts)):
        _, _, rise, span, chance, *_ = cells
        text += f" The last round made {rise} points ({span}){f', p = {chance}' if chance else ''}."
    kept = next((step.note for step in run.of("award")), "")
    return text + (f" Kept: {kept}." if kept else "")


def score_row(label: str, found: Score) -> list[str]:
    samples = f" x {found.samples}" if found.samples > 1 else ""
    return [
        label, f"{found.accuracy:.1%}", f"{found.low:.1%} to {found.high:.1%}", f"{found.strict:.1%}",
        f"{found.questions}{samples}", f"{found.unread:.1%}", f"{found.truncated:.1%}", f"{found.tokens:.0f}",
    ]  # fmt: skip


def paired(before: Sequence[Attempt], after: Sequence[Attempt]) -> list[str]:
    """A paired comparison as cells; none where the exams are not on the same questions."""
    try:
        found = compare_exams(before, after)
    except DataError:
        return []
    return [
        f"{found.before:.1%}", f"{found.after:.1%}", f"{100 * found.difference:+.1f}",
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f}", "" if found.p is None else f"{found.p:.2g}",
        str(len(found.fixed)), str(len(found.broken)),
    ]  # fmt: skip


def final(run: RunHistory) -> list[ExamView]:
    """The student's exams of the final table, in the order of the rounds."""
    ours = [
        sitting
        for sitting in run.exam_views
        if sitting.step in run.promised and sitting.label.who == "student" and sitting.whole
    ]
    return sorted((sitting for sitting in ours if sitting.attempts), key=lambda sitting: sitting.label.round or 0)


def changes(run: RunHistory, of: str) -> Section:
    """Each of the student's exams against the one before it."""
    ours = final(run)
    every = [[f"{a.title} -> {b.title}", *paired(a.attempts, b.attempts)] for a, b in pairwise(ours)]
    rows = [row for row in every if len(row) > 1]
    return Section(f"Round by round{of}", tables=[Table(PAIRED, rows)] if rows else [])


def verdicts(run: RunHistory, of: str) -> Section:
    """Right, wrong and unread of every exam the student sat."""
    shown, rows = [], []
    for sitting in run.exam_views:
        if sitting.attempts and sitting.label.who != "teacher":
            count = Counter(attempt.verdict for attempt in sitting.attempts)
            cut = sum(attempt.truncated for attempt in sitting.attempts)
            total, title = len(sitting.attempts), sitting.title + ("" if sitting.whole else " (unfinished)")
            parts = [(verdict, count[verdict] / total) for verdict in ("right", "wrong", "unread")]
            shown.append(figures.Bar(title, parts, f"{count['right']} of {total} right"))
            rows.append([title, *(str(count[verdict]) for verdict in ("right", "wrong", "unread")), str(cut)])
    if not rows:
        return Section("")
    caption = "Right, wrong and unread answers of the student's exams, on training questions too"
    table = Table(("exam", "right", "wrong", "unread", "of these cut off"), rows)
    return Section(f"Every exam{of}", [(caption, figures.bars(shown, caption))], [table])


def lessons_section(run: RunHistory, of: str) -> Section:
    several = len({lesson.teacher for lesson in run.lessons}) > 1  # else each row would name the same one
    count = Counter((lesson.round, lesson.kind, lesson.teacher if several else "") for lesson in run.lessons)
    rows, shown = [], []
    for (number, kind, teacher), made in sorted(count.items()):
        who = [teacher or "not named"] if several else []
        rows.append([str(number or 1), kind, *who, str(made)])
        shown.append(figures.Bar(", ".join([f"round {number or 1}: {kind}", *who]), [("lesson", made)], str(made)))
    accounts = [f"{step.name}: {step.note}" for step in run.of("lessons") if step.note]
    if not rows:
        return Section("")
    caption = "Lessons by round, kind and teacher" if several else "Lessons by round and kind"
    headings = ("round", "kind", *["teacher"] * several, "lessons")
    return Section(f"Lessons{of}", [(caption, figures.bars(shown, caption))], [Table(headings, rows)], accounts)


def effort(run: RunHistory, of: str) -> Section:
    """Where time, tokens and money went."""
    timed = [step for step in run.steps if step.whole and step.seconds >= 0.5]
    caption = "Time by step"
    shown = [figures.Bar(step.name, [("time", step.seconds)], clock(step.seconds)) for step in timed]
    tables = [Table(("step", "seconds"), [[step.name, f"{step.seconds:.1f}"] for step in timed])] if timed else []
    if rows := _spending(run):
        tables.append(Table(("asked of the teacher", "calls", "tokens in", "tokens out", "dollars"), rows))
    total = f"{clock(sum(step.seconds for step in run.steps))} in all"
    chart = [(f"{caption}: {total}", figures.bars(shown, caption))] if shown else []
    return Section(f"Time and money{of}", chart, tables)


def _spending(run: RunHistory) -> list[list[str]]:
    rows = []
    for step in dict.fromkeys(row.step for row in run.spent):
        own = [row for row in run.spent if row.step == step]
        known = [row.dollars for row in own if row.dollars is not None or not (row.tokens_in or row.tokens_out)]
        priced = len(known) == len(own)
        dollars = f"${sum((Decimal(one) for one in known if one), Decimal()):.4f}" if priced else "unpriced"
        sums = [sum(row.calls for row in own), sum(row.tokens_in for row in own), sum(row.tokens_out for row in own)]
        rows.append([step, *(f"{one:,}" for one in sums), dollars])
    return rows


def paid(run: RunHistory) -> list[tuple[int, Score, str]]:
    """Of each of the student's exams: the teacher's tokens until then, its score and its title."""
    tokens: Counter[int] = Counter()
    for sitting in run.exam_views:
        if sitting.label.kind in ("rationales", "votes"):
            tokens[sitting.label.round or 1] += sum(a.tokens_in + a.tokens_out for a in sitting.attempts)
    for step in run.of("feedback"):
        tokens[step.label.round or 1] += sum(one.tokens_in + one.tokens_out for one in run.feedback[step.name])
    return [
        (
            sum(count for number, count in tokens.items() if number <= (sitting.label.round or 0)),
            score(sitting.attempts),
            sitting.title,
        )
        for sitting in final(run)
    ]


def trainings(trained: Sequence[tuple[str, JsonObject]]) -> tuple[list[str], list[list[str]]]:
    """A table of trainings by their titles: headings and rows, with a column for whatever any objective told."""
    numbers = list(dict.fromkeys(name for _, facts in trained for name in facts["numbers"]))
    shares = list(dict.fromkeys(name for _, facts in trained for name in facts["active"]))
    headings = ["training", "lessons", "steps", "first loss", "last loss"]
    headings += [*(f"last {name}" for name in numbers), *(f"{name} active" for name in shares), "tokens", "seconds"]
    rows = []
    for title, facts in trained:
        told = [f"{curve[-1]:.3f}" if (curve := facts["numbers"].get(name)) else "" for name in numbers]
        active = [f"{facts['active'][name]:.0%}" if name in facts["active"] else "off" for name in shares]
        losses = [f"{facts['first_loss']:.3f}", f"{facts['last_loss']:.3f}"]
        counts = [f"{facts['tokens']:,}", f"{facts['seconds']:.0f}"]
        rows.append([title, f"{facts['lessons']:,}", f"{facts['steps']:,}", *losses, *told, *active, *counts])
    return headings, rows


def making(run: RunHistory, of: str) -> Section:
    facts = run.facts
    versions = ", ".join(f"{name} {number}" for name, number in facts.get("versions", {}).items())
    found = [event for event in run.events if event["event"] == "contamination"]
    rows = [
        ["state", state_line(run)],
        ["started", str(facts.get("started", ""))],
        ["machine", f"{_machine(facts)}, Python {facts.get('python', '')}"],
        *[["warning", str(event.get("line", ""))] for event in run.events if event["event"] == "warning"],
        *[["not known here", line] for line in unknown(run)],
        ["versions", versions],
        [
            "commit of the folder it began in",
            f"{facts.get('commit', '')}{' with local changes' if facts.get('dirty') or facts.get('diff') else ''}",
        ],
        ["answers read by", str(facts.get("grader", ""))],
        ["seed", str(run.config.get("seed", ""))],
        ["first command", str(facts.get("command", ""))],
        ["the same again", f"tutelage run {_config_of(run)} --into ANOTHER_FOLDER"],
        *[["train and test", line] for line in run.notes("train")],
        *[[f"{one['kind']} text", f"{one['question']} and {one['held_out']}: {one['text']}"] for one in found],
    ]
    lines = [yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)]
    asked = next((reply.prompt for replies in run.feedback.values() for reply in replies if reply.prompt), "")
    return Section(
        f"How it was made{of}", tables=[Table(("what", "how"), rows)], lines=[*lines, asked] if asked else lines
    )


def _machine(facts: JsonObject) -> str:
    """Where a run began, and what it chose to compute in there."""
    told = facts.get("machine", "")
    parts = [f"{name} {value}" for name, value in told.items()] if isinstance(told, Mapping) else [str(told)]
    chosen = [f"{use} in {kind}" for use, kind in facts.get("settled", {}).items()]
    return ", ".join(filter(None, [str(facts.get("system", "")), *parts, *chosen]))


def unknown(run: RunHistory) -> list[str]:
    """What of a run this version does not know: it is shown all the same, by its labels."""
    made = run.facts.get("versions", {}).get("tutelage", "")
    try:
        catalog.check_config(run.config, "its config")
    except TutelageError as error:
        told = f"{error} (the run was made by tutelage {made or 'of an unknown version'}; this is {_VERSION})"
        return [told, *run.unread]
    return run.unread


def clock(seconds: float) -> str:
    """A length of time as a person says it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"
