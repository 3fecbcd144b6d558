"""Reading answers from text and comparing them, one pair of functions per answer kind. Pure: strings in, strings out.

The rule for every kind: the last segment behind an answer marker, or box, that has a candidate decides, and there the
first one ("The answer is 47. The answer in words is forty-seven."); without markers, the last candidate of the whole
text. No candidate, or several at once ("3 to 5"): None, which makes the verdict "unread".
"""

import re
import string
from collections.abc import Callable, Iterable
from datetime import date
from functools import cache, lru_cache
from typing import NamedTuple, TypedDict

from tutelage.tasks import numerals
from tutelage.tasks.markers import REFUSED, commits, pick
from tutelage.tasks.symbolic import read_math, same_math
from tutelage.types import Question

Reader = Callable[[str, Question], str | None]
Comparer = Callable[[str, Question], bool | None]

_LISTED = re.compile(r"\([A-Z]\)")
_YES_NO = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
_EITHER = re.compile(r"\b(?:yes|no|true|false)\s*(?:/|or)\s*(?:yes|no|true|false)\b", re.IGNORECASE)
_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*\{([^{}]*)\}")


def read_number(text: str, question: Question) -> str | None:
    """The number the text commits to, written one way; a fraction that has no end as "a/b", a percentage with its sign."""
    return pick(text, numerals.first_number, numerals.last_number)


def same_number(answer: str, question: Question) -> bool:
    """Equal as numbers, within 1e-6 (the tolerance of Ho et al., 2022)."""
    gold = _gold_number(question.answer)
    return gold == answer or (gold is not None and numerals.same_value(answer, gold))


@lru_cache(maxsize=1024)
def _gold_number(answer: str) -> str | None:
    return next(reversed(numerals.numbers(answer)), None)


def letters(question: Question) -> str:
    """The letters that name the question's choices; where the choices are part of its text, those it lists, else A to E."""
    listed = 0 if question.choices else len(_LISTED.findall(question.text))
    return string.ascii_uppercase[: len(question.choices) or listed or 5]


def read_choice(text: str, question: Question) -> str | None:
    """The choice the text commits to, by its letter or else by its whole text, never by a capital inside a word."""
    named = _forms(letters(question))

    def candidates(part: str) -> list[str]:
        found = [next(filter(None, groups)).upper() for groups in named.anywhere.findall(part)]
        return found or _by_text(part, question)

    def first(part: str) -> object:
        part = _WRAPPED.sub(r"\1", part) if "\\" in part else part
        match = named.leading.match(part)
        # "The answer is A bird": an article, when a choice's text follows.
        if match and match[2] == "A" and re.match(r" [a-z]", part[match.end() :]) and _by_text(part, question):
            match = None
        if match:
            return REFUSED if named.several.match(part, match.end()) else (match[1] or match[2]).upper()
        return next(iter(candidates(part)), None)

    return pick(text, first, lambda part: next(reversed(candidates(part)), None))


class _Forms(NamedTuple):
    """The ways to name a choice by its letter."""

    leading: re.Pattern[str]  # directly behind a marker: "B", "(b)", "**B**", "option B", "B because (A) is wrong"
    anywhere: re.Pattern[str]  # "(B)", "B.", "B,", "option B" or a B that ends its line; not "J.B." or "A good start"
    several: re.Pattern[str]  # "/C", "or C" behind a letter


@cache
def _forms(span: str) -> _Forms:
    either, named = f"{span}{span.lower()}", r"(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+"
    return _Forms(
        re.compile(rf"[\s*:\"'$]*(?:the\s+)?(?:{named})?\**(?:\(([{either}])\)|([{span}])(?!['\u2019]?\w))"),
        re.compile(
            rf"\(([{span}])\)|{named}\(?([{span}])\b|(?<![\w(.'\u2019-])([{span}])(?=[).:,*]|\s*$)", re.MULTILINE
        ),
        re.compile(rf"\)?\**\s*(?:/|\bor\b|\band\b|&)\s*\(?\**[{span}](?:\)|\*|[.,;]|\s*$)", re.MULTILINE),
    )


