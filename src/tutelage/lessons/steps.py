"""A solution as steps: the sentences and lines that it is written in."""

import re

# A sentence ends where space follows a stop, and in scripts without spaces at the stop itself.
_BREAK = re.compile(r"(?<=[.!?])[\"')\]]{0,2}[ \t]+|(?<=[。！？])|\n\s*")
# What ends in a stop and is no step by itself: "2." and "(b)" in front of one, an abbreviation.
_MARK = re.compile(r"(?:step\s?)?\(?(?:\d{1,3}|[a-z])[.):]+", re.IGNORECASE)
_ABBREVIATED = re.compile(r"(?:^|[\s(])(?:mr|mrs|ms|dr|st|vs|no|e\.g|i\.e|approx)\.$", re.IGNORECASE)
_LONGEST = 20_000  # characters that are looked at; a student that writes more says the same over and over


def step_ends(text: str) -> list[int]:
    """Where each step of a text ends: `text[:ends[k - 1]]` is its first k steps, as they were written.

    A text without any break is one step; what is behind the first 20,000 characters belongs to the last.
    """
    ends: list[int] = []
    start = 0
    for found in _BREAK.finditer(text[:_LONGEST]):
        end = start + len(text[start : found.end()].rstrip())
        if text[start:end].strip() and not _goes_on(text, start, end):
            ends.append(end)
            start = found.end()
    last = len(text.rstrip())
    if text[start:last].strip():
        ends.append(last)
    return ends


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether what stands between two places is the beginning of a step, and not a whole one."""
    if end - start < 12 and _MARK.fullmatch(text[start:end].strip()):
        return True
    return bool(_ABBREVIATED.search(text[max(start, end - 10) : end]))


def split_steps(text: str) -> list[str]:
    """The steps of a text, without the space around them."""
    ends = step_ends(text)
    return [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)]
