"""What is said of a step that is done, in a line or a few."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tutelage.evaluation import scoreboard
from tutelage.runs import history
from tutelage.runs.labels import Labels
from tutelage.runs.reading import by_objective
from tutelage.types import Attempt, Feedback, JsonObject

_EMPTY = 0.25  # a share of padding that is worth a word


def of_training(facts: JsonObject) -> Iterator[str]:
    """How a training went, and what of it should not go unseen."""
    facts = by_objective(facts)
    dropped = f", {facts['too_long']} too long and dropped" if facts["too_long"] else ""
    dropped += f", {facts['unused']} that no objective uses" if facts.get("unused") else ""
    shares = [f"{name} {share:.0%}" for name, share in facts["active"].items()]
    dropped += f", active for {', '.join(shares)} of them" if shares else ""
    several = facts.get("processes", 1)
    dropped += f", on {several} processes" if several > 1 else ""
    dropped += f", on {several} of {facts['visible_gpus']} GPUs" if facts.get("visible_gpus", 0) > several else ""
    yield (
        f"loss {facts['first_loss']:.2f} -> {facts['last_loss']:.2f} in {facts['steps']} steps, "
        f"{facts['lessons']} lessons{dropped}, {facts['tokens'] / max(facts['seconds'], 0.1):.0f} tokens/s"
    )
    if facts.get("halved"):
        yield f"out of memory {facts['halved']} times: {facts['at_once']} lessons at once (training.micro_batch={facts['at_once']} begins so)"
    if facts.get("deaths"):
        yield f"begun again {facts['deaths']} times after one of its processes had ended"
    if facts.get("whole"):
        yield "the logits of long texts are held whole, which takes memory: this student's last layers cannot be run by themselves"
    if facts.get("left_out"):
        yield (
            f"{facts['left_out']} texts beside lessons, such as mistakes, are longer with their questions than training.max_length "
            "or the student holds, and were left out"
        )
    if facts.get("control"):
        yield f"{facts['control']} lessons hold control tokens such as {facts['control_token']}, learned as text"
    if facts.get("unpacked"):
        yield f"training.packing is left out for this student: {facts['unpacked']}"
    if facts.get("padding", 0) > _EMPTY and not any(facts.get(how) for how in ("apart", "unpacked", "packed")):
        yield (
            f"{facts['padding']:.0%} of the columns that were computed are padding: training.packing=true, or a wider "
            "training.sort_window, takes less"
        )
    if facts.get("apart"):
        yield f"rows of their own, padded on the right, for every continuation of a prompt: {facts['apart']}"


def of_exam(attempts: Sequence[Attempt], kinds: set[str]) -> str:
    """The number that matters of an exam."""
    if not attempts:
        return "nothing was asked"
    if kinds == {"worked"}:
        return f"{len(attempts)} worked solutions"
    said = scoreboard.speakers(attempts)
    return scoreboard.score(attempts).line() + (f", {said}" if said else "")


def of_replies(replies: Sequence[Feedback], asked: int, most: int | None, left: Callable[[int, int], str]) -> str:
    """What came of a teacher's feedback; `left` says what a limit on the whole bill left out."""
    failed = sum(bool(reply.error) for reply in replies)
    tokens = sum(reply.tokens_in + reply.tokens_out for reply in replies)
    missing = asked - len(replies)
    cut = f", {missing} left out at feedback.tokens={most}" if most is not None and missing else left(asked, missing)
    return f"{len(replies)} replies, {failed} failed, {tokens} tokens{cut}"


def of_missed(run: Path, promised: Labels) -> str:
    """What is to be said where a recipe is done and its student sat none of the exams promised of it once it is taught; else nothing."""
    owed = {step: label for step, label in promised.items() if label.who == "student" and label.round != 0}
    if not owed or any((run / step / "step.json").exists() for step in owed):
        return ""  # some may stop early and leave the later ones out
    done = [step for step in history.steps(run) if step.whole and step.label.kind == "exam"]
    exams = [step.name for step in done if step.label.who != "teacher"]
    named = ", ".join(repr(step) for step in owed)
    sat = f"the exams that were sat are {', '.join(map(repr, exams))}" if exams else "none was sat"
    return (
        f"ended without what it promises of the student that it taught ({named}): {sat}; call room.sit with the steps that "
        "`promised` names"
    )
