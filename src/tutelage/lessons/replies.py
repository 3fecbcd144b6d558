"""What a teacher's reply to a request for feedback says. It is another's text: nothing in it is believed before it is checked."""

import json
import re
from typing import NamedTuple

from tutelage.types import Feedback

_OBJECTS = 40  # opening braces that are tried: a reply holds one object, and some prose before it
_DIAGNOSIS = 600  # characters of a diagnosis; more is no line to learn from


class FeedbackParts(NamedTuple):
    """What a teacher's reply says."""

    error: str  # which step was wrong
    solutions: tuple[str, ...]
    practice: tuple[tuple[str, str], ...]  # new problems with their solutions; "" stands for what is missing


class RepairParts(NamedTuple):
    """How a teacher goes on from the steps of an attempt that are right."""

    keep: int  # how many of its steps stand
    continuation: str  # what comes behind them, up to the answer
    diagnosis: str  # one line on the first wrong step
    practice: tuple[tuple[str, str], ...] = ()


def read_feedback(text: str) -> FeedbackParts:
    """Find the parts of a reply; a part that was never closed was cut off and is left out."""
    exercises = []
    for block in _between("practice", text):
        problems, solutions = _between("problem", block), _between("solution", block)
        exercises.append((problems[0] if problems else "", solutions[0] if solutions else ""))
    outside = re.sub(r"<practice>.*?(</practice>|$)", " ", text, flags=re.DOTALL | re.IGNORECASE)
    errors = _between("error", outside)
    return FeedbackParts(errors[0] if errors else "", tuple(_between("solution", outside)), tuple(exercises))


def write_feedback(parts: FeedbackParts) -> str:
    """The reply that `read_feedback` understands: what the offline teacher answers."""
    exercises = [
        f"<practice>\n<problem>{problem}</problem>\n<solution>{solution}</solution>\n</practice>"
        for problem, solution in parts.practice
    ]
    solutions = [f"<solution>{solution}</solution>" for solution in parts.solutions]
    error = [f"<error>{parts.error}</error>"] if parts.error else []
    return "\n".join([*error, *solutions, *exercises])


def _between(tag: str, text: str) -> list[str]:
    """The texts between <tag> and </tag>; an opening tag inside one starts it anew."""
    found = re.findall(rf"<{tag}>((?:(?!<{tag}>).)*?)</{tag}>", text, flags=re.DOTALL | re.IGNORECASE)
    return [inner.strip() for inner in found]


def read_repair(text: str) -> RepairParts | None:
    """The JSON object of a reply, wherever it stands and however deep; None where there is none that says how to go on."""
    found = next((one for one in _objects(text) if "keep" in one and "continuation" in one), None)
    if found is None:
        return None
    keep, continuation, diagnosis = found["keep"], found["continuation"], found.get("diagnosis", "")
    if isinstance(keep, str) and keep.strip().isdecimal():
        keep = int(keep[:9])
    if isinstance(keep, float) and keep.is_integer():
        keep = int(keep)
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0 or not isinstance(continuation, str):
        return None
    line = " ".join(diagnosis.split()) if isinstance(diagnosis, str) else ""
    return RepairParts(keep, continuation.strip(), line if len(line) <= _DIAGNOSIS else "", _exercises(found))


def write_repair(parts: RepairParts) -> str:
    """The reply that `read_repair` understands: what the offline teacher answers."""
    exercises = [{"problem": problem, "solution": solution} for problem, solution in parts.practice]
    told: dict[str, object] = {"keep": parts.keep, "continuation": parts.continuation}
    told |= {"diagnosis": parts.diagnosis} if parts.diagnosis else {}
    return json.dumps({**told, **({"exercises": exercises} if exercises else {})}, ensure_ascii=False)


def _objects(text: str) -> list[dict[str, object]]:
    """The JSON objects in a text, the outer before the inner; line breaks inside a string are taken as such."""
    decoder = json.JSONDecoder(strict=False)
    found: list[dict[str, object]] = []
    for place in [match.start() for match in re.finditer(r"\{", text)][:_OBJECTS]:
        try:
            value, _ = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _exercises(found: dict[str, object]) -> tuple[tuple[str, str], ...]:
    given = found.get("exercises")
    rows = given if isinstance(given, list) else []
    pairs = [(row.get("problem"), row.get("solution")) if isinstance(row, dict) else ("", "") for row in rows]
    return tuple((a.strip() if isinstance(a, str) else "", b.strip() if isinstance(b, str) else "") for a, b in pairs)


def diagnosis_of(text: str) -> str:
    """What a reply of either form says is wrong."""
    repair = read_repair(text)
    return repair.diagnosis if repair else read_feedback(text).error


def practice_in(text: str) -> tuple[tuple[str, str], ...]:
    """The exercises in a reply of either form, each with its solution."""
    repair = read_repair(text)
    return repair.practice if repair else read_feedback(text).practice


def why_no_lesson(reply: Feedback) -> str:
    """Why a reply can hold no lesson whatever its answers are; empty when it can."""
    if reply.error:
        return "failed"
    if read_repair(reply.text) or read_feedback(reply.text).solutions:
        return ""
    return "cut off" if reply.truncated else "unread"
