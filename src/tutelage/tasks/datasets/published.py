"""The published data sets, one row each: where they are, what their columns are called, and how large they are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from tutelage.config import expand_path
from tutelage.errors import ConfigError, DataError, nearest
from tutelage.grading.numerals import numbers
from tutelage.rows import Row, read_rows
from tutelage.tasks.asking import ask_for_a_box, ask_which_is_true, ask_with_choices
from tutelage.tasks.datasets.columns import questions_of
from tutelage.tasks.datasets.sources import hub_rows, in_split, one_file, task_of
from tutelage.tasks.task import Task, check_split
from tutelage.types import Chat, JsonObject, Question


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One published data set: for those of Ho et al. (2022) as they use it."""

    kind: str
    sizes: Mapping[str, int]  # questions in each split
    source: str  # who published it
    hub: str = ""  # id on the hub; without one only local copies can be read
    config: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # what the hub's copy calls our fields
    renamed: Mapping[str, str] = field(default_factory=dict)  # splits that are published under another name
    template_sizes: Mapping[str, int] = field(default_factory=dict)  # where a split by template is published
    tidy: Callable[[JsonObject, str], JsonObject] | None = None  # a record and its answer's column -> a record
    left_out: Mapping[str, str] = field(default_factory=dict)  # id -> why its gold answer cannot be graded
    samples: int = 1  # a question, as its scores are usually given: avg@16 for contests of 30 questions
    ask: Callable[[Question], Chat] = ask_with_choices


def _solution(record: JsonObject, answer: str) -> JsonObject:
    """Numbers written one way, and a written solution that ends in "#### N" taken apart."""
    gold = str(record.get(answer, ""))
    if "####" in gold:
        solution, _, gold = gold.rpartition("####")
        # "<<48/2=24>>" is a mark for a calculator, not part of the text.
        record = {**record, "rationale": re.sub(r"<<[^<>]*>>", "", solution).strip()}
    found = numbers(gold)
    return {**record, answer: found[-1]} if found else record


def _options(record: JsonObject, answer: str) -> JsonObject:
    """Options that stand in the question's text, "(A) red" or "(1) red" a line, taken out of it."""
    stem, found, options = str(record.get("question", "")).removeprefix("Question: ").partition("\nOptions:\n")
    parts = re.findall(r"^\((\w)\) (.*)$", options, re.MULTILINE)
    if not found or not parts:
        return record
    choices = {"label": [label for label, _ in parts], "text": [text for _, text in parts]}
    return {**record, "question": stem, "choices": choices, answer: str(record.get(answer)).strip("()")}


def _together(record: JsonObject, answer: str) -> JsonObject:
    """A list of final answers as one text; the unit that the question asks in is no part of it."""
    gold = record.get(answer, record.get("final_answer"))
    return {**record, answer: ", ".join(map(str, gold)) if isinstance(gold, list) else gold}


BENCHMARKS: dict[str, Benchmark] = {
    "gsm8k": Benchmark(
        kind="number",
        sizes={"train": 7473, "test": 1319},
        source="Cobbe et al. (2021)",
        hub="openai/gsm8k",
        config="main",
    ),
    "multiarith": Benchmark(
        kind="number",
        sizes={"train": 420, "test": 180},
        source="Roy and Roth (2015)",
        hub="ChilleD/MultiArith",
        columns={"answer": "final_ans"},
        template_sizes={"train": 413, "test": 187},
    ),
    "svamp": Benchmark(
        kind="number",
        sizes={"train": 700, "test": 300},
        source="Patel et al. (2021)",
        hub="ChilleD/SVAMP",
        columns={"id": "ID", "question": "question_concat", "answer": "Answer"},
    ),
    "addsub": Benchmark(kind="number", sizes={"train": 276, "test": 119}, source="Hosseini et al. (2014)"),
    "single_eq": Benchmark(kind="number", sizes={"train": 356, "test": 152}, source="Koncel-Kedziorski et al. (2015)"),
    "aqua": Benchmark(
        kind="choice",
        sizes={"train": 10000, "test": 254},  # Ho et al. train on 10000; the hub's copy has 97467
        source="Ling et al. (2017)",
        hub="deepmind/aqua_rat",
        columns={"choices": "options", "answer": "correct"},
    ),
    "commonsense_qa": Benchmark(
        kind="choice",
        sizes={"train": 9741, "test": 1221},
        source="Talmor et al. (2019)",
        hub="tau/commonsense_qa",
        columns={"answer": "answerKey"},
        renamed={"test": "validation"},  # the answers of the test split were never published
    ),
    "strategy_qa": Benchmark(
        kind="yes_no",
        sizes={"train": 1603, "test": 687},
        source="Geva et al. (2021)",
        hub="ChilleD/StrategyQA",
        columns={"id": "qid"},
    ),
    "arc_challenge": Benchmark(
        kind="choice",
        sizes={"train": 1119, "test": 1172},
        source="Clark et al. (2018)",
        hub="allenai/ai2_arc",
        config="ARC-Challenge",
        columns={"answer": "answerKey"},
        tidy=_options,
    ),
    "math500": Benchmark(
        kind="math",
        sizes={"test": 500},
        source="Hendrycks et al. (2021), the subset of Lightman et al. (2023)",
        hub="HuggingFaceH4/MATH-500",
        columns={"id": "unique_id", "question": "problem", "rationale": "solution"},
        ask=ask_for_a_box,
    ),
    "olympiadbench": Benchmark(
        kind="math",
        sizes={"test": 673},  # of the 675 that Yang et al. (2024) evaluate; the hub's copy has 674
        left_out={"1965": "its answer is a sentence", "2349": "its answer is misprinted: $221,$8$"},
        source="He et al. (2024): English, text only, open-ended, mathematics",
        tidy=_together,
        hub="Hothan/OlympiadBench",
        config="OE_TO_maths_en_COMP",
        columns={"answer": "final_answer"},
        renamed={"test": "train"},  # the hub names its only split so
        ask=ask_for_a_box,
    ),
    "aime24": Benchmark(
        kind="math",
        sizes={"test": 30},
        source="American Invitational Mathematics Examination 2024, I and II",
        hub="HuggingFaceH4/aime_2024",
        columns={"question": "problem", "rationale": "solution"},
        renamed={"test": "train"},
        samples=16,
        ask=ask_for_a_box,
    ),
    "aime25": Benchmark(
        kind="math",
        sizes={"test": 30},
        source="American Invitational Mathematics Examination 2025, I and II",
        hub="math-ai/aime25",
        columns={"question": "problem"},
        samples=16,
        ask=ask_for_a_box,
    ),
    "amc23": Benchmark(
        kind="math",
        sizes={"test": 40},
        source="American Mathematics Competitions 12, 2023",
        hub="math-ai/amc23",
        samples=16,
        ask=ask_for_a_box,
    ),
    "coin_flip": Benchmark(kind="yes_no", sizes={"train": 350, "test": 150}, source="Wei et al. (2022)"),
    "last_letter_concatenation": Benchmark(kind="text", sizes={"train": 350, "test": 150}, source="Wei et al. (2022)"),
    "tracking_shuffled_objects": Benchmark(
        kind="choice", sizes={"train": 525, "test": 225}, source="BIG-bench (2022)", ask=ask_which_is_true
    ),
    "date_understanding": Benchmark(
        kind="choice",
        sizes={"train": 258, "test": 111},
        source="BIG-bench (2022)",
        ask=ask_which_is_true,
        template_sizes={"train": 261, "test": 108},
    ),
}


