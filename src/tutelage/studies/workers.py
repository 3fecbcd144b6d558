"""Several runs of a study at a time, in processes of their own: each a seed, or, where there are more processes, one run."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tutelage.errors import ConfigError, Interrupted, TutelageError
from tutelage.studies.cells import tuning_cells
from tutelage.studies.findings import Findings, findings_of
from tutelage.studies.seed_process import SeedTask
from tutelage.studies.study_folder import OpenStudy, open_study
from tutelage.studies.working import HowToWork, keeping_out, work
from tutelage.types import JsonObject


def run_study(
    raw: Mapping[str, Any] | str | Path,
    into: str | Path,
    how: HowToWork = HowToWork(),  # noqa: B008 - immutable
    keep: str | Path | None = None,
    jobs: int = 1,
) -> Findings:
    """Work through a study, or go on with it, and return what it shows.

    `raw` is its YAML file or a mapping, `into` its folder, where every run is an ordinary one. What is kept of finished runs goes into
    the folder `keep`, by default into the study's; what is there already is not made again. `jobs` processes work at a time, each at a seed; where
    there are more of them than seeds, at a run.
    """
    opened = open_study(raw, into, Path(keep) if keep else None)
    work_through(opened, how, jobs)
    return findings_of(opened)


def work_through(opened: OpenStudy, how: HowToWork, jobs: int = 1) -> None:
    """Make what is missing of a study: here, or in several processes at a time."""
    with keeping_out(opened, how.seeds):
        if jobs > 1:
            work_in_processes(opened, how, jobs)
        else:
            work(opened, how)


class Portion(NamedTuple):
    """What a process makes: a seed, or one of its runs."""

    seed: int
    cell: str | None = None  # the run's title
    first: bool = False  # whether the seed's other runs wait for it

    @property
    def name(self) -> str:
        """For a reader, and of its log."""
        return self.cell or str(self.seed)


class Working(NamedTuple):
    """A process that makes a part."""

    part: Portion
    process: subprocess.Popen[str]
    log: Path  # what it and the libraries in it say beside its events


def work_in_processes(opened: OpenStudy, how: HowToWork, jobs: int) -> None:
    """Make what is missing of a study, `jobs` parts at a time; the seeds that choose first, since the others need what they chose.

    A process makes all arms of its seed. Where there are more processes than seeds, the first run of a seed goes ahead, since it makes
    what all share, and then each of the others has a process; what some of these share is made by one while the others wait (`Beside`).
    """
    if how.launcher is not None and not isinstance(how.launcher, str):
        raise ConfigError(
            "several jobs are processes of their own, which find a launcher by its name or package.module:NAME; name it"
        )
    study = opened.study
    for phase in (study.tune_seeds, study.seeds):
        asked = [seed for seed in phase if how.seeds is None or seed in how.seeds]
        owed = {seed: titles for seed in asked if (titles := _owed(opened, seed))}
        single = jobs > len(owed)
        parts = [Portion(seed, titles[0] if single else None, first=single) for seed, titles in owed.items()]
        _run_phase(opened, how, parts, jobs)


def _owed(opened: OpenStudy, seed: int) -> list[str]:
    """The titles of a seed's runs that are not finished."""
    cells = [cell for cell in (*tuning_cells(opened.study), *opened.ready()) if cell.seed == seed]
    return [cell.title for cell in cells if not opened.is_kept(cell)]


def _run_phase(opened: OpenStudy, how: HowToWork, parts: Sequence[Portion], jobs: int) -> None:
    waiting, told = list(parts), queue.Queue[tuple[Portion, JsonObject]]()
    live: list[Working] = []
    fallen: list[str] = []
    try:
        while waiting or live:
            while waiting and len(live) < jobs:
                live.append(_start(opened, how, waiting.pop(0), jobs, told.put))
            _pass_on(told, how)
            for one in [one for one in live if one.process.poll() is not None]:
                live.remove(one)
                fallen += [why] if (why := _check_end(one)) else []
                if one.part.first:
                    opened.reload()
                    waiting += [
                        Portion(one.part.seed, title)
                        for title in _owed(opened, one.part.seed)
                        if title != one.part.cell
                    ]
            if how.stopping():
                _stop(live, how, told)
                raise Interrupted("stopped; what is finished is kept, and the same command goes on")
    finally:
        for one in live:
            one.process.kill()
        opened.reload()  # whatever ends it: what the processes kept, or made again, is what is told
    _pass_on(told, how, wait=0.0)
    if fallen:
        raise TutelageError(f"{'; '.join(fallen)}. The others were made; the same command tries again")


def _start(
    opened: OpenStudy, how: HowToWork, part: Portion, jobs: int, put: Callable[[tuple[Portion, JsonObject]], None]
) -> Working:
    task = SeedTask(
        folder=str(opened.folder),
        kept=str(opened.kept.folder),
        seed=part.seed,
        cell=part.cell,
        launcher=how.launcher if isinstance(how.launcher, str) else None,
        drop_weights=how.drop_weights,
    )
    words = [sys.executable, "-m", "tutelage.studies.seed_process", msgspec.json.encode(task).decode()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": str(max(1, cores // jobs)), **os.environ}
    log = opened.folder / f"seed-{part.name.replace('/', '~')}.log"
    with log.open("wb") as said:  # a file: a pipe that nobody reads would hold the process up once it is full
        # In a session of its own: Ctrl-C reaches this process, which passes it on once.
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )  # its input stays open as long as this process lives, which is how it knows
    threading.Thread(target=_listen, args=(process, part, put), daemon=True).start()
    return Working(part, process, log)


def _listen(process: subprocess.Popen[str], part: Portion, put: Callable[[tuple[Portion, JsonObject]], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(ValueError):  # what a library prints
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                put((part, event))


def _pass_on(told: "queue.Queue[tuple[Portion, JsonObject]]", how: HowToWork, wait: float = 0.3) -> None:
    """Hand on what the processes said, with the seed or the run before each step's name; how far a step is would be told of all at once."""
    for part, event in _heard(told, wait):
        if event["event"] in ("traffic", "progress", "started"):
            continue
        how.listener(
            {**event, "seed": part.seed, **({"step": f"{part.name}: {event['step']}"} if "step" in event else {})}
        )


def _heard(told: "queue.Queue[tuple[Portion, JsonObject]]", wait: float) -> Iterator[tuple[Portion, JsonObject]]:
    with contextlib.suppress(queue.Empty):
        yield told.get(timeout=wait) if wait else told.get_nowait()
        while True:
            yield told.get_nowait()


def _check_end(one: Working) -> str:
    """Why a process fell over; empty where it came to its end. A run that fails is noted by its process, which goes on."""
    if one.process.returncode in (0, 130):
        return ""
    said = one.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = f": {said[-1]}" if said else ""
    return f"the process of {one.part.name} ended with {one.process.returncode}{last} (see {one.log})"


def _stop(live: Sequence[Working], how: HowToWork, told: "queue.Queue[tuple[Portion, JsonObject]]") -> None:
    """Let each keep what it has in hand."""
    for one in live:
        one.process.send_signal(signal.SIGINT)
    while any(one.process.poll() is None for one in live):
        _pass_on(told, how)
