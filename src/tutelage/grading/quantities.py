r"""The number that a text names: a number with all that stands around it and makes another one of it. Pure.

"5 million", "2^5", "5 and a half" and "3 + 4 = 7" are read by what they come to. What is not worked out ("5 + 2"), what is
more than a number ("5x", "5!", "\sqrt{5}"), what is denied ("not 5") and what is several ("5 or six", "±5") is refused.
"""

import re
from fractions import Fraction

from tutelage.grading.claims import CLOSED, FINISHED, OPENED, is_denied, last_meant
from tutelage.grading.markers import REFUSED
from tutelage.grading.multiples import grown
from tutelage.grading.numerals import (
    LONGEST,
    NAMES,
    NUMBER,
    WORDS,
    decimal,
    number_at,
    same_value,
    tidy,
    worded,
    written_number,
)  # fmt: skip
from tutelage.grading.units import is_unit

_NEAR = 60  # characters in front of a number that may change it
_LETTER = r"[a-zA-Z](?![a-zA-Z'’]|-[a-zA-Z]{2})"  # a variable
# LaTeX that leaves the numbers around it as they are; any other command makes something else of them.
_COMMAND = r"""\\(?!(?:left|right|[bB]igg?[lr]?|q?quad|text\w*|math[rb][mf]|bf|rm|displaystyle|boxed|fbox|implies|Rightarrow
    |rightarrow|therefore|because|approx|sim|begin|end|degree|circ|square|blacksquare|qed|newline|l?dots)(?![a-zA-Z]))[a-zA-Z]+"""
_JOINS = r"\b(?:to|or|and|nor|through|versus|vs)\b"

