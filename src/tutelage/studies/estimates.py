"""What a study will take: runs, teacher calls, dollars, hours, and the difference it can show; nothing is asked to say it."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from msgspec import UNSET, structs

from tutelage.evaluation import seeds
from tutelage.machine import machine
from tutelage.recipes import planning
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.recipe import Expected
from tutelage.runs.naming import spec_name
from tutelage.studies.cells import Cell, cells_of, config_at, tuning_cells
from tutelage.studies.findings import findings_of
from tutelage.studies.study_folder import OpenStudy
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import subset

_SPREAD = 0.025  # of a difference over seeds, where nothing is known yet: what word problems showed (LOG.md)
_FLIPS = 0.3  # share of the questions on which two arms differ, likewise


def plan_lines(opened: OpenStudy) -> list[str]:
    """The plan of a study as lines for a person."""
    study = opened.study
    tuning, cells = tuning_cells(study), cells_of(study, opened.chosen())
    if study.tune:  # whatever will be chosen, as many calls
        cells = [cell if cell.choice is not UNSET else structs.replace(cell, choice=study.choices[0]) for cell in cells]
    done = sum(opened.is_kept(cell) for cell in (*tuning, *opened.ready()))
    arms, values = len(study.arms), len(study.values)
    lines = [
        f"{study.study}: {len(cells)} runs ({arms} arms x {len(study.seeds)} seeds{f' x {values} values' if values > 1 else ''})"
        + (f" and {len(tuning)} that choose {next(iter(study.tune))} on dev" if tuning else "")
        + f"; {done} are finished{', and calls are those of the whole study' if done else ''}"
    ]
    lines += _calls([*tuning, *cells], opened)
    lines += [_time(opened)]
    return [*lines, *_power(opened, cells[0])]


def _calls(cells: Sequence[Cell], opened: OpenStudy) -> list[str]:
    """The calls of each teacher in all runs, at the most; lessons that several arms of a seed share are counted once."""
    shared: set[str] = set()
    rows: dict[str, dict[str, Expected]] = {}  # by teacher and step
    teachers: dict[str, Any] = {}
    tasks: dict[str, Any] = {}
    lines: dict[str, None] = {}
    for cell in cells:
        config: Any = check_config(config_at(opened.study, cell), cell.title)
        count = find_recipe(config.recipe).calls
        if count is None:
            lines[f"teacher: the recipe {config.recipe!r} counts no calls that could be planned"] = None
            continue
        if str(config.task) not in tasks:
            tasks[str(config.task)] = find_task(config.task, data=config.data)
        teacher = spec_name(config.teacher)
        teachers[teacher] = config.teacher
        for row in count(config, tasks[str(config.task)]):
            same = f"{row} {_first(config) if 'at the most' not in row.step else _later(config)}"
            if same not in shared:
                shared.add(same)
                own = rows.setdefault(teacher, {})
                own[row.step] = _sum(own.get(row.step), row)
        if config.budget.until:
            lines["budget.until ends the buying of lessons before that: these are the most that there may be"] = None
    told = [
        f"teacher {name}, {line}"
        for name, own in rows.items()
        for line in planning.priced(teachers[name], list(own.values())).lines()
    ]
    return [*told, *lines]


def _first(config: Any) -> str:
    """What the first lessons of a run are made from."""
    plain: Mapping[str, object] = config.model_dump(mode="json")
    return str([plain.get(key) for key in ("task", "data", "teacher", "seed", "questions", "rationales", "first")])


def _later(config: Any) -> str:
    """What the lessons of later rounds are made from: everything, but what the last round's training alone makes of them."""
    plain: Mapping[str, object] = config.model_dump(mode="json")
    return str({key: value for key, value in plain.items() if key != "later" or plain.get("rounds") != 2})


def _sum(one: Expected | None, other: Expected) -> Expected:
    if one is None:
        return other
    (a, b), (c, d), (e, f), (g, h) = one.tokens_in, one.tokens_out, other.tokens_in, other.tokens_out
    return one._replace(calls=one.calls + other.calls, tokens_in=(a + e, b + f), tokens_out=(c + g, d + h))


def _time(opened: OpenStudy) -> str:
    """Hours that are left on this machine, by the runs that were finished on it."""
    study, here = opened.study, machine()
    cells = [*tuning_cells(study), *opened.ready()]
    every = [found for cell in cells if (found := opened.outcome(cell))]
    ours = [found for found in every if found.machine == here]
    unchosen = len(study.arms) - len(opened.chosen()) if study.tune else 0
    owed = len(opened.missing()) + unchosen * len(study.seeds) * len(study.values)
    if not owed:
        return "time: everything is finished"
    if not every:
        return f"time: not known before the first runs are finished ({owed} are owed)"
    seconds = owed * mean(found.own_seconds for found in ours or every)
    where = "by the runs that were finished here" if ours else "by runs that were finished on another machine"
    return f"time: about {seconds / 3600:.1f} hours for the {owed} runs that are owed, {where}"


def _power(opened: OpenStudy, cell: Cell) -> list[str]:
    """The difference that the study can show with these seeds and questions."""
    study = opened.study
    told = [
        f"power: {one.before} -> {one.after}: a difference of {100 * one.detectable:.1f} points would be shown 4 times of 5, going by "
        f"{len(one.seeds)} seeds that are finished"
        for one in findings_of(opened).comparisons
        if len(one.seeds) > 1
    ]
    if told or len(study.seeds) < 2:
        return told or ["power: one seed says nothing of another; give two or more"]
    config: Any = check_config(config_at(study, cell), cell.title)
    task = find_task(config.task, data=config.data)
    limits = getattr(config, "questions", None)
    questions = len(subset(task.load(limits.test), limits.test_limit)) if limits else 0
    if not questions:
        return []
    error = ((_SPREAD**2 + _FLIPS / questions) / len(study.seeds)) ** 0.5
    shown = seeds.shown_difference(error, len(study.seeds) - 1)
    return [
        f"power: with {len(study.seeds)} seeds x {questions} questions a difference of about {100 * shown:.1f} points would be shown 4 times of 5, "
        f"if differences spread by {100 * _SPREAD:.1f} points over seeds and two arms differ on {_FLIPS:.0%} of the questions, as those of the "
        "packaged student on word problems did; others may spread far more"
    ]
