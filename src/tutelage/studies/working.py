"""Working through a study: seed by seed, what its arms share made once, and what is finished kept small."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tutelage import runner
from tutelage.errors import Interrupted, RunError, nearest
from tutelage.launch.launcher import Launcher
from tutelage.machine import machine
from tutelage.recipes.catalog import check_config
from tutelage.runs.folder import is_held
from tutelage.runs.sharing import Beside, take_lock
from tutelage.studies.cells import Cell, config_at, tuning_cells
from tutelage.studies.study_folder import OpenStudy
from tutelage.types import JsonObject


class HowToWork(NamedTuple):
    """How a study is worked through; nothing that comes of it depends on this, but for rounding where several work at once."""

    listener: Callable[[JsonObject], None] = lambda event: None
    stopping: Callable[[], bool] = lambda: False
    seeds: Sequence[int] | None = None  # only these; None: all
    cell: str | None = None  # of such a seed only this run, by its title; None: all
    launcher: Launcher | str | None = None  # where the runs' work is done
    drop_weights: bool = False  # of the runs of a seed, once all are finished


@contextlib.contextmanager
def keeping_out(opened: OpenStudy, seeds: Sequence[int] | None) -> Iterator[None]:
    """Keep other commands from working at these seeds in this folder; raises `RunError` where one does."""
    study, place = opened.study, opened.folder / ".making"
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        for seed in (*study.tune_seeds, *study.seeds):
            if seeds is not None and seed not in seeds:
                continue
            file = place / f"seed-{seed}.lock"
            if (lock := take_lock(file)) is None:
                raise RunError(
                    f"another command is working at seed {seed} of this study in {opened.folder}; wait for it, stop it, or take seeds that it "
                    "does not make, by --seeds"
                )
            held.enter_context(lock)
            held.callback(file.unlink, missing_ok=True)
        yield


def work(opened: OpenStudy, how: HowToWork) -> None:
    """Make what is missing of a study, in this process. A run that fails is noted, and the others go on."""
    study = opened.study
    known = [*study.tune_seeds, *study.seeds]
    if lost := [seed for seed in how.seeds or () if seed not in known]:
        raise RunError(f"--seeds: {lost[0]} is no seed of this study; {nearest(str(lost[0]), map(str, known))}")
    wanted = [seed for seed in known if how.seeds is None or seed in how.seeds]
    for seed in wanted:
        group = [cell for cell in tuning_cells(study) if cell.seed == seed]
        group = group or [cell for cell in opened.ready() if cell.seed == seed]
        if not group or (seed in study.seeds and len(group) < len(study.arms) * len(study.values)):
            _say_unchosen(opened, seed, how)
        _keep_together(opened, group, how)
        for cell in group:
            if how.cell in (None, cell.title) and not opened.is_kept(cell):
                _make(opened, cell, group, how)
        if how.drop_weights and all(map(opened.is_kept, group)):
            for cell in group:
                drop_weights(opened.folder / cell.folder)


def _say_unchosen(opened: OpenStudy, seed: int, how: HowToWork) -> None:
    """Arms that have not chosen yet cannot be made; where none has, a seed that was asked for by its number is refused."""
    lacking = [arm for arm in opened.study.arms if arm not in opened.chosen()]
    chooses = ",".join(map(str, opened.study.tune_seeds))
    line = f"seed {seed}: nothing is chosen yet for {', '.join(lacking)}; the runs that choose come first: --seeds {chooses}"
    if how.seeds is not None and len(lacking) == len(opened.study.arms):
        raise RunError(line)
    how.listener({"event": "warning", "line": line})


def _keep_together(opened: OpenStudy, group: Sequence[Cell], how: HowToWork) -> None:
    """Make a seed's arms again that are finished elsewhere while others are owed.

    They are to be rounded alike, and to share what they share: that can only be taken from runs that are here.
    """
    there = [(cell, found) for cell in group if opened.is_kept(cell) and (found := opened.outcome(cell))]
    others = [
        cell
        for cell, found in there
        if found.machine != machine() or not (opened.folder / cell.folder / "run.json").exists()
    ]
    if not others or len(there) == len(group):
        return
    kind = (
        "on another kind of machine" if any(found.machine != machine() for _, found in there) else "in another folder"
    )
    line = f"seed {group[0].seed} was begun {kind}: {len(others)} of its runs are made again, so that its arms share what they share"
    how.listener({"event": "warning", "line": line})
    for cell in group:  # those that are not finished too: their steps are of the other machine
        opened.kept.drop(cell.folder)
        set_aside(opened.folder / cell.folder)


def set_aside(run: Path) -> None:
    """Give a run's folder another name, so that it is made anew."""
    if run.exists():
        place = next(
            place
            for number in itertools.count(1)
            if not (place := run.with_name(f"{run.name}.{number}.before")).exists()
        )
        run.rename(place)


def _make(opened: OpenStudy, cell: Cell, group: Sequence[Cell], how: HowToWork) -> None:
    how.listener({"event": "cell", "cell": cell.title, "left": len(opened.missing(how.seeds))})
    others = [opened.folder / other.folder for other in group if other.title != cell.title]
    begun = lambda: [folder for folder in others if (folder / "config.yaml").exists()]  # noqa: E731
    beside = Beside(begun, opened.folder / ".making")  # some are made at the same time
    try:
        settings = check_config(config_at(opened.study, cell), cell.title)
        _wait_for(opened.folder / cell.folder, how)
        runner.run(settings, opened.folder / cell.folder, how.listener, how.stopping, beside, how.launcher)
        opened.finish(cell)
    except Interrupted:
        raise Interrupted(f"stopped in {cell.title}; what is finished is kept, and the same command goes on") from None
    except Exception as error:
        how.listener({"event": "warning", "line": f"{cell.title} failed: {opened.fail(cell, error)}"})


def _wait_for(run: Path, how: HowToWork, most: float = 120.0) -> None:
    """Let a process that is still leaving a run, since the one that started it was killed, keep what it has in hand."""
    begun = time.monotonic()
    while run.exists() and is_held(run) and time.monotonic() - begun < most and not how.stopping():
        time.sleep(0.5)


def drop_weights(run: Path) -> None:
    """Remove the weights of a finished run. What it was made from stays, so that it can be made again."""
    for file in run.glob("*/*.safetensors"):
        file.unlink(missing_ok=True)
