"""Numbers as people and models write them. Pure: a text in, numbers written one way out."""

import re
from fractions import Fraction

from tutelage.tasks.markers import REFUSED

# Groups of three behind a comma or a narrow space; a minus is a sign only where no number or letter stands before it:
# "5-3" holds 5 and 3, not -3. A number glued to letters ("b2b") or to a slash ("12/25/2020") is none.
_WHOLE = r"(?:\d{1,3}(?:[,\u00a0\u2009\u202f]\d{3})+(?!\d)|\d+)"
_NUMBER = re.compile(
    rf"(?<![\w/])(?<!\d\.)(-?[$€£]?-?)({_WHOLE}(?:\.\d+)?|(?<!\.)\.\d+)(?:[eE]([-+]?\d{{1,3}})(?![\w.]))?"
    r"(?:(?: (\d{1,6}))?/(\d{1,12})(?![\d/]))?(\s?%)?"
)
# "3 + 4 =", "3 cm + 4 cm =": what follows is the answer
_SUM = re.compile(r"(?:[\s\d.,$€£()+\-*/x×÷·^%]|(?<=\d )[a-z]{2,15}(?= [-+*/x×÷=]))*=[\s$€£(]*")
_RANGE = re.compile(r"\s*(?:-|–|—|\bto\b|\bor\b|\band\b|\bthrough\b)\s*[-$€£]?\d|[,:]\d")  # "3,5" and "5:30", too
_JOINED = re.compile(r"\s*(?:-|–|—|to|or|and|through)\s*")
_OR = re.compile(r",?\s*\bor\b\s*")
_SPACED = re.compile(r"(\W*)(\d{1,3}(?: \d{3})+)(?!\d)")

