"""What the procedural tasks share: from a way to draw one question to a whole task."""

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.grading.answers import grading
from tutelage.tasks.task import SHARES, Belongs, Draw, Task, ask_plainly, check_split, draw_disjoint, share_of
from tutelage.types import Chat, Question

# First names that are one capitalised word each. They end in many different letters, so that last-letter questions
# cannot be answered by guessing a vowel.
_NAMES = """
Aaron Abdul Abigail Ada Agnes Ahmed Aisha Alan Albert Alex Alfred Alma Amir Amy Andrew Angus Anita Anton April
Arthur Asif Astrid Barbara Basil Beatrix Ben Bernard Beth Birgit Blanche Boris Brad Brandon Bridget Bruno Caleb
Calvin Carl Carmen Cedric Charles Chen Chloe Claus Clive Conrad Craig Cyril Daisy Damian Daphne David Deepak Denis
Derek Diego Dilip Dirk Dmitri Donald Doris Dorothy Drew Duncan Dwight Edgar Edith Edward Elias Elif Eliot Ella
Ellen Emil Enrique Erik Ernest Esther Ethel Eugene Farah Farid Felix Fiona Floyd Frank Fred Gabriel Gail Geoff
George Gerald Gita Giulia Glen Grace Greg Gustav Hank Hannah Harold Hasan Hazel Heath Heidi Helen Henk Hilda
Hiroshi Howard Hugh Hugo Ian Ibrahim Ida Igor Ingrid Irene Iris Isaac Ivan Jack Jacob Jasmin Javed Jeff Jim Joan
Joel John Jorge Josef Judith Julius Kai Karl Kate Keith Ken Kim Kirk Klaus Kofi Kurt Laila Lars Laszlo Leah Leif
Leo Lewis Liam Linda Lloyd Lois Lucy Ludwig Luigi Luz Mabel Magnus Malik Marc Margot Maria Mark Marta Maurice Max
Maya Mehmet Meg Mick Miguel Mina Mohammed Moritz Myra Nadia Naomi Nathan Ned Nelson Nick Nigel Noah Noor Norbert
Olaf Oleg Olga Olivia Omar Oscar Otto Pablo Pam Patrick Paul Pedro Peg Penelope Petra Phil Philip Pierre Priya
Quentin Rachel Rafiq Ralph Ramon Raquel Rashid Rebecca Reza Rick Rita Robert Rolf Rosa Ross Roy Rudolf Ruth Sadiq
Sally Sam Samir Sarah Saul Scott Selim Serge Sheila Sid Simon Sofia Sonia Sophie Stan Stefan Sven Sybil Tariq Ted
Tess Thabo Theo Thomas Tim Todd Tom Trudy Uli Umberto Una Ursula Vera Victor Vincent Viv Vladimir Walter Wanda
Wendy Werner Wilhelm Will Winston Wolfgang Xavier Yan Yasmin Yosef Yuki Yusuf Zack Zelda Ziad Zoe
"""
NAMES = tuple(_NAMES.split())


class Making(NamedTuple):
    """How one procedural task makes, asks and works out its questions."""

    name: str
    kind: str
    draw: Draw  # a question and its fingerprint: what makes the question that question
    worked: Callable[[Question, int], str]
    ask: Callable[[Question], Chat] = ask_plainly
    again: Callable[[Question], Draw] | None = None  # a narrower draw for questions like this one
    belongs: Belongs = lambda fingerprint, split: share_of(fingerprint) == split


def check_option(task: str, option: str, value: int, low: int, high: int | None = None) -> None:
    """Refuse a whole-number option that is out of range, naming the range."""
    if value < low or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"task {task!r}: {option} must be {span}, and is {value}")


def share_sizes(size: int) -> dict[str, int]:
    """How many of `size` questions each split gets: 70, 10 and 20 per cent, and at least one."""
    return {split: max(1, round(size * (high - low))) for split, (low, high) in SHARES.items()}


def _sizes(task: str, size: int | dict[str, int]) -> dict[str, int]:
    if isinstance(size, int):
        check_option(task, "size", size, 1)
        return share_sizes(size)
    for split, count in size.items():
        if split not in SHARES:
            raise ConfigError(f"task {task!r}, size: there is no split {split!r}; {nearest(split, SHARES)}")
        check_option(task, f"size.{split}", count, 1)
    if lost := [split for split in SHARES if split not in size]:
        raise ConfigError(
            f"task {task!r}: size says nothing of {' and '.join(lost)}; give a number, or one for each split"
        )
    return {split: size[split] for split in SHARES}


def make_task(making: Making, size: int | dict[str, int], seed: int, options: Mapping[str, object]) -> Task:
    """Make a task of `size` questions over its three splits, or of so many of each, from a way to draw one question."""
    sizes = _sizes(making.name, size)

    def load(split: str) -> list[Question]:
        check_split(making.name, split, tuple(sizes))
        drawn = draw_disjoint(making.draw, making.belongs, making.name, split, sizes[split], seed)
        return [replace(question, id=f"{split}-{index}", split=split) for index, question in enumerate(drawn)]

    def similar(question: Question, rng: random.Random) -> Question:
        draw = making.again(question) if making.again else making.draw
        for _ in range(1000):
            fresh, fingerprint = draw(rng, "train")
            if making.belongs(fingerprint, "train") and fresh.text != question.text:
                return replace(fresh, id=f"similar-{rng.getrandbits(48):012x}", split="train")
        raise DataError(f"task {making.name!r} cannot make another question like {question.id!r}; widen its options")

    return Task(
        name=making.name,
        kind=making.kind,
        splits=tuple(sizes),
        load=load,
        **grading(making.kind),
        ask=making.ask,
        worked=making.worked,
        similar=similar,
        options={"size": size, "seed": seed, **options},
    )