def make(name: str, data: str | None = None, template_split: bool = False) -> Task:
    """Make a task of a published data set, from local copies in the folder `data` or, without one, from the hub.

    A folder holds NAME.jsonl, whose rows carry their split (the published rule splits them if they do not), or
    NAME.SPLIT.jsonl. `template_split` takes the split that keeps questions of one template on one side.
    """
    row = BENCHMARKS.get(name)
    if row is None:
        raise ConfigError(f"no published data set {name!r}; {nearest(name, BENCHMARKS)}")
    if template_split and not row.template_sizes:
        those = ", ".join(key for key, one in BENCHMARKS.items() if one.template_sizes)
        raise ConfigError(f"task {name!r} has no template_split; these have one: {those}")
    folder = expand_path(data) if data else None
    if folder and not folder.is_dir():
        raise DataError(f"there is no folder {folder} with local copies (--data or TUTELAGE_DATA)")
    if folder is None and (not row.hub or template_split):
        what = "the template split" if template_split else "data set"
        raise DataError(f"{what} {name!r} is not on the hub; name a folder that holds {name}.jsonl: --data DIR")
    check = tuple(row.sizes)

    @cache
    def fetch(split: str) -> tuple[Question, ...]:
        found = _local(name, row, folder, split, template_split) if folder else _hub(row, split)
        if not found:
            raise DataError(f"task {name!r}: no row is in the split {split!r}")
        return tuple(one for one in found if one.id not in row.left_out)

    def load(split: str) -> list[Question]:
        check_split(name, split, check)
        return list(fetch(split))

    options = {"source": "local" if folder else "hub", "template_split": template_split}
    return replace(task_of(name, row.kind, check, load, options=options, ask=row.ask), samples=row.samples)


def _hub(row: Benchmark, split: str) -> list[Question]:
    rows = hub_rows(row.hub, row.config, row.renamed.get(split, split))
    return in_split(questions_of(_normal(rows, row, row.columns.get("answer", "answer")), row.kind, row.columns), split)


def _local(name: str, row: Benchmark, folder: Path, split: str, template_split: bool) -> list[Question]:
    names = [f"{name}.{one}.jsonl" for one in dict.fromkeys((split, row.renamed.get(split, split)))]
    for file in names:
        if (folder / file).is_file() and not template_split:
            return in_split(questions_of(_normal(read_rows(folder / file), row), row.kind, {}), split)
    whole = folder / f"{name}.jsonl"
    if not whole.is_file():
        there = sorted(path.name for path in folder.glob(f"{name}.*jsonl"))
        have = f"it has {', '.join(there)}" if there else "it has no file of this data set"
        raise DataError(f"no local copy of {name} ({split}) in {folder}: {have}; wanted {names[0]} or {name}.jsonl")
    rows = _normal(read_rows(whole), row)
    fields = {"split": "template_split"} if template_split else {}
    rule = None if "split" in rows[0][1] or template_split else 0.7
    return [one for one in one_file(rows, row.kind, fields, None, rule) if one.split == split]


def _normal(rows: list[Row], row: Benchmark, answer: str = "answer") -> list[Row]:
    """The records as `questions_of` wants them, whoever published them."""
    tidy = row.tidy or (_solution if row.kind == "number" else None)
    return [(where, tidy(record, answer)) for where, record in rows] if tidy else rows