def _by_text(part: str, question: Question) -> list[str]:
    """The letters of the choices whose whole text stands in the part, in order of their place."""
    spans: list[tuple[int, int, str]] = []
    for letter, choice in zip(letters(question), question.choices, strict=False):
        wanted = re.sub(r"[\s.]+$", "", choice)
        pattern = rf"(?<!\w){re.escape(wanted)}(?!\w)"
        spans += [(*match.span(), letter) for match in re.finditer(pattern, part, re.IGNORECASE) if wanted]
    # The "ball" in "orange ball" is not the choice "ball".
    whole = [one for one in spans if not any(_holds(other, one) for other in spans)]
    return [letter for _, _, letter in sorted(whole)]


def _holds(outer: tuple[int, int, str], inner: tuple[int, int, str]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1] and outer[:2] != inner[:2]


def same_choice(answer: str, question: Question) -> bool:
    """The same letter."""
    return answer == read_choice(question.answer, question)


def read_yes_no(text: str, question: Question) -> str | None:
    """ "yes" or "no"; true and false count as them."""

    def words(part: str) -> list[str]:
        return [found.lower() for found in _YES_NO.findall(_EITHER.sub(" ", part))]

    word = pick(text, lambda part: next(iter(words(part)), None), lambda part: next(reversed(words(part)), None))
    return {"true": "yes", "false": "no"}.get(word, word) if word else None


def _bare(text: str) -> str:
    return re.sub(r"[\"'`*\u201c\u201d\u2018\u2019.\s]", "", text).lower()


def read_text(text: str, question: Question) -> str | None:
    """The rest of the line after the marker, or else the last line, without quotes, dots, stars and spaces."""

    def bare(lines: Iterable[str]) -> str | None:
        line = next((line for line in lines if line.strip()), "")
        return _bare(_WRAPPED.sub(r"\1", line)) or None

    return pick(text, lambda part: bare(part.splitlines()), lambda part: bare(reversed(part.splitlines())))


def same_text(answer: str, question: Question) -> bool:
    """Equal but for quotes, dots, stars, spaces and case."""
    return _bare(answer) == _bare(question.answer)


_MONTHS = {
    name[:3]: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?"
_DATE = re.compile(
    r"(?<!\d)(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{1,2})/(\d{1,2})/(\d{4})"
    rf"|{_MONTH}\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})|(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH},?\s+(\d{{4}}))(?!\d)",
    re.IGNORECASE,
)


def read_date(text: str, question: Question) -> str | None:
    """A date as YYYY-MM-DD; 05/06/2021 is the sixth of May, as in the United States."""

    def dates(part: str) -> list[str]:
        return [found for match in _DATE.finditer(part) if (found := _iso(match))]

    return pick(text, lambda part: next(iter(dates(part)), None), lambda part: next(reversed(dates(part)), None))


def _iso(match: re.Match[str]) -> str | None:
    y1, m1, d1, m2, d2, y2, name3, d3, y3, d4, name4, y4 = match.groups()
    month = m1 or m2 or _MONTHS[(name3 or name4).lower()[:3]]
    try:
        return date(int(y1 or y2 or y3 or y4), int(month), int(d1 or d2 or d3 or d4)).isoformat()
    except ValueError:
        return None  # the 31st of February


READERS: dict[str, tuple[Reader, Comparer]] = {
    "number": (read_number, same_number),
    "choice": (read_choice, same_choice),
    "yes_no": (read_yes_no, lambda answer, question: answer == read_yes_no(question.answer, question)),
    "date": (read_date, lambda answer, question: answer == read_date(question.answer, question)),
    "text": (read_text, same_text),
    "math": (read_math, same_math),
}


class Grading(TypedDict):
    """What a task of a kind grades with: three of its functions."""

    read: Reader
    same: Comparer
    commits: Callable[[str, Question], bool]


def grading(kind: str) -> Grading:
    """How answers of a kind are read and compared."""
    read, same = READERS[kind]

    def committed(text: str, question: Question) -> bool:
        return commits(text, lambda part: read(part, question))

    return {"read": read, "same": same, "commits": committed}
