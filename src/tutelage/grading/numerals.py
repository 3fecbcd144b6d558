"""Numbers as people and models write them. Pure: a text in, numbers written one way out.

What stands around a number, and makes another one of it, is read in quantities.py.
"""

import re
from fractions import Fraction

from tutelage.grading.units import SCALES

LONGEST = 1000  # characters of a number; a longer one is a model that is stuck on a digit

# Groups of three behind a comma or a narrow space; a minus is a sign only where no number or letter stands before it:
# "5-3" holds 5 and 3, not -3. A number glued to letters ("b2b") or to a slash ("12/25/2020") is none.
_WHOLE = r"(?:\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?!\d)|\d+)"
NUMBER = re.compile(
    rf"(?<![\w/])(?<!\d\.)(-?[$€£]?-?)({_WHOLE}(?:\.\d+)?|(?<!\.)\.\d+)(?:[eE]([-+]?\d{{1,3}})(?!\w|\.\d))?"
    r"(?:(?: (\d{1,6}))?/(\d{1,12})(?![\d/]))?(\s?%)?"
)

_POWER = re.compile(r"(?<=\d)\s?(?:x|×|\\times|\\cdot|\*)\s?10\s?\^\s?(?:\{\s?)?\(?([-+]?\d{1,3})(?!\d)\)?(?:\s?\})?")
_FRACTION = re.compile(
    r"(?P<mixed>(?<=\d)\s*+)?\\[dtc]?frac\s*+(?:\{([^{}]{1,20})\}|(\d))\s*+(?:\{([^{}]{1,20})\}|(\d))"
)
_DASH = re.compile(r"(?<![\w)])(?<![\w)] )–(?=[\d$.])")  # a minus sign in print
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*+\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*+(?:\{\s*+)?\\circ(?:\s*+\})?")
_RAISED = re.compile("[⁰¹²³⁴-⁹⁺⁻]+")
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_PLAIN = str.maketrans({"−": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-"} | {key: f" {value}" for key, value in _VULGAR.items()})  # fmt: skip
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")

_UNITS = {word: value for value, word in enumerate(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"])}  # fmt: skip
_TENS = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
NAMES = "|".join(sorted([*_UNITS, *_TENS, *SCALES], key=len, reverse=True))
_DIGIT = "|".join(list(_UNITS)[:10])
WORDS = re.compile(
    rf"\b(?:minus |negative )?(?P<whole>(?:{NAMES})(?:(?:[ -]| and )(?:{NAMES})\b)*+)(?: point(?P<rest>(?: (?:{_DIGIT}))++))?\b(?! of\b)",
    re.IGNORECASE,
)


def numbers(text: str) -> list[str]:
    """Every number of the text, in order, written one way ("1,000.0" and "$1000" are both "1000", "3/4" is "0.75")."""
    return [found for match in NUMBER.finditer(tidy(text)) if (found := written_number(match)) is not None]


def value(number: str) -> Fraction:
    """The worth of a number as `numbers` writes it; a percent sign is left out."""
    return Fraction(number.removesuffix("%"))


def same_value(answer: str, gold: str) -> bool:
    """Equal within 1e-6 (the tolerance of Ho et al., 2022); 50 % equals 50 and 0.5."""
    if answer == gold or (_PLAIN_WHOLE.fullmatch(answer) and _PLAIN_WHOLE.fullmatch(gold)):
        return answer == gold  # whole numbers, written one way
    a, b = value(answer), value(gold)
    if abs(a - b) <= _TOLERANCE:
        return True
    if answer.endswith("%") == gold.endswith("%"):
        return False
    return abs(a / 100 - b if answer.endswith("%") else a - b / 100) <= _TOLERANCE


_TOLERANCE = Fraction(1, 10**6)
_PLAIN_WHOLE = re.compile("-?[0-9]+")


def tidy(text: str) -> str:
    """LaTeX, powers of ten and typographic signs in plain ASCII."""
    if not text.isascii():
        text = _RAISED.sub(lambda m: f"^{{{m[0].translate(_LOWERED)}}}", _DASH.sub("-", text.translate(_PLAIN)))
    if "__" in text:
        text = text.replace("__", "  ")
    if "\\" in text or "{,}" in text:
        text = _TEXT.sub(r" \1", text.replace("\\!", "").replace("{,}", ",").replace("\\$", "$").replace("\\%", "%"))
        text = _FRACTION.sub(lambda m: f"{'' if m[1] is None else ' '}{m[2] or m[3]}/{m[4] or m[5]}", text)
        text = _DEGREES.sub("", text).replace("\\,", " ").replace("\\;", " ").replace("\\ ", " ")
    return _POWER.sub(r"e\1", text) if "10" in text and "^" in text else text


def written_number(match: re.Match[str]) -> str | None:
    """A number that `NUMBER` found, written one way; None for one over zero, and for one that is longer than LONGEST."""
    sign, digits, exponent, numerator, denominator, percent = match.groups()
    if len(digits) > LONGEST:
        return None
    if not (exponent or denominator or percent or "." in digits):
        plain = re.sub(r"\D", "", digits).lstrip("0") or "0"
        return f"-{plain}" if "-" in sign and plain != "0" else plain
    worth = Fraction(re.sub(r"[^\d.]", "", digits))
    if exponent:
        worth *= Fraction(10) ** int(exponent)
    if denominator:
        if not int(denominator):
            return None
        part = Fraction(int(numerator or 0), int(denominator))
        worth = worth + part if numerator else worth / int(denominator)
    return decimal(-worth if "-" in sign else worth) + ("%" if percent else "")


def decimal(worth: Fraction) -> str:
    """A fraction as a decimal where it ends within 30 places, else as "a/b"."""
    if worth.denominator == 1:
        return str(worth.numerator)
    shifted = worth * 10**30
    if shifted.denominator != 1:
        return f"{worth.numerator}/{worth.denominator}"
    sign, whole = ("-" if worth < 0 else ""), str(abs(shifted.numerator)).rjust(31, "0")
    return f"{sign}{whole[:-30]}.{whole[-30:].rstrip('0')}"


def worded(match: re.Match[str]) -> str | None:
    """A number in words that `WORDS` found, such as "forty-seven"; None for words that are no one number ("five six")."""
    total = group = 0  # what the scales so far come to, and what stands behind the last one
    largest, below = 10**15, 1000  # the next scale is smaller than the last one, the next word than the place it fills
    for word in re.split(r"[ -]+", match["whole"].lower()):
        if word == "and":
            continue
        if word == "hundred" and group < 100 and below != 100:
            group, below = (group or 1) * 100, 100
        elif word in SCALES and word != "hundred" and SCALES[word] < largest and (group or not total):
            total, largest = total + (group or 1) * SCALES[word], SCALES[word]
            group, below = 0, 1000
        else:
            size = _UNITS.get(word, _TENS.get(word, below))
            if size >= below or (not size and len(match["whole"]) > len(word)):
                return None
            group, below = group + size, 10 if word in _TENS else 1
    rest = (match["rest"] or "").lower().split()
    if len(rest) > 30:
        return None
    digits = "".join(str(_UNITS[word]) for word in rest)
    worth = Fraction(total + group) + (Fraction(int(digits), 10 ** len(digits)) if digits else 0)
    return decimal(-worth if match[0].lower().startswith(("minus", "negative")) else worth)


def number_at(part: str, place: int, digits: bool = False) -> tuple[str | None, int] | None:
    """The number that stands right there, in digits or else in words, and where it ends."""
    if match := NUMBER.match(part, place):
        return written_number(match), match.end()
    match = None if digits else WORDS.match(part, place)
    return (worded(match), match.end()) if match else None
