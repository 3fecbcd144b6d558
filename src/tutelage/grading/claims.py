"""What the words around a candidate do to it: deny it, name another one beside it, or take it back. Pure.

Only a few characters around a candidate are looked at, so that a long text costs no more than a short one.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

Found = TypeVar("Found")

_NEAR = 60  # characters in front of a candidate in which a "not" denies it

_BETWEEN = r"(?:[^\S\n]+(?:equal|to|exactly|just|only|simply|in|fact|be|the|a|an|number|option|choice|answer|really|necessarily))"
# "not 5", "isn't equal to 5", "anything but 5"; not "did not wash 5", "not given. 5" or "does not float, so 5".
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot)\b|n['’]t\b|\b(?:any|every|all)\w*\s+(?:but|except)\b)"
    rf"{_BETWEEN}{{0,4}}[\s(\[{{*\"'`“‘$]*$",
    re.IGNORECASE,
)
_CONTRASTED = re.compile(rf",\s*(?:and\s+|but\s+)?not\b{_BETWEEN}{{0,4}}[\s(\[{{*\"'`“‘$]*$", re.IGNORECASE)
_DISCLAIMED = re.compile(r"[)\]}*\"'`”’$]*\s+(?:is|was)(?:n['’]t|\s+(?:not|wrong|incorrect|false))\b", re.IGNORECASE)

OPENED, CLOSED = r"[(\[{*\"'`“‘$]{0,6}", r"[)\]}*\"'`”’$]{0,6}"
JOINERS = r"\b(?:or|and|to|through|nor|versus|vs|but|then)\b"
# What stands between two candidates that are named together: "A, B", "yes and no", "the red or maybe the blue one".
JOINT = (
    rf"{CLOSED}(?:\s{{0,3}}(?:[,;/&|+–—-]|{JOINERS})){{1,3}}"
    r"(?:\s{1,3}(?:maybe|perhaps|possibly|either|also|even|(?-i:the|a|an)|option|choice|answer))*\s{0,3}" + OPENED
)
# ... and behind the last of them, so that "A, B is wrong" and "yes, no doubt" name one.
FINISHED = rf"(?={CLOSED}\s{{0,3}}(?:[.,;:!?/&|]|$|\n|{JOINERS}))"


def is_denied(text: str, start: int, end: int) -> bool:
    """Whether a candidate, from `start` to `end`, stands behind a "not" or in front of an "is wrong"."""
    before = text[max(0, start - _NEAR) : start]
    return (bool(before.strip()) and _DENIED.search(before) is not None) or _DISCLAIMED.match(text, end) is not None


def last_meant(text: str, candidates: Iterable[Found], start: Callable[[Found], int]) -> list[Found]:
    """The last candidate of a text, and in front of it the one before it, if any.

    One that only says what is not meant ("4, not 3") is left out.
    """
    last = deque(candidates, maxlen=4)
    while len(last) > 1 and _CONTRASTED.search(text[max(0, start(last[-1]) - _NEAR) : start(last[-1])]):
        last.pop()
    return list(last)[-2:]


# "5. No wait, 6": what begins a sentence or a clause that takes back what was said.
_BACK = re.compile(
    r"(?:[.!?,;:…\n—–-]|\bbut\b|\boh\b|\bhm+\b)[^\S\n]*+"
    r"(?P<cue>no\b(?=\s*+(?:[,.:;!—–]|$)|\s++(?:wait|sorry|actually|it)\b)"
    r"|(?:wait|actually|sorry|oops|correction|rather(?! than)|hold on|scratch that|on second thought|i mean(?:t)?)\b)"
    r"|(?P<inside>\bor rather\b|\bno,? wait\b)",
    re.IGNORECASE,
)
_CUES, _BEHIND = 8, 200  # cues that are looked at, and the characters behind each in which another answer may stand


def is_taken_back(part: str, read: Callable[[str], object]) -> bool:
    """Whether what `read` finds in a text is followed by another answer that is put in its place: "5. No wait, 6"."""
    if _BACK.search(part) is None:
        return False
    said: object = None
    for match in islice(_BACK.finditer(part), _CUES):
        place = match.start("cue") if match["cue"] else match.start("inside")
        said = read(part[:place]) if said is None else said
        again = None if said is None else read(part[place : place + _BEHIND])
        if again is not None and again != said:
            return True
    return False
