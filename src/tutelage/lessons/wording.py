"""One way to write reasoning down, whoever wrote it: a teacher's rationale, a correction, or a student's mistake."""

import math
import re

ARROW = " --> "  # between rationale and answer in what a student writes [Ho et al. 2022, section 3.3]

# A question put again, below it a wrong answer and what is said of it: what a probe asks and `self_distil` distils from.
SHOWN_AGAIN = "{question}\n\nAn answer to this, which is wrong:\n{mistake}\n\nWhat is wrong with it: {feedback}\n\nAnswer the question."

_LONGEST = 300  # characters of a sentence that holds an answer alone; a longer one says more
# "Therefore, the answer (arabic numerals) is: ", "**Final answer:** ", "#### "
_ANNOUNCES = re.compile(
    r"[\s*#>]{0,8}(?:(?:therefore|thus|so|hence|finally),? )?(?:the )?(?:final |correct |right )?"
    r"answer[*\s]{0,4}(?:\([^)\n]{0,40}\)\s?)?(?:is\b\s?:?|:|=)[*\s]{0,4}|####\s?",
    re.IGNORECASE,
)
# What shows that a sentence still reasons: a step that is worked out, or a clause that argues.
_REASONS = re.compile(
    r"=|\d\s?[*×+]\s?\d|\d [-/x] \d|\b(?:because|since|so|as|which|if|when|after|then|but|not)\b", re.I
)
# What an answer alone looks like behind its announcement: a number with its unit, a date, a choice with its text, an
# expression in dollars or in a box, or a few plain words. Anything else may be reasoning, and reasoning stays.
_MARKS = r"[\s*_\"'`\u201c\u201d\u2018\u2019]*"
_ALONE = re.compile(
    rf"{_MARKS}(?:"
    r"[-\u2212]?[$\u20ac\u00a3]?[-\u2212]?\d[\d,]*(?:\.\d+)?\s?%?(?:\s[A-Za-z\u00b0]+\.?){0,4}(?:, no,? -?\d+)?"
    r"|[-\u2212]?(?:\d+\s)?(?P<top>\d+)/(?P<bottom>\d+)(?:\s[A-Za-z]+){0,4}"
    r"|\d{1,2}/\d{1,2}/\d{2,4}|[A-Z][a-z]+\.?\s\d{1,2}(?:st|nd|rd|th)?,?\s\d{4}"
    r"|\(?[A-Z]\)?\.?(?:\s[^:;=\u2014]{1,120})?"
    r"|\$[^$=]{1,80}\$|\\\([^=]{1,80}\\\)|\\boxed\{[^=]{1,80}\}|\$\\boxed\{[^$=]{1,80}\}\$"
    r"|[A-Za-z]+(?:['\u2019-][A-Za-z]+)*(?:\s[A-Za-z]+(?:['\u2019-][A-Za-z]+)*){0,5}"
    rf"){_MARKS}[.!]?{_MARKS}"
)
_ENDS = re.compile(r"[.!?]\s|[。！？]\s?|\n")


def clean(text: str) -> str:
    """The text with its lines kept, without spaces at their ends, doubled ones, and more than one empty line."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def reasoning(text: str) -> str:
    """An answer without its ending: no "--> 6" behind it, and no last sentence that holds the answer alone.

    "Therefore, the answer is 36 - 30 = 6." is a step of the reasoning and stays. Empty where nothing was reasoned.
    """
    whole = clean(text)
    head, arrow, tail = whole.rpartition(ARROW.strip())
    body = head.strip() if arrow and "\n" not in tail.strip() else whole
    start = len(body) - _LONGEST
    window = body[max(start, 0) :]
    breaks = [found.end() for found in _ENDS.finditer(window[:-1])]
    if start > 0 and not breaks:
        return body
    last = max(start, 0) + (breaks[-1] if breaks else 0)
    return body[:last].strip() if _answers_alone(body[last:]) else body


def _answers_alone(sentence: str) -> bool:
    """Whether a sentence announces an answer and says nothing more."""
    announced = _ANNOUNCES.match(sentence)
    alone = _ALONE.fullmatch(sentence, announced.end()) if announced else None
    if announced is None or alone is None or _REASONS.search(sentence, announced.end()):
        return False
    # "30/5" is worked out, "3/4" is as it is.
    return alone["top"] is None or math.gcd(int(alone["top"]), int(alone["bottom"])) == 1 != int(alone["bottom"])


def same_words(text: str) -> str:
    """What two texts have in common that differ in case and space alone."""
    return " ".join(text.lower().split())
