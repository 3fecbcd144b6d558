"""Answers that are texts of one or several lines, as reasoning-gym's are."""

import re

from tutelage.grading.markers import after_marker
from tutelage.types import Question


def read_lines(text: str, question: Question) -> str | None:
    """What follows the answer marker, one line or, where the gold has several, all of it; else the last line."""
    tail = after_marker(text)
    if tail is None:
        lines = text.split("\n")
        found = next((line for line in reversed(lines) if line.strip()), "")
    elif "\n" in question.answer.strip("\n"):
        # Grids may begin with a blank cell: only the marker's own line end is no part of them.
        found = re.sub(r"^[ \t]*\n+|^ ", "", tail).rstrip()
    else:
        found = next(line for line in tail.split("\n") if line.strip())
    return _bare(found, question.answer) or None


def _bare(found: str, gold: str) -> str:
    """Without the bold marks and the final period that a sentence puts around an answer, unless the gold has them."""
    found = found.strip(" ") if "\n" not in gold else found
    if found.startswith("**") and found.endswith("**") and not gold.startswith("**"):
        found = found.strip("*")
    return found.removesuffix(".") if not gold.endswith(".") else found
