"""Which of a question's choices a text names: by its letter, or else by the choice's whole text. Pure."""

import re
import string
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from tutelage.grading.claims import CLOSED, FINISHED, JOINERS, JOINT, OPENED, is_denied, last_meant
from tutelage.grading.markers import REFUSED, Finder, pick
from tutelage.types import Question

_LISTED = re.compile(r"\([A-Z]\)")
WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textit)\s*+\{([^{}]*)\}")
_JOINT = re.compile(JOINT, re.IGNORECASE)
_FINISHED = re.compile(FINISHED, re.IGNORECASE)
_NEXT = re.compile(r"[)*\]]{0,3}[^\S\n]{0,3}(?:\((?=[a-zA-Z]\))|(?<=\s)(?=[A-Z]\b))")  # "(A) (B)", "A B"
_ON = re.compile(r"[^\S\n]{1,3}[A-Z]\b")
_SAID = re.compile(r"[)*\]:.,\s-]{0,4}")  # between a letter and its own text


def letters(question: Question) -> str:
    """The letters that name the question's choices; where the choices are part of its text, those it lists, else A to E."""
    listed = 0 if question.choices else len(_LISTED.findall(question.text))
    return string.ascii_uppercase[: len(question.choices) or listed or 5]


def finder(question: Question) -> Finder:
    """What finds the question's choices in a text."""
    return _finder(letters(question), question.choices)


@lru_cache(maxsize=256)
def _finder(span: str, choices: tuple[str, ...]) -> Finder:
    return Finder(lambda part: _first(part, span, choices), lambda text: _last(text, span, choices))


def same_choice(answer: str, question: Question) -> bool:
    """The same letter."""
    return answer == _gold(question.answer, finder(question))


@lru_cache(maxsize=1024)
def _gold(answer: str, find: Finder) -> str | None:
    return pick(answer, find)


class _Candidate(NamedTuple):
    letter: str
    start: int
    end: int


def _start(candidate: _Candidate) -> int:
    return candidate.start


class _Forms(NamedTuple):
    """The ways to name a choice by its letter."""

    leading: re.Pattern[str]  # directly behind a marker: "B", "(b)", "**B**", "option B", "B because (A) is wrong"
    anywhere: re.Pattern[str]  # "(B)", "B.", "B,", "option B" or a B that ends its line; not "J.B." or "A good start"
    beside: re.Pattern[str]  # the C of "B or C" and of "(b), (c)"
    before: re.Pattern[str]  # the "B or" in front of a C


@cache
def _forms(span: str) -> _Forms:
    either, named = f"{span}{span.lower()}", r"(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s++"
    return _Forms(
        re.compile(
            rf"[\s*:\"'$]*+(?:the\s++)?(?:{named})?\**+(?:\((?P<b>[{either}])\)|(?P<a>[{span}])(?!['\u2019]?\w))"
        ),
        re.compile(
            rf"\(([{span}])\)|{named}\(?([{span}])\b|(?<![\w(.'\u2019-])([{span}])(?=[).:,*]|[^\S\n]*+$)", re.MULTILINE
        ),
        re.compile(rf"([{span}])(?!['\u2019]?\w)|([{span.lower()}])\)"),
        re.compile(rf"(?<![\w'\u2019])[{span}]{CLOSED}\s{{0,3}}(?:[/&]|{JOINERS})\s{{0,3}}{OPENED}$"),
    )


@lru_cache(maxsize=256)
def _texts(choices: tuple[str, ...]) -> re.Pattern[str] | None:
    """The choices' whole texts, the longest first: the "ball" in "orange ball" is not the choice "ball"."""
    wanted = [(re.sub(r"[\s.]+$", "", choice), place) for place, choice in enumerate(choices)]
    named = sorted(((text, place) for text, place in wanted if text), key=lambda one: -len(one[0]))
    parts = "|".join(f"(?P<c{place}>{re.escape(text)})" for text, place in named)
    return re.compile(rf"(?<!\w)(?:{parts})(?!\w)", re.IGNORECASE) if parts else None


