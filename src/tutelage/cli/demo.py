"""The demo: one config that shows the method on a laptop's CPU, and the answers behind its numbers."""

from importlib import resources
from pathlib import Path

import yaml
from rich.console import Console

from tutelage.lessons import replies
from tutelage.printing import shown
from tutelage.runs import history
from tutelage.types import Attempt, Feedback, JsonObject, Lesson, Question


def demo_config() -> JsonObject:
    """The demo's config, a plain run of tailored learning."""
    text = resources.files("tutelage").joinpath("demo.yaml").read_text(encoding="utf-8")
    loaded: JsonObject = yaml.safe_load(text)
    return loaded


# What the demo multiplies, in GFLOP: seconds x rate of each kind of step, measured in one run on an idle machine (LOG.md).
_WORK = {"training": 125_000.0, "decoding": 51_000.0}
_REST = 23.0  # seconds of everything else


def estimate() -> str:
    """How long the demo will take on this machine, by its speed in products of matrices."""
    from tutelage.machine import machine
    from tutelage.models.local import devices, precision

    device = devices.choose_device("auto")
    if device != "cpu":
        return f"about a minute on this machine's {device}; on one H200 it took 52 seconds (LOG.md)"
    rates, threads = precision.measured(), machine()["threads"]
    seconds, told = _REST, []
    for use in ("training", "decoding"):
        kind = precision.choose(use, device)
        rate = rates[use][kind] * int(threads) ** 0.9  # two threads do 1.7 to 2.0 times the work of one
        seconds += _WORK[use] / rate
        told.append(f"{rate:.0f} GFLOP/s in {use} ({kind})")
    return f"about {max(1, round(seconds / 60))} minutes on this machine if it is idle: products of matrices should run at {' and '.join(told)}"


def show_answers(run: Path, console: Console) -> None:
    """Print one mistake of round 1, what the teacher said of it, the lesson, and the next answer to the same question."""
    found = _mended(run)
    if found is None:
        console.print("\nNo question that was missed in round 1 was answered rightly after round 2.")
        return
    question, before, reply, lesson, after = found
    parts = [
        ("question", tasks_text(question)),
        ("after round 1", f"{before.verdict}: {_short(before.text)}"),
        (
            "the teacher",
            f"{replies.diagnosis_of(reply.text)} (the teacher here is no model: it compares with the solution)",
        ),
        ("a lesson", lesson.completion),
        ("after round 2", f"{after.verdict}: {_short(after.text)}"),
    ]
    console.print()
    for label, text in parts:
        console.print(shown((f"{label:<14}", "bold"), text))


def tasks_text(question: Question) -> str:
    """The question on one line."""
    return " ".join(question.text.split())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:300] + " …"


def _mended(run: Path) -> tuple[Question, Attempt, Feedback, Lesson, Attempt] | None:
    """The first question that was missed, taught, and then answered rightly."""
    told = history.open_run(run)
    ours = [view for view in told.exam_views if view.whole and view.label.who == "student"]
    trained = [view for view in ours if view.label.split == told.config["questions"]["train"]]
    replies = {reply.question: reply for given in told.feedback.values() for reply in given}
    lessons = {lesson.question: lesson for lesson in told.lessons if lesson.kind == "feedback"}
    missed: dict[str, Attempt] = {}
    for view in trained:
        for after in view.attempts:
            name = after.question
            if after.verdict == "right" and name in missed and name in replies and name in lessons:
                return told.questions[name], missed[name], replies[name], lessons[name], after
        missed |= {one.question: one for one in view.attempts if one.verdict == "wrong"}
    return None
