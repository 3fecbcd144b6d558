"""Tasks: sets of questions that can be loaded, asked, read and graded; `catalog` finds each by its name."""

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """One named task: where its factory is, what it is, and the options that the name decides."""

    factory: str  # "module:function", imported when the task is asked for
    summary: str
    fixed: Mapping[str, object] = {}


_PUBLISHED = "tutelage.tasks.datasets.published:make"


def _generated(name: str, summary: str) -> Entry:
    return Entry(f"tutelage.tasks.generated.{name}:make", summary)


def published(name: str, summary: str) -> Entry:
    return Entry(_PUBLISHED, summary, {"name": name})


TASKS: dict[str, Entry] = {
    "word_problems": _generated("word_problems", "arithmetic word problems, made on the spot"),
    "coin_flip": _generated("coin_flip", "is the coin still heads up?; made on the spot, or source=published"),
    "last_letter_concatenation": _generated(
        "last_letter_concatenation", "join the last letters of words; made on the spot, or source=published"
    ),
    "tracking_shuffled_objects": _generated(
        "tracking_shuffled_objects", "who holds what after some swaps; made on the spot, or source=published"
    ),
    "date_understanding": _generated(
        "date_understanding", "which date is meant; made on the spot, or source=published"
    ),
    "reasoning_gym": Entry(
        "tutelage.tasks.reasoning_gym:make", "any data set of reasoning-gym: reasoning_gym:leg_counting"
    ),
    "gsm8k": published("gsm8k", "grade-school word problems with written solutions"),
    "multiarith": published("multiarith", "word problems of several steps"),
    "svamp": published("svamp", "short word problems with distracting numbers"),
    "addsub": published("addsub", "word problems of addition and subtraction"),
    "single_eq": published("single_eq", "word problems of one equation"),
    "aqua": published("aqua", "algebra with five choices"),
    "commonsense_qa": published("commonsense_qa", "everyday knowledge with five choices"),
    "strategy_qa": published("strategy_qa", "yes or no, by way of unstated facts"),
    "arc_challenge": published("arc_challenge", "school science with four choices"),
    "math500": published("math500", "competition mathematics, 500 questions of MATH"),
    "olympiadbench": published("olympiadbench", "olympiad mathematics with a final answer"),
    "aime24": published("aime24", "AIME 2024, 30 questions with whole numbers as answers"),
    "aime25": published("aime25", "AIME 2025, 30 questions with whole numbers as answers"),
    "amc23": published("amc23", "AMC 12 of 2023, 40 questions"),
    "local": Entry("tutelage.tasks.datasets.sources:make_local", "your own .jsonl, .csv or .parquet file"),
    "hub": Entry("tutelage.tasks.datasets.sources:make_hub", "a data set of the Hugging Face hub"),
}
