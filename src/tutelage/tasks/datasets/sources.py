"""Users' own data as tasks: files of questions, and data sets of the Hugging Face hub."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from tutelage.config import expand_path
from tutelage.errors import ConfigError, nearest
from tutelage.grading.answers import READERS, grading
from tutelage.rows import HubRows, Row, read_rows
from tutelage.tasks.asking import ask_with_choices
from tutelage.tasks.datasets.columns import check_fields, questions_of
from tutelage.tasks.task import Task, check_split
from tutelage.types import Chat, Question

Load = Callable[[str], list[Question]]


def make_local(
    path: str | Mapping[str, str],
    kind: str,
    fields: Mapping[str, str] | None = None,
    split: str | None = None,
    split_rule: float | None = None,
) -> Task:
    """Make a task from one file, or from one file a split (`path` as a mapping from split to file).

    The rows of a single file either carry their split; or all belong to `split` ("all" unless named); or are split
    by the published rule, `split_rule` being the share that trains (0.7 in Ho et al., 2022).
    """
    check_answer_kind(kind)
    check_fields(fields or {})
    options = {"path": path, "kind": kind, "fields": fields or {}, "split": split, "split_rule": split_rule}
    if not isinstance(path, str):
        if split is not None or split_rule is not None:
            raise ConfigError("task 'local': a mapping of files names the splits; leave out split and split_rule")
        files = {name: expand_path(file) for name, file in path.items()}
        if not files:
            raise ConfigError("task 'local': path is an empty mapping; give it as {split: file}")
        return task_of("local", kind, tuple(files), split_loader("local", fields or {}, kind, files), options=options)
    file = expand_path(path)
    questions = one_file(read_rows(file), kind, fields or {}, split, split_rule)
    splits = tuple(dict.fromkeys(question.split for question in questions))
    name = f"local:{file.stem}"

    def load(wanted: str) -> list[Question]:
        check_split(name, wanted, splits)
        return [question for question in questions if question.split == wanted]

    return task_of(name, kind, splits, load, options=options)


def make_hub(
    id: str,
    kind: str,
    config: str | None = None,
    fields: Mapping[str, str] | None = None,
    splits: Mapping[str, str] | None = None,
) -> Task:
    """Make a task from a data set of the hub; `splits` maps the task's splits to the data set's own names."""
    check_answer_kind(kind)
    check_fields(fields or {})
    names = splits or {"train": "train", "test": "test"}

    @cache
    def fetch(split: str) -> tuple[Question, ...]:
        rows = hub_rows(id, config, names[split])
        return tuple(in_split(questions_of(rows, kind, fields or {}), split))

    def load(split: str) -> list[Question]:
        check_split(id, split, tuple(names))
        return list(fetch(split))

    options = {"id": id, "config": config, "kind": kind, "fields": fields or {}, "splits": names}
    return task_of(f"hub:{id}", kind, tuple(names), load, options=options)


def check_answer_kind(kind: str) -> None:
    """Refuse a kind of answer that nobody can read."""
    if kind not in READERS:
        raise ConfigError(f"unknown kind of answer {kind!r}; {nearest(kind, READERS)}")


def task_of(
    name: str,
    kind: str,
    splits: tuple[str, ...],
    load: Load,
    *,
    options: Mapping[str, object],
    ask: Callable[[Question], Chat] = ask_with_choices,
) -> Task:
    """Put a task together from a loader and the reader of its kind."""
    return Task(name=name, kind=kind, splits=splits, load=load, ask=ask, options=options, **grading(kind))


def split_loader(name: str, fields: Mapping[str, str], kind: str, files: Mapping[str, Path]) -> Load:
    """A loader that reads the file of a split when that split is asked for, and no other."""

    @cache
    def read(split: str) -> tuple[Question, ...]:
        return tuple(in_split(questions_of(read_rows(files[split]), kind, fields), split))

    def load(split: str) -> list[Question]:
        check_split(name, split, tuple(files))
        return list(read(split))

    return load


def in_split(questions: list[Question], split: str) -> list[Question]:
    """Put questions into a split, whatever their rows say; ids that are row numbers get the split's name.

    Row numbers start anew in each file, and two questions of one task must not share an id.
    """
    return [replace(one, split=split, id=one.id if one.id else f"{split}-{row}") for row, one in enumerate(questions)]


def one_file(
    rows: list[Row], kind: str, fields: Mapping[str, str], split: str | None, split_rule: float | None
) -> list[Question]:
    """The questions of a file that holds all splits; an id that is missing is the row's number, counted from 0."""
    questions = questions_of(rows, kind, fields)
    questions = [replace(one, id=one.id or str(row)) for row, one in enumerate(questions)]
    place = rows[0][0].rpartition(":")[0]
    if questions[0].split:
        if split is not None or split_rule is not None:
            raise ConfigError(f"{place}: the rows carry their own split; leave out split and split_rule")
        return questions
    if split_rule is None:
        return [replace(one, split=split or "all") for one in questions]
    if split is not None:
        raise ConfigError(f"{place}: give split or split_rule, not both")
    train = trained_rows(len(questions), split_rule)
    return [replace(one, split="train" if row in train else "test") for row, one in enumerate(questions)]


def trained_rows(count: int, share: float = 0.7) -> set[int]:
    """The rows that train under the rule of Ho et al. (2022): the first 70 per cent of a seeded permutation."""
    import numpy as np

    if not 0 < share < 1:
        raise ConfigError(f"split_rule is the share of rows that train, between 0 and 1, and is {share}")
    return set(np.random.RandomState(0).permutation(count)[: round(share * count)].tolist())


def hub_rows(id: str, config: str | None, split: str) -> list[Row]:
    """All rows of one split of a hub data set."""
    return [(where, record) for _, where, record in HubRows(id, config, split).scan()]
