"""Shuffled objects: people swap things two by two, and the question is what one of them holds at the end."""

import random
from typing import NamedTuple

from tutelage.tasks.asking import ask_which_is_true
from tutelage.tasks.generated.making import Making, check_option, make_task
from tutelage.tasks.task import Task
from tutelage.types import JsonObject, Question

_NAME = "tracking_shuffled_objects"
_PEOPLE = ("Alice", "Bob", "Claire", "Dave", "Eve", "Fred", "Gertrude")


class _Scene(NamedTuple):
    start: str  # "{people}" and "{holdings}" are filled in
    middle: str
    swap: str
    thing: str
    kinds: tuple[str, ...]


_SCENES = (
    _Scene(
        "{people} are playing a game. At the start of the game, they are each holding a ball: {holdings}.",
        "As the game progresses, pairs of players trade balls.",
        "{one} and {other} swap balls",
        "ball",
        ("black", "blue", "brown", "green", "orange", "pink", "purple", "red", "white", "yellow"),
    ),
    _Scene(
        "{people} each bring a gift to a party. At the start of the party, they are each holding a box: {holdings}.",
        "As the party goes on, pairs of guests exchange boxes.",
        "{one} and {other} swap their boxes",
        "box",
        ("big", "flat", "heavy", "light", "long", "paper", "round", "small", "striped", "wooden"),
    ),
    _Scene(
        "{people} work in a library. At the start of the day, they each have a book: {holdings}.",
        "As the day passes, pairs of them trade books.",
        "{one} and {other} swap books",
        "book",
        ("art", "cook", "fairy-tale", "garden", "history", "law", "music", "poetry", "school", "travel"),
    ),
)
_ORDER = ("Then", "After that", "Next")  # between "First" and "Finally"


def make(size: int = 2000, seed: int = 0, people: int = 3, swaps: int = 3) -> Task:
    """Make questions with `people` people and `swaps` swaps (after BIG-bench, where both are 3, 5 or 7)."""
    check_option(_NAME, "people", people, 2, len(_PEOPLE))
    check_option(_NAME, "swaps", swaps, 1, 20)
    making = Making(_NAME, "choice", lambda rng, _: _draw(rng, people, swaps), worked, ask_which_is_true)
    return make_task(making, size, seed, {"people": people, "swaps": swaps})


def _draw(rng: random.Random, people: int, swaps: int) -> tuple[Question, str]:
    scene = rng.choice(_SCENES)
    names = _PEOPLE[:people]
    kinds = rng.sample(scene.kinds, people)
    pairs = [rng.sample(range(people), 2) for _ in range(swaps)]
    asked = rng.randrange(people)
    facts: JsonObject = {"names": list(names), "kinds": kinds, "thing": scene.thing, "swaps": pairs, "asked": asked}
    final = _states(kinds, pairs)[-1]
    question = Question(
        id="",
        text=_text(scene, names, facts),
        answer="ABCDEFG"[kinds.index(final[asked])],
        choices=tuple(f"{kind} {scene.thing}" for kind in kinds),
        facts=facts,
    )
    # Whom is asked about is left out: one game must not be asked about in two splits.
    return question, f"{scene.thing}/{kinds}/{[sorted(pair) for pair in pairs]}"


def _text(scene: _Scene, names: tuple[str, ...], facts: JsonObject) -> str:
    things = [f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} {scene.thing}" for kind in facts["kinds"]]
    holdings = [f"{name} has {thing}" for name, thing in zip(names, things, strict=True)]
    start = scene.start.format(people=_listed(list(names)), holdings=_listed(holdings))
    swaps = [scene.swap.format(one=names[one], other=names[other]) for one, other in facts["swaps"]]
    order = ["First", *(_ORDER[index % len(_ORDER)] for index in range(len(swaps) - 2)), "Finally"]
    acts = " ".join(f"{word}, {swap}." for word, swap in zip(order, swaps, strict=False))
    return f"{start}\n\n{scene.middle} {acts} At the end, {names[facts['asked']]} has the"


def _listed(parts: list[str]) -> str:
    """Join as "a and b" or "a, b, and c"."""
    if len(parts) == 2:
        return " and ".join(parts)
    return ", ".join([*parts[:-1], f"and {parts[-1]}"])


def _states(kinds: list[str], swaps: list[list[int]]) -> list[list[str]]:
    """What each person holds at the start and after every swap."""
    states = [kinds]
    for one, other in swaps:
        state = list(states[-1])
        state[one], state[other] = state[other], state[one]
        states.append(state)
    return states


# Opening, one person's holding, a swap, ending: the same steps in other words.
_WORDINGS = (
    ("Start:", "{name} {kind}", "{one} and {other} swap:", "At the end {name} has the {choice}, choice ({letter})."),
    ("At first", "{name} has {kind}", "{one} and {other} trade, so", "So {name} ends with the {choice}: ({letter})."),
    ("In the beginning:", "{name}: {kind}", "After {one} and {other} swap:", "{name} now has the {choice}. ({letter})"),
)


def worked(question: Question, variant: int) -> str:
    """Write down what everybody holds after each swap."""
    opening, holding, swap, ending = _WORDINGS[variant % len(_WORDINGS)]
    names, facts = question.facts["names"], question.facts
    states = _states(facts["kinds"], facts["swaps"])
    heads = [opening, *(swap.format(one=names[one], other=names[other]) for one, other in facts["swaps"])]
    steps = []
    for head, state in zip(heads, states, strict=True):
        held = ", ".join(holding.format(name=name, kind=kind) for name, kind in zip(names, state, strict=True))
        steps.append(f"{head} {held}.")
    choice = f"{states[-1][facts['asked']]} {facts['thing']}"
    steps.append(ending.format(name=names[facts["asked"]], choice=choice, letter=question.answer))
    return " ".join(steps)
