"""How a run stands: working, finished, stopped or failed, and how far it is."""

import time

from tutelage.evaluation.scoreboard import score
from tutelage.report.sections import clock, state_line
from tutelage.runs.history import RunHistory
from tutelage.types import JsonObject


def now(run: RunHistory) -> str:
    """One line on what the run is doing at this moment."""
    tick = run.tick
    if run.state != "running":
        return state_line(run)
    unfinished = [step.name for step in run.steps if not step.whole]
    if not unfinished:
        return "Running."
    line = f"Running: {unfinished[-1]}"
    if tick.get("step") != unfinished[-1]:
        return f"{line}."
    loss = f", {losses_line(tick)}" if "loss" in tick else ""
    right = f", {tick['right'] / tick['done']:.0%} right" if tick.get("done") and "right" in tick else ""
    return f"{line}, {tick['done']} of {tick['of']}{loss}{right}, {clock(time.time() - tick['time'])} ago."


def losses_line(tick: JsonObject) -> str:
    """The loss of a training step, and what its objectives told."""
    numbers = {"loss": tick["loss"], **tick.get("numbers", {})}
    return ", ".join(f"{name} {number:.3f}" for name, number in numbers.items())


def lines(run: RunHistory) -> list[str]:
    """The whole state as lines: what is done, what it showed, what is missing."""
    told = [now(run)]
    for step in run.steps:
        what = step.note or ("done" if step.whole else "unfinished")
        told.append(f"{step.name:>16}  {what}" + (f"  ({clock(step.seconds)})" if step.whole else ""))
    told += [f"not read: {line}" for line in run.unread]
    told += [f"{title}: {score(attempts).line()}" for title, attempts in run.exams().items()]
    return told


def status_facts(run: RunHistory) -> JsonObject:
    """The same for programs."""
    return {
        "run": str(run.path),
        "state": run.state,
        "error": run.error,
        "now": now(run),
        "progress": run.tick if run.state == "running" else {},
        "steps": [{"step": s.name, "finished": s.whole, "seconds": s.seconds, "note": s.note} for s in run.steps],
        "scores": {title: score(attempts) for title, attempts in run.exams().items()},
        "missing": run.missing(),
        "unread": run.unread,
    }
