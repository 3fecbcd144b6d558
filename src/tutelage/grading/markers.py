"""Where a text commits itself: behind an answer marker, in a box, after the thinking. Pure: strings in, strings out.

A hostile text may be a megabyte of anything: each function here looks at every character a fixed number of times.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from tutelage.grading.claims import is_taken_back

# "The answer is 5", "Answer: 5", "the answer (arabic numerals) is: 5", "**Answer:** 5".
_ANSWER = re.compile(r"answer[*\s]*+(?:\([^)\n]{0,40}\)\s*+)?(?:is\b(?:\s*+:)?|:|=)\**", re.IGNORECASE)
_SIGNS = ("-->", "####")
_BRACE = re.compile(r"\\(?:boxed|fbox)\s*+\{|[{}]")

REFUSED = object()  # a text that names several answers at once, such as "3 to 5": it commits to none


def final_part(text: str) -> str:
    """What stands after the thinking of a reasoning model; nothing when the thinking never ends."""
    _, closed, rest = text.rpartition("</think>")
    if closed:
        return rest
    return "" if "<think>" in text else text


def split_thinking(text: str, apart: str | None = None) -> tuple[str, str]:
    """The answer and the thinking before it: `apart` where the server keeps them apart, else what stands in <think>.

    A thinking that was cut off leaves no answer.
    """
    if apart:
        return text, apart
    thinking, ended, said = text.partition("</think>")
    opened = thinking.lstrip()
    if ended:
        return said.lstrip(), opened.removeprefix("<think>").strip()
    return ("", opened.removeprefix("<think>").strip()) if opened.startswith("<think>") else (text, "")


@lru_cache(maxsize=8)  # the reader of an answer and the strict verdict look at the same text
def segments(text: str) -> tuple[str, ...]:
    """What stands behind each answer marker, up to the next one, and in each box, in the order of the text."""
    places = [*_markers(text), *_boxes(text)]
    places.sort()
    starts = [*(start for start, _, _ in places), len(text)][1:]
    parts = (
        text[begin : following if end < 0 else end] for (_, begin, end), following in zip(places, starts, strict=True)
    )
    return tuple(part for part in parts if part.strip())


_Place = tuple[
    int, int, int
]  # where a marker starts, where it ends, and where what it marks ends (-1: at the next one)


def _markers(text: str) -> Iterator[_Place]:
    # Finding the plain words first is several times faster than one pattern for all.
    for sign in _SIGNS:
        place = text.find(sign)
        while place >= 0:
            yield place, place + len(sign), -1
            place = text.find(sign, place + len(sign))
    lower = text.lower()
    place = lower.find("answer") if len(lower) == len(text) else -2  # a few letters change length in lower case
    if place == -2:
        yield from ((match.start(), match.end(), -1) for match in _ANSWER.finditer(text))
    while place >= 0:
        match = _ANSWER.match(text, place)
        if match and not (place and (text[place - 1].isalnum() or text[place - 1] == "_")):
            yield place, match.end(), -1
        place = lower.find("answer", place + 6)


def _boxes(text: str) -> list[_Place]:
    """Every box up to the brace that closes it, or else to the end; a box inside one ends it, so that no text is read twice."""
    if "\\" not in text or "box" not in text:
        return []
    found: list[list[int]] = []
    open_braces: list[int] = []  # of each, the box that it opens, or -1
    for match in _BRACE.finditer(text):
        if match[0] == "}":
            box = open_braces.pop() if open_braces else -1
            if box >= 0 and found[box][2] < 0:
                found[box][2] = match.start()
            continue
        open_braces.append(-1 if match[0] == "{" else len(found))
        if match[0] != "{":
            outer = found[-1] if found and found[-1][2] < 0 else None
            if outer:
                outer[2] = match.start()
            found.append([match.start(), match.end(), -1])
    return [(start, begin, len(text) if end < 0 else end) for start, begin, end in found]


class Finder(NamedTuple):
    """What finds answers of one kind: a text, REFUSED where several are named or none that counts, None where there is none."""

    first: Callable[[str], object]  # in a segment
    last: Callable[[str], object]  # in a text without markers


def pick(text: str, find: Finder) -> str | None:
    """The answer that a text commits to.

    The last segment that has a candidate decides; a refusal there is no answer.
    """
    text = final_part(text)
    parts = segments(text)
    for part in dict.fromkeys(reversed(parts)):  # a model that is stuck says the same a thousand times
        found = find.first(part)
        if found is not None:
            return found if isinstance(found, str) else None
    found = None if parts else find.last(text)
    return found if isinstance(found, str) else None


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).lower()


def commits(text: str, first: Callable[[str], object]) -> bool:
    """Whether a text commits to one answer: behind a marker, in a box or as its only word, and never to another one.

    `first` is a finder's.
    """
    final = final_part(text)
    parts = segments(final)
    if not parts:
        found = first(final) if len(final.split()) == 1 else None
        return isinstance(found, str) and _bare(final) == _bare(found)
    if len(parts) == 1:
        return not is_taken_back(parts[0], first)
    answers: set[str] = set()
    different = list(dict.fromkeys(parts))
    for part in different:
        found = first(part)
        if isinstance(found, str):
            answers.add(found)
        if len(answers) > 1:
            return False
    return bool(answers) and not any(is_taken_back(part, first) for part in different)


def after_marker(text: str) -> str | None:
    """The text after the last answer marker, or None when there is no marker with anything behind it."""
    return next(reversed(segments(final_part(text))), None)
