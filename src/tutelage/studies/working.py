"""Working through a study: seed by seed, what its arms share made once, and what is finished kept small."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from tutelage import runner
from tutelage.config import differences, read_yaml
from tutelage.errors import ConfigError, Interrupted, RunError, TutelageError, nearest
from tutelage.launch.launcher import Launcher
from tutelage.machine import machine
from tutelage.models import specs
from tutelage.parsing import json_file
from tutelage.recipes.catalog import check_config
from tutelage.redaction import redact
from tutelage.runs.files import write_file
from tutelage.runs.inputs import digest_inputs
from tutelage.studies import choosing
from tutelage.studies.cells import Cell, cells_of, config_at, tuning_cells
from tutelage.studies.outcomes import OutcomeStore, outcome_of
from tutelage.studies.settings import Study, read_study
from tutelage.tasks.catalog import find_task
from tutelage.types import JsonObject


class HowToWork(NamedTuple):
    """How a study is worked through; nothing that comes of it depends on this, but for rounding where several work at once."""

    listener: Callable[[JsonObject], None] = lambda event: None
    stopping: Callable[[], bool] = lambda: False
    seeds: Sequence[int] | None = None  # only these; None: all
    launcher: Launcher | str | None = None  # where the runs' work is done
    drop_weights: bool = False  # of the runs of a seed, once all are finished


class OpenStudy:
    """A study in its folder: what of it is finished, what was chosen, what failed."""

    def __init__(self, study: Study, folder: Path, keep: Path | None = None) -> None:
        self.study = study
        self.folder = folder
        self.kept = OutcomeStore(keep or folder / "kept")
        self._identities: dict[str, str] = {}  # by the cell's title

    def is_kept(self, cell: Cell) -> bool:
        """Whether a cell is finished, here or on another machine."""
        found = self.kept.get(cell.folder)
        if found is None:
            return False
        if cell.title not in self._identities:
            self._identities[cell.title] = run_identity(self.study, cell)
        if found.identity != self._identities[cell.title]:
            raise RunError(
                f"{self.kept.file(cell.folder)} was made from another config than this study's {cell.title}; choose another --keep, "
                "or delete it, and its run is made again"
            )
        return True

    def added(self) -> list[str]:
        """What is to be known of seeds that were added when something was finished already."""
        told = _told(self.folder / "added.json").values()
        return [
            f"The seeds {', '.join(map(str, one['seeds']))} were added when {one['finished']} runs were finished: this size was chosen after looking."
            for one in told
        ]

    def reload(self) -> None:
        """See what other processes have finished."""
        self.kept = OutcomeStore(self.kept.folder)

    def chosen(self) -> dict[str, object]:
        """What each arm takes of the values that are tuned, as far as the runs that choose are finished."""
        return choosing.choices(self.study, self.kept) if self.study.tune else {}

    def missing(self, seeds: Sequence[int] | None = None) -> list[Cell]:
        """The cells that are not finished, those that choose first; without what nothing is chosen for yet."""
        cells = [*tuning_cells(self.study), *self.ready()]
        return [cell for cell in cells if (seeds is None or cell.seed in seeds) and not self.is_kept(cell)]

    def ready(self) -> list[Cell]:
        """The cells that are compared and whose arm has chosen."""
        chosen = self.chosen()
        return [cell for cell in cells_of(self.study, chosen) if not self.study.tune or cell.arm in chosen]

    @property
    def failures(self) -> dict[str, str]:
        """Why runs failed, by their names; each is tried again when the study goes on."""
        files = sorted((self.folder / "failures").glob("*.txt"))
        told = (file.read_text(encoding="utf-8", errors="replace").partition("\n") for file in files)
        return {title: why.strip() for title, _, why in told}

    def fail(self, cell: Cell, error: Exception) -> str:
        """Note why a run failed, and return it; the others go on."""
        why = str(error) if isinstance(error, TutelageError) else f"{type(error).__name__}: {redact(str(error))}"
        self._failure(cell).parent.mkdir(exist_ok=True)
        write_file(self._failure(cell), f"{cell.title}\n{why}\n".encode())
        return why

    def finish(self, cell: Cell) -> None:
        """Keep what is small of a finished cell."""
        raw = config_at(self.study, cell)
        task = find_task(raw["task"], data=raw.get("data"))
        outcome, asked = outcome_of(self.folder / cell.folder, task, run_identity(self.study, cell))
        self.kept.put(cell.folder, outcome, asked)
        self._failure(cell).unlink(missing_ok=True)

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "failures" / f"{cell.title.replace('/', '~')}.txt"


def _told(file: Path) -> JsonObject:
    return json_file(file) if file.exists() else {}


def run_identity(study: Study, cell: Cell) -> str:
    """What a cell's run is made from, as a digest: wherever it is made, it is the same run."""
    settings = check_config(config_at(study, cell), cell.title)
    return digest_inputs(runner.identity_of(settings.model_dump(mode="json"), specs.roles(type(settings))))


def look_at_study(raw: Mapping[str, Any] | str | Path, into: str | Path, keep: Path | None = None) -> OpenStudy:
    """A study with what is finished of it; nothing is written. Another study's folder is refused."""
    study, folder = read_study(raw), Path(into)
    places = [cell.folder for cell in (*tuning_cells(study), *cells_of(study, {}))]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise ConfigError(f"two values would have the same folder, {twice}; write one of them otherwise")
    file = folder / "study.yaml"
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; a study needs a folder")
    if folder.exists() and not file.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is no study (it is not empty and holds no study.yaml); choose another --into")
    if file.exists():
        _check_same(folder, read_yaml(file), study.model_dump(mode="json"))
    return OpenStudy(study, folder, keep)


