"""Where a text writes down its final formula: in a box, between dollars, or on the line behind a marker. Pure."""

import re
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from tutelage.grading import quantities
from tutelage.grading.claims import is_denied
from tutelage.grading.markers import REFUSED, Finder
from tutelage.grading.notation import LONGEST, normal
from tutelage.grading.numerals import NAMES
from tutelage.grading.units import SCALES

_SIGN = re.compile(r"\\[\\$]|\$\$|\$|\\[()\[\]]")
_CLOSING = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
_JOINED = re.compile(r"\s*+(?:,\s*+and|[,;]|and|or)\s*+")
_SCALE = re.compile(rf"\s*+(?:{'|'.join(SCALES)})s?\b", re.IGNORECASE)
# "$5$ or six", "$5$ squared", "$5$ + $2$": more than what stands between the dollars.
_MORE = re.compile(
    rf"\s*+(?:[+*/^×÷·±]\s*+[\d(\\$]|[-–]\s*+[\d$]|(?:squared|cubed|factorial|plus|minus|times|divided)\b"
    rf"|(?:or|and|to|through)\s++(?:\d|(?:{NAMES})\b))",
    re.IGNORECASE,
)
_ENDED = re.compile(r"\.\s|\s(?:because|since|where|which)\b")
_HEDGE = re.compile(r"(?:(?:about|approximately|roughly|around|exactly|simply|just|equal to|≈|\\approx)\s*+)+", re.I)
_NOT = re.compile(r"\W{0,3}(?:[a-zA-Z]+\s+){0,2}(?:not|never|neither|nor)\b|\w*n['’]t\b", re.IGNORECASE)
_MINUS = re.compile(r"(?:minus|negative)\s+(?=[\d.\\])", re.IGNORECASE)
_NEAR = 60  # characters in front of a formula that may change it
MOST = 2 * LONGEST  # characters that are looked at


class Span(NamedTuple):
    """A formula between two signs."""

    start: int
    end: int
    inside: str


def spans(text: str) -> Iterator[Span]:
    r"""What stands between dollars, `\(` and `\)`, or `\[` and `\]`, in order; a sign that is never closed opens nothing."""
    last = {sign: text.rfind(sign) for sign in _CLOSING.values()}
    opened, begin = "", 0
    for match in _SIGN.finditer(text):
        sign, place = match[0], match.start()
        if opened == "$" and _is_money(text, begin, match):
            begin = match.end()
        elif opened and (sign == _CLOSING[opened] or (opened == "$" and sign == "$$")):
            end = place + len(_CLOSING[opened])
            if text[begin:place].strip():
                yield Span(begin - len(opened), end, text[begin:place])
            opened = "$" if end < match.end() and last["$"] > end else ""  # "$5$$6$"
            begin = match.end()
        elif not opened and sign in _CLOSING:
            opened = sign if last[_CLOSING[sign]] >= match.end() else ""
            if sign == "$$" and not opened and last["$"] >= match.end():
                opened = "$"
            begin = match.end()


def _is_money(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether a second dollar closes nothing: "$3 and $5", or dollars of two paragraphs."""
    return match[0] in _CLOSING and (
        text[match.end() : match.end() + 1].isdigit() or "\n\n" in text[begin : match.start()]
    )


def _between(part: str, found: Span, rest: Iterator[Span]) -> object:
    """The formula between signs, with those that are named together with it ("$2$, $3$ and $5$")."""
    parts, end = [found.inside], found.end
    for span in rest:
        if sum(map(len, parts)) > MOST or not _JOINED.fullmatch(part, end, span.start):
            break
        parts.append(span.inside)
        end = span.end
    before = part[max(0, found.start - _NEAR) : found.start]
    if before.strip() and (is_denied(part, found.start, end) or quantities.is_changed(before)):
        return REFUSED
    if _MORE.match(part, end):
        return REFUSED
    scale = _SCALE.match(part, end)
    return _formula(", ".join(parts) + (scale[0] if scale else ""))


def _formula(text: str) -> str | None:
    """A formula in its normal form; one that is too long to be compared is cut."""
    return text[:MOST] + "…" if len(text) > MOST else normal(text) or None


def _first(part: str) -> object:
    found = spans(part)
    if span := next(found, None):
        return _between(part, span, found)
    line = next((line for line in part.splitlines() if line.strip(" *:")), "").strip(" *:").rstrip(" .*")
    ended = _ENDED.search(line)
    line = line[: ended.start()] if ended else line
    if _NOT.match(line):
        return REFUSED
    line = _MINUS.sub("-", _HEDGE.sub("", line, count=1) if _HEDGE.match(line) else line, count=1)
    shown = _formula(line)
    # A sentence is no answer; a word ("even"), or anything with a digit or a command, may be one.
    plain = shown and len(shown.split()) > 3 and not re.search(r"[\d\\=]", shown)
    return None if not shown or plain else shown


def _last(text: str) -> object:
    found = deque(spans(text), maxlen=1)
    return _between(text, found[0], iter(())) if found else quantities.last_number(text)


FORMULAS = Finder(_first, _last)
