"""A model spread over processes, wherever these are started."""

import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tutelage.launch.engines import Engines
from tutelage.launch.fleet import Fleet
from tutelage.launch.hand import Hand, Hear
from tutelage.launch.orders import Open
from tutelage.models.opening import open_model
from tutelage.types import JsonObject


class Spread(NamedTuple):
    """Over how many processes, and what is borne of them."""

    processes: int
    sharing: int  # of these, on one machine
    stall: float  # seconds
    restarts: int


def spread(spec: JsonObject, over: Spread, start: Callable[[int, Path, Hear], Hand]) -> Fleet:
    """The model of a spec, answering from processes that `start` starts: the number of one, its log, and who hears it."""
    folder = Path(tempfile.mkdtemp(prefix="tutelage-engines-"))
    order = Open(spec=spec, sharing=over.sharing)
    engines = Engines(
        lambda number, hear: start(number, folder / f"engine-{number}.log", hear),
        over.processes,
        order,
        over.stall,
        over.restarts,
    )
    fleet = Fleet(open_model(spec), engines)
    weakref.finalize(fleet, shutil.rmtree, folder, ignore_errors=True)
    return fleet
