"""Any data set of reasoning-gym as a task: its generator makes the questions and its own scorer grades them."""

import json
import os
import random
import re
from functools import cache, lru_cache
from typing import Any

from tutelage.errors import ConfigError, DataError, nearest
from tutelage.grading import lines
from tutelage.rows import require
from tutelage.tasks.generated.making import check_option, share_sizes
from tutelage.tasks.task import Task, check_split, share_of
from tutelage.types import JsonObject, Question

# Data sets whose entries bring a written solution, and the metadata that holds it.
_SOLUTIONS = {"gsm_symbolic": "answer_cot"}
# Where an entry's answer is left open because many are right, the metadata that holds one of them.
_EXAMPLES = ("example_answer", "example_correct_answer", "possible_answer")
# Some generators build a list as long as the data set, or refuse a long one: the first half of this many entries is
# for splits, the second for similar questions.
_ENTRIES = 20_000
# These walk through Python sets, so each process would make other questions from one seed (reasoning-gym 0.1.25).
_HASHED = {
    "intermediate_integration",
    "isomorphic_strings",
    "polynomial_multiplication",
    "ransom_note",
    "word_ladder",
}
# These depend on more than that: the same seed makes other questions even so.
_UNREPEATABLE = {"codeio", "knight_swap"}
_NONSENSE = "I like cheese."


def make(dataset: str, size: int = 2000, seed: int = 0, **config: Any) -> Task:
    """Make a task of a reasoning-gym data set; `config` holds the data set's own options."""
    name = f"reasoning_gym:{dataset}"
    check_option(name, "size", size, 1)
    entries = _Entries(name, dataset, {"seed": seed, "size": max(_ENTRIES, 4 * size), **config})
    sizes = share_sizes(size)

    @cache
    def fetch(split: str) -> tuple[Question, ...]:
        questions = entries.draw(split, sizes[split])
        if entries.same(_NONSENSE, questions[0]):
            raise DataError(f"task {name!r} cannot be used: its own scorer accepts any text as right")
        return tuple(questions)

    def load(split: str) -> list[Question]:
        check_split(name, split, tuple(sizes))
        return list(fetch(split))

    return Task(
        name=name,
        kind="text",
        splits=tuple(sizes),
        load=load,
        read=lines.read_lines,
        same=entries.same,
        worked=entries.worked if dataset in _SOLUTIONS else None,
        similar=entries.similar,
        grades_inventions=False,  # the scorer needs the entry it made
        options={"dataset": dataset, "size": size, "seed": seed, **config},
    )


class _Entries:
    """The entries of one data set, made from their index whenever they are needed.

    Scorers read metadata that would not survive being written down as JSON, so a question keeps its index alone.
    """

    def __init__(self, name: str, dataset: str, config: JsonObject) -> None:
        self.name = name
        self.dataset = dataset
        self.config = config
        self.source = _open(dataset, config)
        self.entry = lru_cache(maxsize=4096)(self._entry)

    def _entry(self, index: int) -> JsonObject:
        # Some generators draw from the process's own random numbers instead of the seed's.
        state = random.getstate()
        random.seed(f"{self.dataset}/{self.config['seed']}/{index}")
        try:
            found: JsonObject = self.source[index]
        finally:
            random.setstate(state)
        return found

    def of(self, question: Question) -> JsonObject:
        """A question's entry, provided it is still made the same way."""
        made = self.entry(int(question.facts["index"]))
        if made["question"] != question.text:
            raise DataError(
                f"task {self.name!r} no longer makes question {question.id!r}: other options or another version"
            )
        return made

    def same(self, answer: str, question: Question) -> bool:
        """Whether the data set's own scorer gives the answer full marks."""
        made = self.of(question)
        try:
            return float(self.source.score_answer(answer, made)) >= 1.0
        except Exception:  # scorers parse the answer, and some fail in their own ways where it cannot be parsed
            return False

    def worked(self, question: Question, variant: int) -> str:
        """The written solution; there is one wording only."""
        return _solution(str(self.of(question)["metadata"][_SOLUTIONS[self.dataset]]))

    def question(self, index: int) -> Question:
        """The question of one entry; it lies in the split that the hash of its text says."""
        made = self.entry(index)
        text, gold, metadata = str(made["question"]), made["answer"], made["metadata"]
        if gold is None:
            gold = next((metadata[key] for key in _EXAMPLES if metadata.get(key) is not None), None)
        if gold is None:
            raise DataError(f"task {self.name!r} cannot be used: its entries bring no gold answer")
        return Question(
            id=f"entry-{index}",
            text=text,
            answer=gold if isinstance(gold, str) else json.dumps(gold),
            split=share_of(text),
            facts={"index": index},
            source=f"{self.name}#{index}",
        )

    def draw(self, split: str, count: int) -> list[Question]:
        """The first `count` different questions that lie in the split."""
        found: dict[str, Question] = {}
        for index in range(self.config["size"] // 2):
            question = self.question(index)
            # A few entries have an empty answer, which nobody could be seen to give.
            if question.split == split and question.answer.strip() and question.text not in found:
                found[question.text] = question
                if len(found) == count:
                    return list(found.values())
        raise DataError(f"task {self.name!r} makes only {len(found)} different {split} questions; ask for fewer")

    def similar(self, question: Question, rng: random.Random) -> Question:
        """A train question from the half of the entries that no split holds."""
        for _ in range(1000):
            fresh = self.question(rng.randrange(self.config["size"] // 2, self.config["size"]))
            if fresh.split == "train" and fresh.answer.strip() and fresh.text != question.text:
                return fresh
        raise DataError(f"task {self.name!r} makes no fresh train question")


def _open(dataset: str, config: JsonObject) -> Any:
    """Create the data set, or say which name or option is wrong."""
    gym = require("reasoning_gym", f"the task 'reasoning_gym:{dataset}'", "reasoning-gym")
    factory = require("reasoning_gym.factory", f"the task 'reasoning_gym:{dataset}'", "reasoning-gym")
    if dataset not in factory.DATASETS:
        raise ConfigError(f"reasoning-gym has no data set {dataset!r}; {nearest(dataset, factory.DATASETS)}")
    if dataset in _UNREPEATABLE:
        raise ConfigError(f"reasoning_gym:{dataset} cannot be used: one seed makes other questions each time")
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
        raise ConfigError(f"reasoning_gym:{dataset} cannot be made so: {error}") from error


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
