"""Reading answers from text and comparing them, one pair of functions per answer kind. Pure: strings in, strings out.

The rule for every kind: the last segment behind an answer marker, or box, that has a candidate decides, and there the
first one ("The answer is 47. The answer in words is forty-seven."); without markers, the last candidate of the whole
text. No candidate, or several at once ("3 to 5"): None, which makes the verdict "unread".
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import lru_cache
from operator import itemgetter
from typing import Literal, TypedDict

from tutelage.errors import ConfigError, nearest
from tutelage.grading import choices, numerals, quantities
from tutelage.grading.choices import WRAPPED, same_choice
from tutelage.grading.claims import FINISHED, JOINT, is_denied, last_meant
from tutelage.grading.formulas import FORMULAS
from tutelage.grading.markers import REFUSED, Finder, commits, pick
from tutelage.grading.mathematics import same_math
from tutelage.types import Question

Reader = Callable[[str, Question], str | None]
Comparer = Callable[[str, Question], bool | None]
Reading = Literal["house", "published"]

NUMBERS = Finder(quantities.first_number, quantities.last_number)
PUBLISHED = Finder(quantities.published_number, quantities.published_number)


def same_number(answer: str, question: Question) -> bool:
    """Equal as numbers, within 1e-6 (the tolerance of Ho et al., 2022)."""
    gold = _gold_number(question.answer)
    return gold == answer or (gold is not None and numerals.same_value(answer, gold))


@lru_cache(maxsize=1024)
def _gold_number(answer: str) -> str | None:
    found = quantities.last_number(answer)
    return found if isinstance(found, str) else next(reversed(numerals.numbers(answer)), None)


_JOINT = re.compile(JOINT, re.IGNORECASE)
_YES_NO = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
_EITHER = re.compile(r"\b(?:yes|no|true|false)\s*+(?:/|or)\s*+(?:yes|no|true|false)\b", re.IGNORECASE)
_BESIDE = re.compile(rf"{JOINT}(yes|no|true|false)\b{FINISHED}", re.IGNORECASE)
_MEANS = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}


def _first_yes_no(part: str) -> object:
    plain = _EITHER.sub(" ", part)  # "yes or no? Yes."
    match = _YES_NO.search(plain)
    if match is None:
        return None if plain == part else REFUSED
    word, other = _MEANS[match[1].lower()], _BESIDE.match(plain, match.end())
    several = other is not None and _MEANS[other[1].lower()] != word
    return REFUSED if several or is_denied(plain, *match.span()) else word


def _last_yes_no(text: str) -> object:
    text = _EITHER.sub(" ", text)
    two = last_meant(text, _YES_NO.finditer(text), re.Match.start)
    if not two or is_denied(text, *two[-1].span()):
        return REFUSED if two else None
    words = [_MEANS[match[1].lower()] for match in two]
    return REFUSED if words[0] != words[-1] and _JOINT.fullmatch(text, two[0].end(), two[-1].start()) else words[-1]


def _bare(text: str) -> str:
    return re.sub(r"[\"'`*\u201c\u201d\u2018\u2019.\s]", "", text).lower()


def _line(lines: Iterable[str]) -> str | None:
    """A line without quotes, dots, stars and spaces: the first that holds anything."""
    line = next((line for line in lines if line.strip()), "")
    return _bare(WRAPPED.sub(r"\1", line)) or None


def same_text(answer: str, question: Question) -> bool:
    """Equal but for quotes, dots, stars, spaces and case."""
    return _bare(answer) == _bare(question.answer)


_MONTHS = {
    name[:3]: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\\.?"
_DATE = re.compile(
    r"(?<!\d)(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})/(\d{1,2})/(\d{4})"
    rf"|{_MONTH}\s++(\d{{1,2}})(?:st|nd|rd|th)?,?\s++(\d{{4}})|(\d{{1,2}})(?:st|nd|rd|th)?\s++(?:of\s++)?{_MONTH},?\s++(\d{{4}}))(?!\d)",
    re.IGNORECASE,
)
_APART = re.compile(r"\b(?:before|after)\s*$", re.IGNORECASE)  # "the day after 05/01/2021"


def _dates(text: str) -> Iterator[tuple[str, int, int]]:
    """The dates of a text as YYYY-MM-DD; 05/06/2021 is the sixth of May, as in the United States."""
    return ((found, *match.span()) for match in _DATE.finditer(text) if (found := _iso(match)))


def _iso(match: re.Match[str]) -> str | None:
    y1, m1, d1, m2, d2, y2, name3, d3, y3, d4, name4, y4 = match.groups()
    month = m1 or m2 or _MONTHS[(name3 or name4).lower()[:3]]
    try:
        return date(int(y1 or y2 or y3 or y4), int(month), int(d1 or d2 or d3 or d4)).isoformat()
    except ValueError:
        return None  # the 31st of February


def _first_date(part: str) -> object:
    dates = _dates(part)
    found, start, end = next(dates, ("", 0, 0))
    beside, place, _ = next(dates, ("", 0, 0))
    if not found:
        return None
    several = beside not in ("", found) and _JOINT.fullmatch(part, end, place)
    return REFUSED if several or _is_no_date(part, start, end) else found


def _last_date(text: str) -> object:
    two = last_meant(text, _dates(text), itemgetter(1))
    if not two:
        return None
    found, start, end = two[-1]
    several = two[0][0] != found and _JOINT.fullmatch(text, two[0][2], start)
    return REFUSED if several or _is_no_date(text, start, end) else found


def _is_no_date(text: str, start: int, end: int) -> bool:
    return is_denied(text, start, end) or _APART.search(text[max(0, start - 20) : start]) is not None


_YES_NOS = Finder(_first_yes_no, _last_yes_no)
_DATES = Finder(_first_date, _last_date)
_TEXTS = Finder(lambda part: _line(part.splitlines()), lambda text: _line(reversed(text.splitlines())))

FINDERS: dict[str, Callable[[Question], Finder]] = {
    "number": lambda question: NUMBERS,
    "choice": choices.finder,
    "yes_no": lambda question: _YES_NOS,
    "date": lambda question: _DATES,
    "text": lambda question: _TEXTS,
    "math": lambda question: FORMULAS,
}


def _reader(kind: str) -> Reader:
    return lambda text, question: pick(text, FINDERS[kind](question))


def _as_read(kind: str) -> Comparer:
    read = _reader(kind)
    return lambda answer, question: answer == read(question.answer, question)


READERS: dict[str, tuple[Reader, Comparer]] = {
    "number": (_reader("number"), same_number),
    "choice": (_reader("choice"), same_choice),
    "yes_no": (_reader("yes_no"), _as_read("yes_no")),
    "date": (_reader("date"), _as_read("date")),
    "text": (_reader("text"), same_text),
    "math": (_reader("math"), same_math),
}


class Grading(TypedDict):
    """What a task of a kind grades with: three of its functions."""

    read: Reader
    same: Comparer
    commits: Callable[[str, Question], bool]


def grading(kind: str, reading: Reading = "house") -> Grading:
    """How answers of a kind are read and compared; numbers also by the published rule, the first one behind the marker.

    Raises `ConfigError` for a reading that the kind has not.
    """
    if reading not in ("house", "published"):
        raise ConfigError(f"reading: {nearest(reading, ('house', 'published'))}")
    if reading == "published" and kind != "number":
        raise ConfigError(
            f"reading=published is the first number behind the marker; answers of kind {kind!r} have none"
        )
    find = (lambda question: PUBLISHED) if reading == "published" else FINDERS[kind]
    return {
        "read": lambda text, question: pick(text, find(question)),
        "same": READERS[kind][1],
        "commits": lambda text, question: commits(text, find(question).first),
    }
