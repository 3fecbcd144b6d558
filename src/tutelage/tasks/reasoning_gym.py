"""Any data set of reasoning-gym as a task: its generator makes the questions and its own scorer grades them."""

import os
import re
from collections.abc import Callable
from functools import cache, lru_cache
from random import Random
from typing import Any

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.tasks.answers import after_marker
from tutelage.tasks.base import Task, check_split, share_of
from tutelage.tasks.procedural import check_option, share_sizes
from tutelage.tasks.rows import require
from tutelage.types import Question

# Data sets whose entries bring a written solution, and the metadata that holds it.
_SOLUTIONS = {"gsm_symbolic": "answer_cot"}
# Where an entry's answer is left open because many are right, the metadata that holds one of them.
_EXAMPLES = ("example_answer", "example_correct_answer", "possible_answer")
# Some generators build a list as long as the data set, or refuse a long one: the first half of this many entries is
# for splits, the second for similar questions.
_ENTRIES = 20_000
# These walk through Python sets, so each process would make other questions from one seed (reasoning-gym 0.1.25).
_HASHED = ("isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note")
_NONSENSE = "I like cheese."


def make(dataset: str, size: int = 2000, seed: int = 0, **config: Any) -> Task:
    """Make a task of a reasoning-gym data set; `config` holds the data set's own options."""
    name = f"reasoning_gym:{dataset}"
    check_option(name, "size", size, 1)
    span = max(_ENTRIES, 4 * size)
    entries = _open(dataset, {"seed": seed, "size": span, **config})
    sizes = share_sizes(size)

    @lru_cache(maxsize=4096)
    def entry(index: int) -> dict[str, Any]:
        found: dict[str, Any] = entries[index]
        return found

    @cache
    def fetch(split: str) -> tuple[Question, ...]:
        questions = _draw(name, entry, split, (sizes[split], span // 2))
        if same(_NONSENSE, questions[0]):
            raise DataError(f"task {name!r} cannot be used: its own scorer accepts any text as right")
        return tuple(questions)

    def load(split: str) -> list[Question]:
        check_split(name, split, tuple(sizes))
        return list(fetch(split))

    def same(answer: str, question: Question) -> bool:
        made = _entry_of(name, entry, question)
        try:
            return float(entries.score_answer(answer, made)) >= 1.0
        except Exception:  # scorers parse the answer, and some fail in their own ways where it cannot be parsed
            return False

    def worked(question: Question, variant: int) -> str:
        return _solution(str(_entry_of(name, entry, question)["metadata"][_SOLUTIONS[dataset]]))

    def similar(question: Question, rng: Random) -> Question:
        for _ in range(1000):
            fresh = _question(name, entry, rng.randrange(span // 2, span))
            if fresh.split == "train" and fresh.text != question.text:
                return fresh
        raise DataError(f"task {name!r} makes no fresh train question")

    return Task(
        name=name,
        kind="text",
        splits=tuple(sizes),
        load=load,
        read=read,
        same=same,
        worked=worked if dataset in _SOLUTIONS else None,
        similar=similar,
        options={"dataset": dataset, "size": size, "seed": seed, **config},
    )


def read(text: str, question: Question) -> str | None:
    """What follows the answer marker, one line or, where the gold has several, all of it; else the last line."""
    tail = after_marker(text)
    if tail is None:
        lines = text.split("\n")
        found = next((line for line in reversed(lines) if line.strip()), "")
    elif "\n" in question.answer.strip("\n"):
        # Grids may begin with a blank cell: only the marker's own line end is no part of them.
        found = re.sub(r"^[ \t]*\n+|^ ", "", tail).rstrip()
    else:
        found = next(line for line in tail.split("\n") if line.strip())
    return _bare(found, question.answer) or None


def _bare(found: str, gold: str) -> str:
    """Without the bold marks and the final period that a sentence puts around an answer, unless the gold has them."""
    found = found.strip(" ") if "\n" not in gold else found
    if found.startswith("**") and found.endswith("**") and not gold.startswith("**"):
        found = found.strip("*")
    return found.removesuffix(".") if not gold.endswith(".") else found


def _open(dataset: str, config: dict[str, Any]) -> Any:
    """Create the data set, or say which name or option is wrong."""
    gym = require("reasoning_gym", f"the task 'reasoning_gym:{dataset}'", "reasoning-gym")
    factory = require("reasoning_gym.factory", f"the task 'reasoning_gym:{dataset}'", "reasoning-gym")
    if dataset not in factory.DATASETS:
        raise ConfigError(f"reasoning-gym has no data set {dataset!r}; {nearest(dataset, factory.DATASETS)}")
    if dataset in _HASHED and not os.environ.get("PYTHONHASHSEED", "").isdigit():
        raise ConfigError(
            f"reasoning_gym:{dataset} makes other questions in each process unless the environment variable "
            "PYTHONHASHSEED is set; set it to 0"
        )
    known = set(factory.DATASETS[dataset][1].__dataclass_fields__)
    for option in config:
        if option not in known:
            raise ConfigError(f"reasoning_gym:{dataset} has no option {option!r}; {nearest(option, known)}")
    try:
        return gym.create_dataset(dataset, **config)
    except (AssertionError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"reasoning_gym:{dataset} cannot be made with {config}: {error}") from error


def _question(name: str, entry: Callable[[int], dict[str, Any]], index: int) -> Question:
    made = entry(index)
    text = str(made["question"])
    metadata = made["metadata"]
    gold = made["answer"]
    if gold is None:
        gold = next((metadata[key] for key in _EXAMPLES if metadata.get(key) is not None), None)
    if gold is None:
        raise DataError(f"task {name!r} cannot be used: its entries bring no gold answer")
    return Question(
        id=f"entry-{index}",
        text=text,
        answer=str(gold),
        split=share_of(text),
        facts={"index": index},
        source=f"{name}#{index}",
    )


def _draw(name: str, entry: Callable[[int], dict[str, Any]], split: str, counts: tuple[int, int]) -> list[Question]:
    """The first different questions whose hash sorts them into the split: how many, and among how many entries."""
    count, entries = counts
    found: dict[str, Question] = {}
    for index in range(entries):
        question = _question(name, entry, index)
        if question.split == split and question.text not in found:
            found[question.text] = question
            if len(found) == count:
                return list(found.values())
    raise DataError(f"task {name!r} makes only {len(found)} different {split} questions; ask for a smaller size")


def _entry_of(name: str, entry: Callable[[int], dict[str, Any]], question: Question) -> dict[str, Any]:
    """Make a question's entry again: scorers read metadata that would not survive being written down as JSON."""
    made = entry(int(question.facts["index"]))
    if made["question"] != question.text:
        raise DataError(f"task {name!r} no longer makes question {question.id!r}: other options or another version")
    return made


def _solution(text: str) -> str:
    """A written solution without its boilerplate: the opening line and the line that states the answer."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if lines and re.match(r"Let's (solve|break|work)\b.*:$", lines[0]):
        lines = lines[1:]
    if lines and lines[-1].startswith("####"):
        lines = lines[:-1]
    # A last "Therefore" that calculates nothing only states the answer again.
    if len(lines) > 1 and lines[-1].startswith("Therefore") and "=" not in lines[-1]:
        lines = lines[:-1]
    return "\n".join(lines)
