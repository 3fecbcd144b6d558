"""Several seeds of a study at a time, each in a process of its own."""

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
from tutelage.studies.working import HowToWork, work
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
    the folder `keep`, by default into the study's; what is there already is not made again. `jobs` seeds are made at a time.
    """
    opened = open_study(raw, into, Path(keep) if keep else None)
    work_through(opened, how, jobs)
    return findings_of(opened)


def work_through(opened: OpenStudy, how: HowToWork, jobs: int = 1) -> None:
    """Make what is missing of a study: here, or several seeds at a time in processes of their own."""
    if jobs > 1:
        work_in_processes(opened, how, jobs)
    else:
        work(opened, how)


class Working(NamedTuple):
    """A process that makes one seed."""

    seed: int
    process: subprocess.Popen[str]
    log: Path  # what it and the libraries in it say beside its events


def work_in_processes(opened: OpenStudy, how: HowToWork, jobs: int) -> None:
    """Make what is missing of a study, `jobs` seeds at a time; those that choose first, since the others need what they chose.

    A process makes all arms of its seed, so that what they share is made once and they are rounded alike.
    """
    if how.launcher is not None and not isinstance(how.launcher, str):
        raise ConfigError(
            "several jobs are processes of their own, which find a launcher by its name or package.module:NAME; name it"
        )
    study = opened.study
    for phase in (study.tune_seeds, study.seeds):
        owed = [seed for seed in phase if (how.seeds is None or seed in how.seeds) and _is_owed(opened, seed)]
        _run_phase(opened, how, owed, jobs)


def _is_owed(opened: OpenStudy, seed: int) -> bool:
    cells = [cell for cell in (*tuning_cells(opened.study), *opened.ready()) if cell.seed == seed]
    return any(not opened.is_kept(cell) for cell in cells)


def _run_phase(opened: OpenStudy, how: HowToWork, owed: Sequence[int], jobs: int) -> None:
    waiting, told = list(owed), queue.Queue[tuple[int, JsonObject]]()
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
            if how.stopping():
                _stop(live, how, told)
                raise Interrupted("stopped; what is finished is kept, and the same command goes on")
    finally:
        for one in live:
            one.process.kill()
    _pass_on(told, how, wait=0.0)
    opened.reload()
    if fallen:
        raise TutelageError(f"{'; '.join(fallen)}. The other seeds were made; the same command tries again")


def _start(
    opened: OpenStudy, how: HowToWork, seed: int, jobs: int, put: Callable[[tuple[int, JsonObject]], None]
) -> Working:
    task = SeedTask(
        folder=str(opened.folder),
        kept=str(opened.kept.folder),
        seed=seed,
        launcher=how.launcher if isinstance(how.launcher, str) else None,
        drop_weights=how.drop_weights,
    )
    words = [sys.executable, "-m", "tutelage.studies.seed_process", msgspec.json.encode(task).decode()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": str(max(1, cores // jobs)), **os.environ}
    log = opened.folder / f"seed-{seed}.log"
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
    threading.Thread(target=_listen, args=(process, seed, put), daemon=True).start()
    return Working(seed, process, log)


def _listen(process: subprocess.Popen[str], seed: int, put: Callable[[tuple[int, JsonObject]], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        with contextlib.suppress(ValueError):  # what a library prints
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event:
                put((seed, event))


def _pass_on(told: "queue.Queue[tuple[int, JsonObject]]", how: HowToWork, wait: float = 0.3) -> None:
    """Hand on what the processes said, with the seed before each step's name; how far a step is would be told of all at once."""
    for seed, event in _heard(told, wait):
        if event["event"] in ("traffic", "progress", "started"):
            continue
        how.listener({**event, "seed": seed, **({"step": f"{seed}: {event['step']}"} if "step" in event else {})})


def _heard(told: "queue.Queue[tuple[int, JsonObject]]", wait: float) -> Iterator[tuple[int, JsonObject]]:
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
    return f"the process of seed {one.seed} ended with {one.process.returncode}{last} (see {one.log})"


def _stop(live: Sequence[Working], how: HowToWork, told: "queue.Queue[tuple[int, JsonObject]]") -> None:
    """Let each keep what it has in hand."""
    for one in live:
        one.process.send_signal(signal.SIGINT)
    while any(one.process.poll() is None for one in live):
        _pass_on(told, how)
