"""What training texts share with questions that are held out: the same text, the same but for numbers, the same words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from tutelage.types import Question

_GRAM = 8  # words that two questions must share in a row to be alike in one place
_ALIKE = 0.8  # share of such places from which on a question counts as copied
_LONG = 13  # words in a row that are no coincidence [Brown et al. 2020, appendix C]

Kind = Literal["same", "template", "words"]


class Overlap(NamedTuple):
    """What a text shares with a held-out question."""

    kind: Kind  # "same"; "template", the same but for numbers; "words", 13 words in a row
    question: str  # id
    text: str  # what is shared


class HeldOut:
    """The questions that nothing which is learned may copy."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._texts: dict[tuple[str, ...], str] = {}  # words -> id, and so on
        self._templates: dict[tuple[str, ...], str] = {}
        self._long: dict[tuple[str, ...], str] = {}
        self._places: dict[tuple[str, ...], list[str]] = {}
        for question in questions:
            words = tuple(_words(question.text))
            if words in self._texts:
                continue
            self._texts[words] = question.id
            self._templates.setdefault(_masked(words), question.id)
            self._long |= dict.fromkeys(_grams(words, _LONG), question.id)
            for gram in set(_grams(words, _GRAM)):
                self._places.setdefault(gram, []).append(question.id)

    def overlap(self, text: str) -> Overlap | None:
        """The gravest thing that a text shares with one of the questions, if any."""
        words = tuple(_words(text))
        if words in self._texts:
            return Overlap("same", self._texts[words], text.strip())
        masked = _masked(words)
        if masked != words and masked in self._templates:
            return Overlap("template", self._templates[masked], " ".join(masked))
        run = next((gram for gram in _grams(words, _LONG) if gram in self._long), None)
        return Overlap("words", self._long[run], " ".join(run)) if run else None

    def copies(self, text: str) -> bool:
        """Whether a text is one of the questions, but for spacing, case and punctuation, or nearly all taken from one."""
        words = tuple(_words(text))
        grams = set(_grams(words, _GRAM))
        shared = Counter(name for gram in grams for name in self._places.get(gram, ()))
        return words in self._texts or (bool(grams) and max(shared.values(), default=0) / len(grams) >= _ALIKE)


def normalized(text: str) -> str:
    """A text without case and punctuation: two that differ in these alone are the same."""
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _masked(words: Sequence[str]) -> tuple[str, ...]:
    return tuple("#" if word.isdigit() else word for word in words)


def _grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))


class Finding(NamedTuple):
    """How many texts of a training set overlap with held-out questions, and an example of each kind."""

    texts: int
    counts: Counter[Kind]
    examples: dict[Kind, tuple[str, Overlap]]  # kind -> name of the text, what it shares

    def line(self) -> str:
        """The finding in one line."""
        said: dict[Kind, str] = {
            "same": "the same",
            "template": "the same but for numbers",
            "words": f"with {_LONG} words in a row the same",
        }
        parts = ", ".join(f"{self.counts[kind]} {words}" for kind, words in said.items() if self.counts[kind])
        return f"{self.texts} texts against the held-out questions: {parts or 'nothing shared'}"


def find_overlaps(texts: Iterable[tuple[str, str]], held_out: HeldOut) -> Finding:
    """Compare named texts with the held-out questions."""
    counts: Counter[Kind] = Counter()
    examples: dict[Kind, tuple[str, Overlap]] = {}
    total = 0
    for name, text in texts:
        total += 1
        if overlap := held_out.overlap(text):
            counts[overlap.kind] += 1
            examples.setdefault(overlap.kind, (name, overlap))
    return Finding(total, counts, examples)
