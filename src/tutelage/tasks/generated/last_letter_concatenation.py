"""Last letters: take the last letter of each of some names and join them."""

import random

from tutelage.tasks.generated.making import NAMES, Making, check_option, make_task
from tutelage.tasks.task import Task
from tutelage.types import Question

_NAME = "last_letter_concatenation"


def make(size: int = 2000, seed: int = 0, words: int = 4) -> Task:
    """Make last-letter questions with `words` names each (after Wei et al., 2022)."""
    check_option(_NAME, "words", words, 1, 20)
    making = Making(_NAME, "text", lambda rng, _: _draw(rng, words), worked)
    return make_task(making, size, seed, {"words": words})


def _draw(rng: random.Random, words: int) -> tuple[Question, str]:
    names = rng.sample(NAMES, words)
    joined = " ".join(names)
    text = f'Take the last letters of each words in "{joined}" and concatenate them.'
    answer = "".join(name[-1] for name in names)
    return Question(id="", text=text, answer=answer, facts={"names": names}), joined


# One name's step, ending: the same steps in other words.
_WORDINGS = (
    ('The last letter of "{name}" is "{letter}".', 'Concatenating them gives "{answer}".'),
    ("{name} ends in {letter}.", "Together: {answer}."),
    ('"{name}" has the last letter "{letter}".', 'Put together they are "{answer}".'),
    ("From {name} we take {letter}.", "In this order they make {answer}."),
)


def worked(question: Question, variant: int) -> str:
    """Name each last letter, then join them."""
    step, ending = _WORDINGS[variant % len(_WORDINGS)]
    steps = [step.format(name=name, letter=name[-1]) for name in question.facts["names"]]
    return " ".join([*steps, ending.format(answer=question.answer)])