_POWER = re.compile(r"\s?(?:x|×|\\times|\\cdot|\*)\s?10\s?\^\s?\{?\(?([-+]?\d{1,3})\)?\}?")
_FRACTION = re.compile(r"(?P<mixed>(?<=\d)\s*)?\\[dtc]?frac\s*(?:\{([^{}]{1,20})\}|(\d))\s*(?:\{([^{}]{1,20})\}|(\d))")
_DASH = re.compile(r"(?<![\w)])(?<![\w)] )–(?=[\d$.])")  # a minus sign in print
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_PLAIN = str.maketrans({"−": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-"} | {key: f" {value}" for key, value in _VULGAR.items()})  # fmt: skip

_UNITS = {word: value for value, word in enumerate(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"])}  # fmt: skip
_TENS = {
    word: 10 * value
    for value, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_WORD = "|".join([*_UNITS, *_TENS, *_SCALES])
_DIGIT = "|".join(list(_UNITS)[:10])
_WORDS = re.compile(
    rf"\b(?:minus |negative )?(?P<whole>(?:{_WORD})(?:(?:[ -]| and )(?:{_WORD}))*)(?: point(?P<rest>(?: (?:{_DIGIT}))+))?\b(?! of\b)",
    re.IGNORECASE,
)


def numbers(text: str) -> list[str]:
    """Every number of the text, in order, written one way ("1,000.0" and "$1000" are both "1000", "3/4" is "0.75")."""
    return [_written(match) for match in _NUMBER.finditer(_tidy(text))]


def first_number(part: str) -> object:
    """The number that the text behind a marker begins with: its first, or what its sum comes to.

    REFUSED for a range or a choice of several ("3 to 5"); None without a number.
    """
    part = _tidy(part)
    spaced = _SPACED.match(part)
    if spaced:  # "1 000": only here, since "100 200" in running text are two numbers
        part = spaced[1] + spaced[2].replace(" ", "") + part[spaced.end() :]
    match = _NUMBER.search(part)
    if match is None:
        return _in_words(part)
    if "=" in part and (total := _SUM.match(part, match.start())):
        match = _NUMBER.match(part, total.end()) or match
    return REFUSED if _RANGE.match(part, match.end()) and not _said_twice(part, match) else _written(match)


def _said_twice(part: str, match: re.Match[str]) -> bool:
    """Whether a number is followed by "or" and the same value written otherwise: "0.6 or 3/5"."""
    joint = _OR.match(part, match.end())
    again = _NUMBER.match(part, joint.end()) if joint else None
    return again is not None and same_value(_written(again), _written(match)) and not _RANGE.match(part, again.end())


def last_number(text: str) -> object:
    """The last number of a text without markers; REFUSED when the text ends in a range."""
    text = _tidy(text)
    before = match = None
    for found in _NUMBER.finditer(text):
        before, match = match, found
    if match is None:
        return None
    if before and _JOINED.fullmatch(text, before.end(), match.start()) and not _said_twice(text, before):
        return REFUSED
    return _written(match)


def value(number: str) -> Fraction:
    """The worth of a number as `numbers` writes it; a percent sign is left out."""
    return Fraction(number.removesuffix("%"))


def same_value(answer: str, gold: str) -> bool:
    """Equal within 1e-6 (the tolerance of Ho et al., 2022); 50 % equals 50 and 0.5."""
    a, b = value(answer), value(gold)
    if abs(a - b) <= _TOLERANCE:
        return True
    if answer.endswith("%") == gold.endswith("%"):
        return False
    return abs(a / 100 - b if answer.endswith("%") else a - b / 100) <= _TOLERANCE


_TOLERANCE = Fraction(1, 10**6)


def _tidy(text: str) -> str:
    """LaTeX, powers of ten and typographic signs in plain ASCII."""
    if not text.isascii():
        text = _DASH.sub("-", text.translate(_PLAIN))
    if "__" in text:
        text = text.replace("__", "  ")
    if "\\" in text or "{,}" in text:
        text = _TEXT.sub(r" \1", text.replace("\\!", "").replace("{,}", ",").replace("\\$", "$").replace("\\%", "%"))
        text = _FRACTION.sub(lambda m: f"{'' if m[1] is None else ' '}{m[2] or m[3]}/{m[4] or m[5]}", text)
        text = _DEGREES.sub("", text).replace("\\,", " ").replace("\\;", " ").replace("\\ ", " ")
    return _POWER.sub(r"e\1", text) if "10" in text and "^" in text else text


def _written(match: re.Match[str]) -> str:
    sign, digits, exponent, numerator, denominator, percent = match.groups()
    if not (exponent or denominator or percent or "." in digits):
        plain = re.sub(r"\D", "", digits).lstrip("0") or "0"
        return f"-{plain}" if "-" in sign and plain != "0" else plain
    worth = Fraction(re.sub(r"[^\d.]", "", digits))
    if exponent:
        worth *= Fraction(10) ** int(exponent)
    if denominator and int(denominator):
        part = Fraction(int(numerator or 0), int(denominator))
        worth = worth + part if numerator else worth / int(denominator)
    return _decimal(-worth if "-" in sign else worth) + ("%" if percent else "")


def _decimal(worth: Fraction) -> str:
    """A fraction as a decimal where it ends within 30 places, else as "a/b"."""
    if worth.denominator == 1:
        return str(worth.numerator)
    shifted = worth * 10**30
    if shifted.denominator != 1:
        return f"{worth.numerator}/{worth.denominator}"
    sign, whole = ("-" if worth < 0 else ""), str(abs(shifted.numerator)).rjust(31, "0")
    return f"{sign}{whole[:-30]}.{whole[-30:].rstrip('0')}"


def _in_words(part: str) -> str | None:
    """The first number in words, such as "forty-seven"."""
    match = _WORDS.search(part)
    if match is None:
        return None
    total = current = 0
    for word in re.split(r"[ -]+", match["whole"].lower()):
        if word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if word != "hundred":
                total, current = total + current, 0
        else:
            current += _UNITS.get(word, _TENS.get(word, 0))
    worth = Fraction(total + current)
    if match["rest"]:
        digits = "".join(str(_UNITS[word]) for word in match["rest"].lower().split())
        worth += Fraction(int(digits), 10 ** len(digits))
    return _decimal(-worth if match[0].lower().startswith(("minus", "negative")) else worth)
