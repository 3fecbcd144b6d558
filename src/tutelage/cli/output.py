"""What a person sees in the terminal: a bar for the step in hand, one line a finished step, a table at the end."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tutelage.evaluation.scoreboard import Score
from tutelage.printing import emit_event, shown, visible
from tutelage.report.status import losses_line
from tutelage.types import JsonObject


class View:
    """Listens to a run's events. Where the output is no terminal there are lines only."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._seconds: dict[str, str] = {}
        self._bar = Progress(
            TextColumn("{task.description:>16}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[extra]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "View":
        self._bar.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._bar.stop()

    def __call__(self, event: JsonObject) -> None:
        """Show one event."""
        kind, step = event["event"], event.get("step", "")
        if kind == "session":
            self._line("run", event["what"])
        elif kind == "started":
            self._drop_bar()
            self._task = self._bar.add_task(visible(named(step)), total=None, extra="")
        elif kind == "progress" and self._task is not None:
            self._bar.update(self._task, completed=event["done"], total=event["of"], extra=how_it_goes(event))
        elif kind == "traffic" and self._task is not None:
            self._bar.update(self._task, extra=visible(_traffic(event)))
        elif kind in ("waiting", "spending", "teacher"):
            self._line("teacher", event["line"])
        elif kind == "finished":
            self._drop_bar()
            self._seconds[step] = f"{event['seconds']:.0f} s"
        elif kind == "reused":
            self._seconds[step] = "kept"
        elif kind == "warning":
            self._line("warning", event["line"])
        elif kind == "note":
            self._line(step, event["line"])

    def _drop_bar(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def _line(self, step: str, text: str) -> None:
        time = f"  ({self._seconds[step]})" if step in self._seconds else ""
        line = shown((f"{step:>16}", "bold"), "  ", text, (time, "dim"))
        self.console.print(line, soft_wrap=True)


class Events:
    """Listens to a run's events and prints each as one line of JSON, for programs."""

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def __call__(self, event: JsonObject) -> None:
        """Print one event."""
        emit_event(event)


def named(step: str) -> str:
    """A step as a person says it: "2-exam" is the exam of round 2."""
    number, dash, name = step.partition("-")
    return f"round {number}, {name}" if dash and number.isdigit() else step


def how_it_goes(tick: JsonObject) -> str:
    """What a progress event says besides how far it is: the loss and its objectives' numbers, or what was right so far."""
    if "loss" in tick:
        return losses_line(tick)
    if "right" in tick and tick["done"]:
        unread = f", {tick['unread'] / tick['done']:.0%} unread" if tick["unread"] else ""
        return f"{tick['right'] / tick['done']:.0%} right{unread}"
    return ""


def _traffic(event: JsonObject) -> str:
    """How the asking goes, behind the bar."""
    state, left = event["state"], event["left"]
    parts = [f"{state.in_flight} in flight", f"{state.retries} retried" if state.retries else "", event["spent"]]
    return ", ".join(part for part in (*parts, f"left: {left}" if left else "") if part)


def score_table(scores: Mapping[str, Score], title: str) -> Table:
    """The scores of a run, each with n, its interval and what could not be read; the strict reading where it differs."""
    strict = any(score.strict != score.accuracy for score in scores.values())
    table = Table(title=shown(title), title_justify="left", caption_justify="left")
    table.caption = None if strict else "read strictly: the same"
    table.add_column("exam")
    headings = ["accuracy", "95 % interval", *(["strict"] if strict else []), "n", "unread", "cut off", "tokens"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, score in scores.items():
        samples = f" x {score.samples}" if score.samples > 1 else ""
        table.add_row(
            shown(name),
            f"{score.accuracy:.1%}",
            f"{score.low:.1%} to {score.high:.1%}",
            *([f"{score.strict:.1%}"] if strict else []),
            f"{score.questions}{samples}",
            f"{score.unread:.1%}",
            f"{score.truncated:.1%}",
            f"{score.tokens:.0f}",
        )
    return table
