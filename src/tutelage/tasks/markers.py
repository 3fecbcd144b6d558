"""Where a text commits itself: behind an answer marker, in a box, after the thinking. Pure: strings in, strings out."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

# "The answer is 5", "Answer: 5", "the answer (arabic numerals) is: 5", "**Answer:** 5".
_ANSWER = re.compile(r"answer[*\s]*(?:\([^)\n]{0,40}\)\s*)?(?:is\b(?:\s*:)?|:|=)\**", re.IGNORECASE)
_SIGNS = ("-->", "####")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")

REFUSED = object()  # a text that names several answers at once, such as "3 to 5": it commits to none


def final_part(text: str) -> str:
    """What stands after the thinking of a reasoning model; nothing when the thinking never ends."""
    _, closed, rest = text.rpartition("</think>")
    if closed:
        return rest
    return "" if "<think>" in text else text


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


def _boxes(text: str) -> Iterator[_Place]:
    if "\\" in text:
        for match in _BOX.finditer(text):
            yield match.start(), match.end(), _closing(text, match.end())


def _closing(text: str, begin: int) -> int:
    """The place of the brace that closes the one before `begin`; the end of the text when there is none."""
    depth = 1
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return len(text)


def pick(text: str, first: Callable[[str], object], last: Callable[[str], object]) -> str | None:
    """The answer that a text commits to: `first` reads a segment, `last` a text without markers.

    The last segment that has a candidate decides; a refusal there is no answer.
    """
    text = final_part(text)
    parts = segments(text)
    for part in reversed(parts):
        found = first(part)
        if found is not None:
            return found if isinstance(found, str) else None
    found = None if parts else last(text)
    return found if isinstance(found, str) else None


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).lower()


def commits(text: str, read: Callable[[str], str | None]) -> bool:
    """Whether a text commits to one answer: behind a marker, in a box or as its only word, and never to another one."""
    final = final_part(text)
    parts = segments(final)
    if len(parts) == 1:
        return True
    if not parts and len(final.split()) == 1:
        return _bare(final) == _bare(read(f"--> {final}") or "")
    return len({answer for part in parts if (answer := read(f"--> {part}")) is not None}) == 1


def after_marker(text: str) -> str | None:
    """The text after the last answer marker, or None when there is no marker with anything behind it."""
    return next(reversed(segments(final_part(text))), None)