# In front of a number: what makes something else of it.
_BEFORE = re.compile(
    rf"""
    (?:±|∓|\+/-|\bplus\ or\ minus)\s*{OPENED}$
    | {_COMMAND}[^=]*$                                                       # \sqrt{{5, \frac{{x}}{{5
    | (?:[\w)}}\]!%°|]\s*[/×÷·∙⋅+^]|\^|_)\s*[({{]*[-+]?$                    # x + 5, x^5
    | (?:[\d)}}\]]|(?<![a-zA-Z]){_LETTER})(?:\*{{1,2}}|[^\S\n]\*{{1,2}}[^\S\n])[({{]*[-+]?$    # x * 5, not has **5**
    | (?:(?<![a-zA-Z]){_LETTER}|[)}}\]])\s+[-–]\s+$ | \d\([-+]?$            # x - 5, 2(5)
    | (?:[√∛]|\b(?:sqrt|log|ln|sin|cos|tan|exp)|(?<![a-zA-Z])[a-zA-Z]\()[({{\[\s]*$
    | (?:\b(?:half|third|quarter|fourth|fifth|tenth|root|square|cube|factorial|logarithm|percent)|%)\s+of\s+[$€£(]*$
    | \b(?:twice|double|triple|times|plus|(?:divided|multiplied)\s+by|modulo|mod|power(?:\s+of)?)\s+[$€£(]*$
    | \b(?:{NAMES})\s*(?:[&-]|{_JOINS})\s*{OPENED}$                          # six or 5
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MINUS = re.compile(
    r"(?P<own>^\W*|\b(?:is|was|equals)\s+|(?=negative))(?:negative|minus)\s+$|\bminus\s+$", re.IGNORECASE
)

# Behind a number: an operator, a relation, a power or a command.
_GOES_ON = re.compile(
    rf"""
    [!_√∛π万亿億千百萬] | \(\s*(?:[-\d.(\\]|{_LETTER}) | \.\d                  # 5!, 5_8, 5(2)
    | [)\]}}"'`”’$]*+[^\S\n]*+(?:
        \^ | \*{{1,2}}[^\S\n]?(?:\.?\d|[(\\]|{_LETTER}) | [×÷·∙⋅≠≤≥±∓√]
        | \+(?:\s?[\d(.\\$]|[^\S\n]|{_LETTER})
        | /[^\S\n]*(?:[\d(\\]|(?![ghlmsd]\b){_LETTER})                        # 5/x, but not 5/day
        | [-–][^\S\n]*(?:[(\\]|(?![aAI]){_LETTER})
        | [<>]=?\s?(?:[-\d.]|[a-zA-Z](?![a-zA-Z>])) | (?<=\s):\s?\d
        | {_COMMAND}
    )""",
    re.VERBOSE,
)
_WORD = re.compile(r"([$)\]}*]*+[^\S\n]*+-?[^\S\n]*+)([a-zA-Z]++)")
_COMPOUND = re.compile(r"-[a-zA-Z]{2}|\.m\b")  # 5 t-shirts, 5 p.m.
_OPERATES = re.compile(
    r"(?:plus|minus|times|by|over|(?:divided|multiplied)\s+by|modulo|mod|choose|to\s+the\s+power(?:\s+of)?)\s+[($]*",
    re.IGNORECASE,
)
# Another number named beside it: always ("5 or 6"), or where nothing more is said of that one ("5, 6", not "5, 6 of them red").
_BESIDE = re.compile(
    rf"{CLOSED}\s*+(?:([-–—])|→|-?->|=>|&|,?\s*\(?{_JOINS})\s*(?:(?:maybe|perhaps|possibly|even|about)\s+)?{OPENED}",
    re.I,
)
_LISTED = re.compile(rf"{CLOSED}\s*+[,;]\s*{OPENED}")
_FINISHED = re.compile(FINISHED, re.IGNORECASE)
_PLACES = re.compile(r"\S{1,12}[\s-](?:decimal|significant|place)", re.IGNORECASE)  # "5.33 to 2 decimal places"
_OTHER_OF_THEM = re.compile(r"((?:\s+[a-z]+){1,3}),?\s+or\s+", re.IGNORECASE)  # "5 apples or 6 apples"

_SPACED = re.compile(r"(\W*+)(\d{1,3}(?: \d{3})+)(?!\d)")
# "3 + 4 =", "3 cm + 4 cm =": what follows is the answer
_SUM = re.compile(
    r"(?:[^\S\n]|\n(?=[\s*]{0,8}(?:x\s?)?=)|(?<=\n)x(?=\s?=)|[\d,$€£()+\-*/×÷·^%=]|x(?=\s?[\d$€£(.])|\.(?!\s)|(?<=\d )[a-z]{2,15}(?= [-+*/x×÷=]))*=[\s$€£(]*+"
)
_ALONE = re.compile(r"[()$\s]*+(?P<unit>[a-z]{2,15}\s*+)?=(?P<gap>[\s$€£(]*+)")
_JOINED = re.compile(rf"\s*+(?:[-–—]|{_JOINS})\s*+")


def first_number(part: str) -> object:
    """The number that the text behind a marker begins with: its first, or what its sum comes to.

    REFUSED for a range, a choice of several ("3 to 5") and what is no plain number ("5x"); None without a number.
    """
    part = tidy(part)
    spaced = _SPACED.match(part)
    if spaced:  # "1 000": only here, since "100 200" in running text are two numbers
        part = spaced[1] + spaced[2].replace(" ", "") + part[spaced.end() :]
    match = NUMBER.search(part)
    if match is None:
        match = WORDS.search(part)
        return match and _read(part, match, worded(match))
    if "=" in part and (total := _SUM.match(part, match.start())):
        return _worked_out(part, match, total)
    return _read(part, match, written_number(match))


def last_number(text: str) -> object:
    """The last number of a text without markers; REFUSED when the text ends in a range, or in what is no plain number."""
    text = tidy(text)
    found = last_meant(text, NUMBER.finditer(text), re.Match.start)
    if not found:
        return None
    before, match = found[0], found[-1]
    answer = _read(text, match, written_number(match))
    joined = before is not match and _JOINED.fullmatch(text, before.end(), match.start())
    return REFUSED if joined and not _same(written_number(before), answer) else answer


def published_number(part: str) -> object:
    """The first number of a text, whatever stands around it, as Kojima et al. and Ho et al. (2022) read it."""
    match = re.search(r"-?\d+\.?\d*", part.replace(",", ""))
    if match is None:
        return None
    return decimal(Fraction(match[0].removesuffix("."))) if len(match[0]) <= LONGEST else REFUSED


def _same(one: object, other: object) -> bool:
    return isinstance(one, str) and isinstance(other, str) and same_value(one, other)


def _worked_out(part: str, match: re.Match[str], total: re.Match[str]) -> object:
    """Of "3 + 4 = 7" the 7, of "5 = 2 + 3" the 5, of "36/12 = x" the 3; REFUSED for "5 = 6"."""
    if _changed(part, match, "0") is REFUSED:
        return REFUSED
    last, alone = NUMBER.match(part, total.end()), _ALONE.match(part, match.end())
    result = _read(part, last, written_number(last)) if last else None
    if not alone:
        return result or REFUSED
    first = _changed(part, match, written_number(match) or REFUSED)
    if not isinstance(result, str):
        return first
    differ = alone.end() == total.end() and not alone["unit"] and not _same(first, result)
    return REFUSED if differ else result


def _read(part: str, match: re.Match[str], answer: object) -> object:
    """A number with what stands around it; REFUSED where that makes no number of it, or another one is named, too."""
    if answer is None:
        return REFUSED
    if match.start() and not part[: match.start()].isspace():
        answer = _changed(part, match, answer)
    end = match.end()
    while part[match.start() - 1 : match.start()] == "*" == part[end : end + 1]:  # bold
        end += 1
    behind = part[end : end + 2]
    if not isinstance(answer, str) or not behind or (behind[0] == "." and not behind[1:].isdigit()):
        return answer
    for _ in range(3):  # "5 hundred million"
        more, end = grown(part, end, answer, match.re is WORDS)
        if more is answer:
            break
        answer = more
        if not isinstance(answer, str):
            return REFUSED
    if _GOES_ON.match(part, end) or _is_more(part, match.start(), end) or _is_one_of_several(part, end, answer):
        return REFUSED
    return answer


def is_changed(before: str) -> bool:
    """Whether what stands in front of a number or a formula makes something else of it: "half of", "minus", "x +"."""
    return _BEFORE.search(before) is not None or _MINUS.search(before) is not None


def _changed(part: str, match: re.Match[str], answer: object) -> object:
    """A number with what stands in front of it: "minus 5" is -5, "not 5", "x + 5" and "half of 5" are REFUSED."""
    start = match.start()
    before = part[max(0, start - _NEAR) : start]
    if not before.strip() or not isinstance(answer, str):
        return answer
    if _BEFORE.search(before) or is_denied(part, start, match.end()):
        return REFUSED
    if (minus := _MINUS.search(before)) is None:
        return REFUSED if before[-1] == "|" and answer.startswith("-") else answer
    return REFUSED if minus["own"] is None or answer.startswith("-") else f"-{answer}"


def _is_more(part: str, start: int, end: int) -> bool:
    """Whether a word behind a number makes something else of it: "5x", "5 squared", "5 times 3"."""
    word = _WORD.match(part, end)
    if word is None:
        return False
    if word[1].strip() != "-" and not _COMPOUND.match(part, word.end()) and not is_unit(word[2], glued=not word[1]):
        return True
    if word[2] in ("m", "M") and part[start] in "$€£":  # $5m
        return True
    operates = _OPERATES.match(part, word.start(2))
    return operates is not None and number_at(part, operates.end()) is not None


def _is_one_of_several(part: str, end: int, answer: str) -> bool:
    """Whether a number is followed by another one that is named beside it; "0.6 or 3/5" names one."""
    if re.match(r"[,:]\d", part[end : end + 2]):  # "3,5" and "5:30"
        return True
    for _ in range(6):
        joint = _BESIDE.match(part, end)
        beside = joint or _LISTED.match(part, end)
        other = beside and number_at(part, beside.end(), digits=bool(joint and joint[1]))
        if not beside or not other or (joint and _PLACES.match(part, joint.end())):
            break
        if not _same(other[0], answer):
            return joint is not None or _FINISHED.match(part, other[1]) is not None
        end = other[1]
    return " or " in part[end : end + _NEAR] and _is_another_of_them(part, end, answer)


def _is_another_of_them(part: str, end: int, answer: str) -> bool:
    """Whether the same thing is counted otherwise behind an "or": "5 apples or 6 apples", not "5 hours or 300 minutes"."""
    joint = _OTHER_OF_THEM.match(part, end)
    other = joint and number_at(part, joint.end())
    if not joint or not other or _same(other[0], answer):
        return False
    again = _WORD.match(part, other[1])
    return again is None or joint[1].split()[0].lower() == again[2].lower()
