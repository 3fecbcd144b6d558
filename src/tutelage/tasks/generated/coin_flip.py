"""Coin flips: people flip a coin or leave it, and the question is whether it still shows heads."""

import random

from tutelage.tasks.generated.making import NAMES, Making, check_option, make_task
from tutelage.tasks.task import Task
from tutelage.types import Question

_NAME = "coin_flip"


def make(size: int = 2000, seed: int = 0, flips: int = 4) -> Task:
    """Make coin-flip questions with `flips` people each (after Wei et al., 2022)."""
    check_option(_NAME, "flips", flips, 1, 20)
    making = Making(_NAME, "yes_no", lambda rng, _: _draw(rng, flips), worked)
    return make_task(making, size, seed, {"flips": flips})


def _draw(rng: random.Random, flips: int) -> tuple[Question, str]:
    people = rng.sample(NAMES, flips)
    flipped = [rng.random() < 0.5 for _ in people]
    verbs = ["flips" if flip else "does not flip" for flip in flipped]
    acts = [f"{name} {verb} the coin." for name, verb in zip(people, verbs, strict=True)]
    text = f'A coin is heads up. {" ".join(acts)} Is the coin still heads up? Note that "flip" here means "reverse".'
    answer = "yes" if sum(flipped) % 2 == 0 else "no"
    facts = {"people": people, "flipped": flipped}
    return Question(id="", text=text, answer=answer, facts=facts), " ".join(acts)


# Opening, a person who flips, a person who does not, ending: the same steps in other words.
_WORDINGS = (
    ("The coin starts heads up.", "{name} flips it: {side}.", "{name} leaves it: still {side}.", "It ends {side} up."),
    ("Start: heads.", "After {name} flips: {side}.", "After {name} does nothing: {side}.", "End: {side}."),
    (
        "At first the coin shows heads.",
        "{name} reverses it, so it shows {side}.",
        "{name} leaves it, so it shows {side}.",
        "In the end it shows {side}.",
    ),
    ("We begin with heads.", "{name}: flip, now {side}.", "{name}: nothing, still {side}.", "So we end with {side}."),
)


def worked(question: Question, variant: int) -> str:
    """Follow the coin from person to person."""
    opening, flip, leave, ending = _WORDINGS[variant % len(_WORDINGS)]
    side, steps = "heads", [opening]
    for name, flipped in zip(question.facts["people"], question.facts["flipped"], strict=True):
        if flipped:
            side = "tails" if side == "heads" else "heads"
        steps.append((flip if flipped else leave).format(name=name, side=side))
    return " ".join([*steps, ending.format(side=side)])
