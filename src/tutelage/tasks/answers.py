"""Reading answers from text and comparing them, one pair of functions per answer kind. Pure: strings in, strings out.

The rule for every kind: the first candidate after the last answer marker that has one behind it ("The answer is 47. The
answer in words is forty-seven."); without a marker, the last candidate of the whole text. No candidate: None, which
makes the verdict "unread".
"""

import re
import string
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from tutelage.types import Question

Reader = Callable[[str, Question], str | None]
Comparer = Callable[[str, Question], bool]

# "--> 5", "#### 5", "The answer is 5", "Answer: 5", "the answer (arabic numerals) is: 5", "**Answer:** 5".
_MARKER = re.compile(r"-->|####|\banswer[*\s]*(?:\([^)\n]{0,40}\)\s*)?(?:is\b(?:\s*:)?|:|=)\**", re.IGNORECASE)
# A minus is a sign only where no number or letter stands before it: "5-3" holds 5 and 3, not -3.
_NUMBER = re.compile(r"(?<!\w)(?<!\d\.)-?\$?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\.)\.\d+)")
_LISTED = re.compile(r"\([A-Z]\)")
_YES_NO = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)


def _tails(text: str) -> list[str]:
    """What stands behind each answer marker, the last marker first."""
    ends = [match.end() for match in _MARKER.finditer(text)]
    return [text[end:] for end in reversed(ends) if text[end:].strip()]


def after_marker(text: str) -> str | None:
    """The text after the last answer marker, or None when there is no marker with anything behind it."""
    return next(iter(_tails(text)), None)


def _pick(text: str, candidates: Callable[[str], list[str]]) -> str | None:
    tails = _tails(text)
    for tail in tails:
        if found := candidates(tail):
            return found[0]
    found = [] if tails else candidates(text)
    return found[-1] if found else None


def _plain(number: str) -> str:
    """Write a number one way: no separators, no trailing zeros, no exponent."""
    try:
        value = Decimal(number.replace(",", "").replace("$", "").replace("\u2212", "-"))
    except InvalidOperation:  # pragma: no cover - the pattern admits only decimals
        return number
    return format(value.normalize(), "f") if value else "0"


def numbers(text: str) -> list[str]:
    """Every number of the text, in order, written one way ("1,000.0" and "$1000" are both "1000")."""
    return [_plain(match.group()) for match in _NUMBER.finditer(text.replace("\u2212", "-"))]


def read_number(text: str, question: Question) -> str | None:
    """The number the text commits to, written one way."""
    return _pick(text, numbers)


def same_number(answer: str, question: Question) -> bool:
    """Equal as numbers, within 1e-6 (the tolerance of Ho et al.)."""
    gold = numbers(question.answer)
    return bool(gold) and abs(Decimal(answer) - Decimal(gold[-1])) <= Decimal("1e-6")


def letters(question: Question) -> str:
    """The letters that name the question's choices; where the choices are part of its text, those it lists, else A to E."""
    listed = 0 if question.choices else len(_LISTED.findall(question.text))
    return string.ascii_uppercase[: len(question.choices) or listed or 5]


def read_choice(text: str, question: Question) -> str | None:
    """The choice the text commits to, by its letter or else by its whole text, never by a capital inside a word."""
    span = letters(question)
    tail = after_marker(text)
    if tail is not None and (leading := _leading_letter(tail, question)):
        return leading

    def candidates(part: str) -> list[str]:
        # "(B)", "B.", "B," or a B that ends its line; not the B of "J.B." or the A of "A good start".
        found = re.findall(rf"\(([{span}])\)|(?<![\w(.'\u2019-])([{span}])(?=[).:,*]|\s*$)", part, re.MULTILINE)
        return [a or b for a, b in found] or _by_text(part, question)

    return _pick(text, candidates)


def _leading_letter(tail: str, question: Question) -> str | None:
    """The letter that directly follows the marker: "B", "(b)", "**B**", "B because (A) is wrong"."""
    span = letters(question)
    match = re.match(rf"[\s*:\"']*(?:\(([{span}{span.lower()}])\)|([{span}])(?!['\u2019]?\w))", tail)
    if match is None:
        return None
    # "The answer is a bird" in a text that shouts its first letter: an article, when a choice's text follows.
    if match[2] == "A" and re.match(r" [a-z]", tail[match.end() :]) and _by_text(tail, question):
        return None
    return (match[1] or match[2]).upper()


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
    word = _pick(text, lambda part: [found.lower() for found in _YES_NO.findall(part)])
    return {"true": "yes", "false": "no"}.get(word, word) if word else None


def _bare(text: str) -> str:
    return re.sub(r"[\"'`*\u201c\u201d\u2018\u2019.\s]", "", text).lower()


def read_text(text: str, question: Question) -> str | None:
    """The rest of the line after the marker, or else the last line, without quotes, dots, stars and spaces."""
    tail = after_marker(text)
    lines = [line for line in (text if tail is None else tail).splitlines() if line.strip()]
    if not lines:
        return None
    return _bare(lines[-1] if tail is None else lines[0]) or None


def same_text(answer: str, question: Question) -> bool:
    """Equal but for quotes, dots, stars, spaces and case."""
    return _bare(answer) == _bare(question.answer)


READERS: dict[str, tuple[Reader, Comparer]] = {
    "number": (read_number, same_number),
    "choice": (read_choice, same_choice),
    "yes_no": (read_yes_no, lambda answer, question: answer == read_yes_no(question.answer, question)),
    "text": (read_text, same_text),
}