def _of_text(match: re.Match[str]) -> _Candidate:
    return _Candidate(string.ascii_uppercase[int(str(match.lastgroup)[1:])], *match.span())


def _by_letter(part: str, span: str) -> Iterator[_Candidate]:
    for match in _forms(span).anywhere.finditer(part):
        yield _Candidate(next(filter(None, match.groups())), *match.span())


def _by_text(part: str, choices: tuple[str, ...]) -> Iterator[_Candidate]:
    texts = _texts(choices)
    return map(_of_text, texts.finditer(part)) if texts else iter(())


def _unwrapped(part: str) -> str:
    return WRAPPED.sub(r"\1", part) if "\\" in part else part


def _first(part: str, span: str, choices: tuple[str, ...]) -> object:
    part = _unwrapped(part)
    match = _forms(span).leading.match(part)
    # "The answer is A bird": an article, when a choice's text follows.
    if match and match["a"] == "A" and re.match(r" [a-z]", part[match.end() : match.end() + 2]):
        match = None if next(_by_text(part, choices), None) else match
    if match:
        letter = match["a"] or match["b"].upper()
        if part[match.end() :] in ("", ".", ").", "**."):  # most answers end there
            return letter
        found: _Candidate | None = _Candidate(letter, match.start(match.lastgroup or 0), match.end())
    else:
        found = next(_by_letter(part, span), None) or next(_by_text(part, choices), None)
    if found is None:
        return None
    if _is_no_answer(part, found, span):
        return REFUSED
    return REFUSED if _is_one_of_several(part, found, span, choices) else found.letter


def _is_no_answer(text: str, found: _Candidate, span: str) -> bool:
    """Whether a choice is denied, or the last of several: "not B", "A or B"."""
    before = text[max(0, found.start - 20) : found.start]
    return is_denied(text, found.start, found.end) or _forms(span).before.search(before) is not None


def _is_one_of_several(part: str, found: _Candidate, span: str, choices: tuple[str, ...]) -> bool:
    """Whether another choice is named beside one: "A or C", "(A), (B)", "the red or the blue one"."""
    texts, end = _texts(choices), found.end
    for _ in range(len(span)):
        if texts and (own := texts.match(part, _skipped(part, end))) and _of_text(own).letter == found.letter:
            end = own.end()  # "B: white ball"
        beside = _beside(part, end, span, texts)
        if beside is None:
            return False
        if beside.letter != found.letter:
            return True
        end = beside.end
    return False


def _skipped(part: str, place: int) -> int:
    match = _SAID.match(part, place)
    return match.end() if match else place


def _beside(part: str, end: int, span: str, texts: re.Pattern[str] | None) -> _Candidate | None:
    """The choice that is named together with the one that ends there."""
    joint = _JOINT.match(part, end) or _NEXT.match(part, end)
    if joint is None:
        return None
    match = _forms(span).beside.match(part, joint.end())
    if match:
        found = _Candidate((match[1] or match[2]).upper(), *match.span())
        own = texts.match(part, _skipped(part, found.end)) if texts else None
        if (
            _FINISHED.match(part, found.end)
            or _ON.match(part, found.end)
            or (own and _of_text(own).letter == found.letter)
        ):
            return found
    follows = texts.search(part, end) if texts else None
    if follows and _JOINT.fullmatch(part, end, follows.start()):
        return _of_text(follows)
    return None


def _last(text: str, span: str, choices: tuple[str, ...]) -> object:
    text = _unwrapped(text)
    two = last_meant(text, _by_letter(text, span), _start) or last_meant(text, _by_text(text, choices), _start)
    if not two:
        return None
    last = two[-1]
    if _is_no_answer(text, last, span):
        return REFUSED
    joined = two[0].letter != last.letter and _JOINT.fullmatch(text, two[0].end, last.start)
    return REFUSED if joined else last.letter
