"""Which runs a study is made of, and where each lies."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct

from tutelage.config import set_keys
from tutelage.errors import ConfigError
from tutelage.recipes.catalog import check_config
from tutelage.studies.settings import Study, config_of
from tutelage.types import JsonObject

TUNING = "tuning"  # the folder of the runs that choose


class Cell(Struct, frozen=True, kw_only=True):
    """One run of a study: an arm under a seed, with a value of what is varied; or one that chooses for an arm."""

    arm: str
    seed: int
    value: object = UNSET  # of what is varied
    choice: object = UNSET  # of what is tuned
    tuning: bool = False

    @property
    def folder(self) -> Path:
        """Where it lies in the study's folder: ARM/SEED, ARM/VALUE/SEED, tuning/ARM/CHOICE/SEED."""
        parts = [TUNING] if self.tuning else []
        parts += [self.arm, *([_named(self.value)] if self.value is not UNSET and not self.tuning else [])]
        return Path(*parts, *([_named(self.choice)] if self.tuning else []), str(self.seed))

    @property
    def title(self) -> str:
        """Its name for a reader."""
        return str(self.folder)


def _named(value: object) -> str:
    """A value as the name of a folder."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).strip("._") or "value"


def cells_of(study: Study, chosen: Mapping[str, object]) -> list[Cell]:
    """The runs that are compared, seed by seed, so that what the arms of a seed share is made once."""
    return [
        Cell(arm=arm, seed=seed, value=value, choice=chosen.get(arm, UNSET))
        for seed in study.seeds
        for arm in study.arms
        for value in study.values
    ]


def tuning_cells(study: Study) -> list[Cell]:
    """The runs that choose, seed by seed: what is varied stays at its middle value."""
    middle = study.values[len(study.values) // 2]
    return [
        Cell(arm=arm, seed=seed, value=middle, choice=choice, tuning=True)
        for seed in study.tune_seeds
        for arm in study.arms
        for choice in study.choices
    ]


def config_at(study: Study, cell: Cell) -> JsonObject:
    """The config of a cell. One that chooses reads no test question but one; a recipe whose runs sit no exam on dev
    questions is asked those of `tune_on` in the place of the test.
    """
    raw = config_of(study, cell.arm, cell.value, cell.seed, cell.choice)
    if not cell.tuning:
        return raw
    settings = check_config(raw, cell.title).model_dump(mode="json")
    if not isinstance(settings.get("questions"), dict):
        raise ConfigError(
            f"{cell.title}: nothing can be tuned: the recipe {raw['recipe']!r} has no setting questions.test"
        )
    held_out = {"questions.test_limit": 1} if "dev" in settings["questions"] else {"questions.test": study.tune_on}
    return set_keys(raw, {**held_out, **({"baselines": []} if "baselines" in settings else {})})
