"""What makes a larger number of one, or one with a part more: "5 million", "2^5", "5 and a half", "two thirds". Pure."""

import re
from fractions import Fraction

from tutelage.grading.markers import REFUSED
from tutelage.grading.numerals import LONGEST, decimal, number_at, value
from tutelage.grading.units import PARTS, scale

_POWER = re.compile(r"\s?(?:\^|\*\*)\s?(?:\{\s?)?\(?([-+]?\d{1,3})(?!\d|\.\d)\)?(?:\s?\})?")
_AND_PART = re.compile(r"\s+and\s+(?:(?:a|one)[\s-](half|third|fourth|quarter)\b|(\d{1,2})/(\d{1,2})(?![\d/]))", re.I)
_WORD = re.compile(r"[$)\]}*]*+[^\S\n]*+-?[^\S\n]*+([a-zA-Z]++)")
_THEN = re.compile(r"(?P<bound>-[a-zA-Z])?[\s-]*(?:and\s+)?[$€£]?")
_PART = re.compile(rf"[\s-](?:({'|'.join(PARTS)})(s?)|quarters?)\b", re.IGNORECASE)


def grown(part: str, end: int, answer: str, in_words: bool) -> tuple[object, int]:
    """A number with a power, a scale or a part behind it, and where that ends; the same number where there is none."""
    if power := _POWER.match(part, end):
        return _raised(answer, int(power[1])), power.end()
    more = _with_part(part, end, answer, in_words)
    if more[0] is not answer:
        return more
    word = _WORD.match(part, end)
    if word is None or scale(word[1]) == 1:
        return answer, end
    then = _THEN.match(part, word.end())
    again = _WORD.match(part, word.end())  # "5 hundred thousand"
    beside = then and number_at(part, then.end()) and not (again and scale(again[1]) > 1)
    if answer.endswith("%") or then is None or then["bound"] or beside:
        return REFUSED, word.end()  # "5 hundred-dollar bills", "6 thousand two hundred"
    return decimal(value(answer) * scale(word[1])), word.end()


def _with_part(part: str, end: int, answer: str, in_words: bool) -> tuple[object, int]:
    """ "5 and a half", "two thirds"."""
    if some := _AND_PART.match(part, end):
        top, bottom = (1, PARTS.get(some[1].lower(), 4)) if some[1] else (int(some[2]), int(some[3]))
        whole = value(answer)
        if not 0 < top < bottom or whole.denominator != 1 or answer.endswith("%"):
            return REFUSED, some.end()
        return decimal(whole + Fraction(-top if whole < 0 else top, bottom)), some.end()
    some = _PART.match(part, end)
    if some is None or (some[1] is None and not in_words):  # quarters are coins, too
        return answer, end
    if some[1] is None:
        return REFUSED, some.end()
    if some[2] or value(answer) == 1:
        return decimal(value(answer) / PARTS[some[1].lower()]), some.end()
    return answer, end


def _raised(answer: str, power: int) -> object:
    base = value(answer.removeprefix("-"))
    size = max(len(str(base.numerator)), len(str(base.denominator)))
    if answer.endswith("%") or size * abs(power) > LONGEST or (not base and power <= 0):
        return REFUSED
    worth = base**power
    return decimal(-worth if answer.startswith("-") else worth)