def open_study(raw: Mapping[str, Any] | str | Path, into: str | Path, keep: Path | None = None) -> OpenStudy:
    """A study in its folder, new or to be gone on with; another study's folder is refused."""
    opened = look_at_study(raw, into, keep)
    folder, file, plain = opened.folder, opened.folder / "study.yaml", opened.study.model_dump(mode="json")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {folder} cannot be made: {error.strerror}; choose another --into") from None
    if not file.exists() or read_yaml(file) != plain:
        _note_added(opened, read_yaml(file) if file.exists() else plain)
        write_file(file, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    where = {"kept": str(keep.absolute())} if keep is not None else {}
    if where != _told(folder / "where.json"):
        write_file(folder / "where.json", msgspec.json.encode(where), shared=True)
    return opened


def find_study(folder: str | Path) -> OpenStudy:
    """The study whose folder this is, to be read."""
    folder = Path(folder)
    if not is_study(folder):
        raise RunError(f"{folder} is no study: it holds no study.yaml")
    told = _told(folder / "where.json").get("kept")
    return OpenStudy(read_study(folder / "study.yaml"), folder, Path(told) if isinstance(told, str) else None)


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's, and not a run's."""
    return (folder / "study.yaml").exists()


def _check_same(folder: Path, old: JsonObject, new: JsonObject) -> None:
    """Seeds may be added; whatever else changes makes it another study, whose comparisons were not chosen beforehand."""
    before, after = ({key: value for key, value in one.items() if key not in ("note", "seeds")} for one in (old, new))
    lost = [seed for seed in old.get("seeds", ()) if seed not in new["seeds"]]
    if differing := [*differences(before, after), *(f"seed {seed} is gone" for seed in lost)]:
        raise RunError(
            f"{folder} is another study: {'; '.join(differing)}. Choose another --into; with --keep {folder / 'kept'} the runs "
            "that are the same in both are not made again"
        )


def _note_added(opened: OpenStudy, old: JsonObject) -> None:
    """Seeds that are added once something is known are a size that was chosen after looking; that is kept."""
    added = [seed for seed in opened.study.seeds if seed not in old.get("seeds", ())]
    done = sum(opened.is_kept(cell) for cell in opened.ready()) if added else 0
    if done:
        file = opened.folder / "added.json"
        told = _told(file)
        told[str(len(told) + 1)] = {"seeds": added, "finished": done}
        write_file(file, msgspec.json.format(msgspec.json.encode(told)))


def work(opened: OpenStudy, how: HowToWork) -> None:
    """Make what is missing of a study, in this process. A run that fails is noted, and the others go on."""
    study = opened.study
    known = [*study.tune_seeds, *study.seeds]
    if lost := [seed for seed in how.seeds or () if seed not in known]:
        raise RunError(f"--seeds: {lost[0]} is no seed of this study; {nearest(str(lost[0]), map(str, known))}")
    wanted = [seed for seed in known if how.seeds is None or seed in how.seeds]
    for seed in wanted:
        group = [cell for cell in tuning_cells(study) if cell.seed == seed] or [
            cell for cell in opened.ready() if cell.seed == seed
        ]
        _forget_other_machines(opened, group, how)
        for cell in group:
            if not opened.is_kept(cell):
                _make(opened, cell, group, how)
        if how.drop_weights and all(map(opened.is_kept, group)):
            for cell in group:
                drop_weights(opened.folder / cell.folder)


def _forget_other_machines(opened: OpenStudy, group: Sequence[Cell], how: HowToWork) -> None:
    """Make a seed's arms again that were finished on another kind of machine while others are owed: they are to be rounded alike."""
    there = [(cell, found) for cell in group if opened.is_kept(cell) and (found := opened.kept.get(cell.folder))]
    others = [cell for cell, found in there if found.machine != machine()]
    if others and len(there) < len(group):
        line = f"seed {group[0].seed} was begun on another kind of machine: {len(others)} of its runs are made again, so that its arms are rounded alike"
        how.listener({"event": "warning", "line": line})
        for cell in others:
            opened.kept.drop(cell.folder)


def _make(opened: OpenStudy, cell: Cell, group: Sequence[Cell], how: HowToWork) -> None:
    how.listener({"event": "cell", "cell": cell.title, "left": len(opened.missing(how.seeds))})
    beside = [opened.folder / other.folder for other in group if other != cell]
    shared = [folder for folder in beside if (folder / "config.yaml").exists()]
    try:
        settings = check_config(config_at(opened.study, cell), cell.title)
        runner.run(settings, opened.folder / cell.folder, how.listener, how.stopping, shared, how.launcher)
        opened.finish(cell)
    except Interrupted:
        raise Interrupted(f"stopped in {cell.title}; what is finished is kept, and the same command goes on") from None
    except Exception as error:
        how.listener({"event": "warning", "line": f"{cell.title} failed: {opened.fail(cell, error)}"})


def drop_weights(run: Path) -> None:
    """Remove the weights of a finished run. What it was made from stays, so that it can be made again."""
    for file in run.glob("*/*.safetensors"):
        file.unlink(missing_ok=True)
