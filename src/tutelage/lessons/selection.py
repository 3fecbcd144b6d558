"""Which mistakes go up to the teacher, when not all of them can."""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tutelage.errors import MissingPackage
from tutelage.types import Attempt, Question

Sorter = Callable[[Sequence[Question], Mapping[str, list[Attempt]]], list[Question]]


def choose_questions(
    how: str, most: int | None, questions: Sequence[Question], attempts: Sequence[Attempt], rng: random.Random
) -> list[Question]:
    """At most `most` of the questions, in the order of `questions`.

    `how`: "random"; "hardest", most samples wrong first; "common", most samples with the same wrong answer first;
    "spread", in turn from each template, or from clusters of like questions where there are no templates.
    """
    if most is None or len(questions) <= most:
        return list(questions)
    by_question: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_question.setdefault(attempt.question, []).append(attempt)
    shuffled = rng.sample(list(questions), len(questions))
    chosen = {question.id for question in _SORTERS[how](shuffled, by_question)[:most]}
    return [question for question in questions if question.id in chosen]


def choose_alike(chosen: Sequence[Question], among: Sequence[Question], rng: random.Random) -> list[Question]:
    """As many questions of each template as `chosen` holds, drawn from all of `among`, in their order.

    Where a template has too few, its place goes to questions of any template, so that as many are taught.
    """
    wanted = Counter(question.template for question in chosen)
    found: set[str] = set()
    shuffled = rng.sample(list(among), len(among))
    for question in shuffled:
        if wanted[question.template] > 0:
            wanted[question.template] -= 1
            found.add(question.id)
    rest = (question.id for question in shuffled if question.id not in found)
    found.update(itertools.islice(rest, max(0, min(len(chosen), len(among)) - len(found))))
    return [question for question in among if question.id in found]


def _hardest(questions: Sequence[Question], attempts: Mapping[str, list[Attempt]]) -> list[Question]:
    def missed(question: Question) -> float:
        sat = attempts.get(question.id, [])  # it may not have been in the exam
        return sum(attempt.verdict == "wrong" for attempt in sat) / max(len(sat), 1)

    return sorted(questions, key=missed, reverse=True)


def _common(questions: Sequence[Question], attempts: Mapping[str, list[Attempt]]) -> list[Question]:
    def alike(question: Question) -> int:
        answers = Counter(attempt.answer for attempt in attempts.get(question.id, ()) if attempt.verdict == "wrong")
        return max(answers.values(), default=0)

    return sorted(questions, key=alike, reverse=True)


def _spread(questions: Sequence[Question], attempts: Mapping[str, list[Attempt]]) -> list[Question]:
    names = [question.template for question in questions]
    if len(set(names)) < 2:
        names = _clusters([question.text for question in questions])
    groups: dict[str, list[Question]] = {}
    for name, question in zip(names, questions, strict=True):
        groups.setdefault(name, []).append(question)
    turns = [(turn, question) for group in groups.values() for turn, question in enumerate(group)]
    return [question for _, question in sorted(turns, key=lambda pair: pair[0])]


def _clusters(texts: Sequence[str]) -> list[str]:
    """The cluster of each text: k-means over its words, weighted by how telling they are."""
    try:
        from sklearn.cluster import KMeans
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        purpose = "feedback.choose=spread on questions without templates"
        raise MissingPackage("scikit-learn", purpose, "'tutelage[cluster]'") from None
    weights = TfidfVectorizer().fit_transform(texts)
    count = max(2, min(20, len(texts) // 5))
    return [str(label) for label in KMeans(count, n_init=1, random_state=0).fit_predict(weights)]


_SORTERS: dict[str, Sorter] = {
    "random": lambda questions, attempts: list(questions),
    "hardest": _hardest,
    "common": _common,
    "spread": _spread,
}
