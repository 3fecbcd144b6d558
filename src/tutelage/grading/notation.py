r"""One way to write a formula: `normal` leaves out of LaTeX what has no meaning. Pure."""

import re

from tutelage.grading.numerals import NAMES
from tutelage.grading.quantities import first_number
from tutelage.grading.units import PARTS, is_unit

LONGEST = 1000  # characters of a formula

_SPACES = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits)(?![a-zA-Z])|(?<!\\)\\[,;:! ]|~|\\q?quad(?![a-zA-Z])|\$"
)
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
_UNIT = re.compile(
    r"(?<=[\d})])\s*(?:\\?(?:text|mathrm|mbox)\s*\{([^{}]*)\}|(?<=[\s}])([a-zA-Z][a-zA-Z./ ]+))(?:\s*\^\s*\{?[23]\}?)?\s*$"
)
_QUANTITY = re.compile(
    r"[$€£]?[\d,]+(?:\.\d+)?(?:\s+\(?(?:[a-zA-Z]{2,}(?:[-./][a-zA-Z]+)*|a)\)?)+"  # "5 million", "5 (five)"
    rf"|(?:(?:{NAMES}|{'|'.join(PARTS)}s?|and|a)\b[\s-]*)+",  # "one half"
    re.IGNORECASE,
)
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°|\\?%|\\\$")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?!\d)")
_MIXED = re.compile(r"(?<![\d.}\w])(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}")


def normal(latex: str) -> str:
    """An expression without what has no meaning: sizes, spaces, dollars, units, degrees, a full stop."""
    text = latex.strip().strip("$").strip()
    text = re.sub(r"\\\(|\\\)|\\\[|\\\]", "", text)
    text = (
        text.replace("{,}", ",")
        .replace("−", "-")
        .replace("±", "\\pm ")
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac")
    )
    text = (
        text.replace("\\cfrac", "\\frac").replace("\\infin ", "\\infty").replace("∞", "\\infty").replace("π", "\\pi ")
    )
    text = _DEGREES.sub("", text).rstrip(". ")
    if _QUANTITY.fullmatch(plain := " ".join(_TEXT.sub(r" \1 ", text).split())):
        found = first_number(plain)
        return found if isinstance(found, str) else plain
    text = _UNIT.sub(lambda m: "" if _is_unit(m[1] or m[2] or "") else m[0], text)
    text = _SPACES.sub(" ", text)
    text = _TEXT.sub(lambda m: f" {m[1].strip()} ", text)
    text = _THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    text = _braced(text)
    text = _MIXED.sub(r"(\1+\\frac{\2}{\3})", text)
    return " ".join(text.split()).rstrip(".").strip()


def _is_unit(words: str) -> bool:
    """Whether words behind an expression are its unit; "or six", "x", "million" are not."""
    named = re.findall("[a-zA-Z]+", re.sub(r"\b[ap]\.m\b", "", words))
    return not {"or", "and", "to", "if", "plus", "minus", "times"} & {*named} and all(
        is_unit(word, glued=True) for word in named
    )


def _braced(text: str) -> str:
    r"""`\frac12` as `\frac{1}{2}`, `\sqrt3` as `\sqrt{3}`."""
    one = r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|\\[a-zA-Z]+|[\da-zA-Z])"
    text = re.sub(rf"\\frac\s*({one})\s*({one})", lambda m: f"\\frac{_inner(m[1])}{_inner(m[2])}", text)
    return re.sub(r"\\sqrt\s*(\d|[a-zA-Z](?![a-zA-Z]))", r"\\sqrt{\1}", text)


def _inner(part: str) -> str:
    return part if part.startswith("{") else f"{{{part}}}"
