"""A study in its folder: what of it is finished, what was chosen, what failed, and whether it is this study at all."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tutelage import runner
from tutelage.config import differences, expand_path, read_yaml
from tutelage.errors import ConfigError, RunError, TutelageError, nearest
from tutelage.models import specs
from tutelage.models.local import weights
from tutelage.parsing import json_file
from tutelage.recipes.catalog import check_config
from tutelage.redaction import redact
from tutelage.regular import read_regular
from tutelage.runs.files import write_file
from tutelage.runs.inputs import digest_inputs
from tutelage.studies import choosing
from tutelage.studies.cells import Cell, cells_of, config_at, tuning_cells
from tutelage.studies.outcomes import Outcome, OutcomeStore, outcome_of
from tutelage.studies.settings import Study, read_study
from tutelage.tasks.catalog import find_task
from tutelage.types import JsonObject


class OpenStudy:
    """A study in its folder: what of it is finished, what was chosen, what failed."""

    def __init__(self, study: Study, folder: Path, keep: Path | None = None) -> None:
        self.study = study
        self.folder = folder
        self.kept = OutcomeStore(keep or folder / "kept")
        self._identities: dict[str, str] = {}  # by the cell's title

    def is_kept(self, cell: Cell) -> bool:
        """Whether a cell is finished, here or on another machine."""
        if self.kept.get(cell.folder) is None:
            return False
        if self.outcome(cell) is None:
            raise RunError(
                f"{self.kept.file(cell.folder)} was made from another config than this study's {cell.title}; choose another --keep, "
                "or delete it, and its run is made again"
            )
        return True

    def outcome(self, cell: Cell) -> Outcome | None:
        """What is kept of a cell; None where nothing is, or something that another config made."""
        found = self.kept.get(cell.folder)
        if found is None:
            return None
        if cell.title not in self._identities:
            self._identities[cell.title] = run_identity(self.study, cell)
        return found if found.identity == self._identities[cell.title] else None

    def foreign(self) -> list[str]:
        """The cells of which something is kept that another config made."""
        cells = (*tuning_cells(self.study), *self.ready())
        return [cell.title for cell in cells if self.kept.get(cell.folder) and not self.outcome(cell)]

    def added(self) -> list[str]:
        """What is to be known of seeds that were added when something was finished already."""
        return [
            f"The seed{'s' * (',' in seeds)} {seeds.replace(',', ', ')} {'were' if ',' in seeds else 'was'} added when {done} runs were finished: "
            "this size was chosen after looking."
            for seeds, done in _told(self.kept.folder / "added.json").items()
        ]

    def reload(self) -> None:
        """See what other processes have finished."""
        self.kept = OutcomeStore(self.kept.folder)

    def chosen(self) -> dict[str, object]:
        """What each arm takes of the values that are tuned, as far as the runs that choose are finished."""
        return choosing.choices(self.study, self.outcome) if self.study.tune else {}

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
    made_from = dict(runner.identity_of(settings.model_dump(mode="json"), specs.roles(type(settings))))
    task = made_from.get("task")
    if isinstance(task, Mapping) and task.get("name") == "local":  # its questions decide, not where they lie
        paths = task["path"] if isinstance(task["path"], Mapping) else {"": task["path"]}
        made_from["task"] = {**task, "path": {split: _digest(str(path)) for split, path in paths.items()}}
    return digest_inputs(made_from)


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(read_regular(expand_path(path))).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None


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
        _check_same(folder, read_yaml(file), study.model_dump(mode="json"), keep)
    _check_there(study)
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
        _note_added(
            opened, read_yaml(file) if file.exists() else _told(opened.kept.folder / "study.json").get("study", plain)
        )
        write_file(file, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode())
    where = {} if keep is None or keep.absolute() == (folder / "kept").absolute() else {"kept": str(keep.absolute())}
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


def study_alone(folders: Sequence[Path]) -> OpenStudy | None:
    """The study whose folder is named, where one is; beside anything else it is refused."""
    found = [folder for folder in folders if is_study(folder)]
    if found and len(folders) > 1:
        raise RunError(f"{found[0]} is a study, which has a page of its own; name it alone")
    return find_study(found[0]) if found else None


def is_study(folder: Path) -> bool:
    """Whether a folder is a study's, and not a run's."""
    return (folder / "study.yaml").exists()


def _check_there(study: Study) -> None:
    """Say before anything runs what no run could find: a student's folder, a split to choose on."""
    cells = [
        cell
        for cell in (*cells_of(study, {}), *tuning_cells(study))
        if cell.seed in (*study.seeds[:1], *study.tune_seeds[:1])
    ]
    for cell in cells:
        config: Any = check_config(config_at(study, cell), cell.title)
        who = getattr(config, "student", None)
        for leaf in specs.leaves(specs.parse(who)) if who is not None else ():
            if leaf.spec.get("kind") == "hf":
                weights.check_name(str(leaf.spec.get("name", "")))
        asked = getattr(config, "questions", None)
        if cell.tuning and asked is not None and not hasattr(asked, "dev"):
            task = find_task(config.task, data=config.data)
            if study.tune_on not in task.splits:
                raise ConfigError(
                    f"tune_on = {study.tune_on!r}: the task has no such split; {nearest(study.tune_on, task.splits)}"
                )


def _check_same(folder: Path, old: JsonObject, new: JsonObject, keep: Path | None) -> None:
    """Seeds may be added; whatever else changes makes it another study, whose comparisons were not chosen beforehand."""
    before, after = ({key: value for key, value in one.items() if key not in ("note", "seeds")} for one in (old, new))
    lost = [seed for seed in old.get("seeds", ()) if seed not in new["seeds"]]
    if differing := [*differences(before, after), *(f"seed {seed} is gone" for seed in lost)]:
        raise RunError(
            f"{folder} is another study: {'; '.join(differing)}. Choose another --into; with --keep {keep or folder / 'kept'} the runs "
            "that are the same in both are not made again"
        )


def _note_added(opened: OpenStudy, old: JsonObject) -> None:
    """Seeds that are added once something is known are a size that was chosen after looking; that is kept beside the outcomes."""
    added = [seed for seed in opened.study.seeds if seed not in old.get("seeds", ())]
    done = sum(opened.is_kept(cell) for cell in opened.ready()) if added else 0
    if done:
        file = opened.kept.folder / "added.json"
        write_file(file, msgspec.json.format(msgspec.json.encode({**_told(file), ",".join(map(str, added)): done})))
