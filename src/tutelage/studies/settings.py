"""What a study is: arms that change a base, seeds, and the comparisons that were chosen before anything ran."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from msgspec import UNSET
from pydantic import Field, field_validator, model_validator

from tutelage.config import Settings, build, read_yaml, set_keys, setting
from tutelage.errors import ConfigError, nearest
from tutelage.recipes.catalog import check_config
from tutelage.tasks.catalog import find_task
from tutelage.types import JsonObject

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,60}")
Name = Annotated[str, Field(pattern=f"^{_NAME.pattern}$")]
_APART = ("task", "data", "questions.test", "questions.test_limit")  # what decides which questions are asked in the end
_NOWHERE = ("launch", "cache", "data")  # where work is done and what is read lies
_TAKEN = {"kept", "tuning", "failures", "questions"}  # names of other folders


def _misshapen(raw: Mapping[str, Any]) -> Iterator[str]:
    """What of a study is written in another form than it takes, a sentence each."""
    if "recipe" in raw and not {"base", "arms", "seeds"} & raw.keys():
        yield "this is the config of a run, which `tutelage run` takes; a study has base, arms and seeds"
    arms, compare, margin = raw.get("arms", {}), raw.get("compare", ()), raw.get("margin")
    if not isinstance(arms, Mapping):
        yield "arms: write what each changes under its name, as in {short: {}, long: {training.epochs: 8}}"
        return
    if odd := next((str(arm) for arm in arms if not _NAME.fullmatch(str(arm))), ""):
        yield f"arms: {odd!r} cannot be a name, of which a folder is made: letters, digits, _ + and -, at most 61, the first a letter or a digit"
    if odd := next((arm for arm, changes in arms.items() if not isinstance(changes, Mapping)), ""):
        yield f"arms.{odd}: write what it changes as {{key: value}}, or {{}} for the base itself"
    for key in ("seeds", "tune_seeds"):
        seeds = raw.get(key, (0,))
        numbers = isinstance(seeds, list | tuple) and all(isinstance(one, int) and one >= 0 for one in seeds)
        if not numbers or (key == "seeds" and not seeds):
            yield f"{key}: write a list of numbers from 0 on, such as [0, 1, 2, 3, 4]"
    pairs = isinstance(compare, list | tuple) and all(
        isinstance(one, list | tuple) and len(one) == 2 for one in compare
    )
    if not pairs:
        yield "compare: write pairs of arms, before and after, as in [[short, long]]"
    if isinstance(margin, int | float) and not 0 < margin < 1:
        yield f"margin: {margin} is no share between 0 and 1; 2 points are 0.02"


class Study(Settings):
    """Arms x seeds of runs, compared."""

    study: Name = Field(description="its name")
    note: str = Field("", description="what is expected and why, for whoever reads it; stands in the report")
    base: str | JsonObject = Field(description="the config that every arm changes: a file, beside the study's, or keys")
    arms: dict[Name, JsonObject] = Field(min_length=1, description="settings on top of the base, by dotted key")
    seeds: tuple[int, ...] = Field(min_length=1, description="of each arm's runs")
    seed_of: tuple[Literal["run", "task"], ...] = Field(
        ("run",),
        min_length=1,
        description="what a seed draws: run: first lessons, order, sampling; task: the questions too, where the task makes them",
    )
    vary: JsonObject = Field(
        default_factory=dict, description="one setting and its values: every arm with each of them"
    )
    tune: JsonObject = Field(
        default_factory=dict,
        description="one setting and its values: each arm takes the one with the most right on dev",
    )
    tune_seeds: tuple[int, ...] = Field((), description="of the runs that choose; none of them is one of `seeds`")
    tune_on: str = Field("dev", description="the split asked then, of a recipe whose runs sit no exam on dev questions")
    compare: tuple[tuple[Name, Name], ...] = Field((), description="[before, after]: the primary comparisons")
    margin: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="of equivalence: differences within ± this share are as good as none"
    )

    @model_validator(mode="before")
    @classmethod
    def _is_well_written(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and (told := next(_misshapen(raw), "")):
            raise ValueError(told)
        return raw

    @field_validator("seeds", "tune_seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if twice := [seed for seed in seeds if seeds.count(seed) > 1]:
            raise ValueError(f"the seed {twice[0]} stands twice, and the same run twice is one run")
        return seeds

    @field_validator("vary", "tune")
    @classmethod
    def _one_axis(cls, axis: JsonObject) -> JsonObject:
        if len(axis) > 1:
            raise ValueError(f"one setting can be varied, and these are {len(axis)}: {', '.join(axis)}")
        for key, values in axis.items():
            if not isinstance(values, list) or len(values) < 2:
                raise ValueError(f"{key} needs a list of two values or more")
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{key}: {twice[0]!r} stands twice")
            if key in _NOWHERE:
                raise ValueError(f"{key} is no part of what a run is, so that its values would be the same runs")
        return axis

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if taken := sorted(_TAKEN & self.arms.keys()):
            raise ValueError(f"an arm cannot be called {taken[0]!r}: a folder of the study has that name")
        if bool(self.tune) != bool(self.tune_seeds):
            raise ValueError("tune and tune_seeds go together: the values to try, and the seeds to try them with")
        if both := next((key for key in self.vary if key in self.tune), ""):
            raise ValueError(f"vary and tune both name {both}; leave it out of one of them")
        drawn = {"run": "seed", "task": "task.seed"}
        for part, key in drawn.items():
            whose = [f"the arm {arm!r}" for arm, changes in self.arms.items() if key in changes]
            whose += [name for name in ("vary", "tune") if key in getattr(self, name)]
            if whose and part in self.seed_of:
                raise ValueError(f"{whose[0]} sets {key}, which the study's seeds set")
        if shared := sorted(set(self.seeds) & set(self.tune_seeds)):
            raise ValueError(f"the seed {shared[0]} is in seeds and in tune_seeds: what chose would be measured, too")
        for pair in self.compare:
            for arm in pair:
                if arm not in self.arms:
                    raise ValueError(f"compare names the arm {arm!r}, which is none; {nearest(arm, self.arms)}")
            if pair[0] == pair[1]:
                raise ValueError(f"compare sets the arm {pair[0]!r} against itself")
            if self.compare.count(pair) > 1 or pair[::-1] in self.compare:
                raise ValueError(f"compare names {pair[0]} and {pair[1]} twice")
        return self

    @property
    def values(self) -> list[object]:
        """What is varied; UNSET alone where nothing is, since null may be a value."""
        return next(iter(self.vary.values()), [UNSET])

    @property
    def choices(self) -> list[object]:
        """The values that are tried on dev; none where nothing is tuned."""
        return next(iter(self.tune.values()), [])


def read_study(raw: Mapping[str, Any] | str | Path, source: str = "study") -> Study:
    """A study from its file or a mapping, with its base in it; whatever is wrong with it is said before anything runs."""
    folder = Path()
    if isinstance(raw, str | Path):
        source, folder = str(raw), Path(raw).parent
        raw = read_yaml(Path(raw))
    study = build(Study, raw, source)
    if isinstance(study.base, str):
        file = folder / study.base
        if not file.exists():
            raise ConfigError(f"{source}: base = {study.base!r}: there is no file {file}")
        study = study.model_copy(update={"base": read_yaml(file)})
    _check_arms(study, source)
    return study


def config_of(study: Study, arm: str, value: object, seed: int, choice: object = UNSET) -> JsonObject:
    """The config of one run: the base, the arm, what is varied, what was chosen, and the seed."""
    assert isinstance(study.base, dict)
    changed = set_keys(study.base, study.arms[arm])
    for axis, one in ((study.vary, value), (study.tune, choice)):
        if axis and one is not UNSET:
            changed = set_keys(changed, {next(iter(axis)): one})
    drawn = {"seed": seed} if "run" in study.seed_of else {}
    # A base without a task is told so, and not that its task has no name.
    draws = "task" in study.seed_of and "task" in changed
    return set_keys(changed, {**drawn, **({"task.seed": seed} if draws else {})})


def arm_settings(study: Study, source: str, arm: str, value: object = UNSET, choice: object = UNSET) -> JsonObject:
    """An arm's whole settings under the first seed, checked, with every default; an arm without a name is the base."""
    value = study.values[0] if value is UNSET else value
    choice = study.choices[0] if study.choices and choice is UNSET else choice
    axes = ((study.vary, value), (study.tune, choice))
    where = f"{source}: {f'arm {arm!r}' if arm else 'the base'}" + "".join(
        f" with {next(iter(axis))}={one}" for axis, one in axes if axis
    )
    try:
        return check_config(config_of(study, arm, value, study.seeds[0], choice), where).model_dump(mode="json")
    except ConfigError as error:
        told = f"{error}" if str(error).startswith(where) else f"{where}: {error}"
        raise ConfigError(f"{told}{_of_seeds(study, told)}") from None


def _of_seeds(study: Study, told: str) -> str:
    """What to do where the seed that a study has given a task is what was wrong."""
    own = "task" in study.seed_of and "has no option 'seed'" in told
    return (
        "; a study's seeds are given to it, as seed_of says: write seed_of: [run] for a task that draws no questions"
        if own
        else ""
    )


def _check_arms(study: Study, source: str) -> None:
    base = arm_settings(study.model_copy(update={"arms": {"": {}}}), source, "")
    arms = {arm: arm_settings(study, source, arm) for arm in study.arms}
    for arm, changes in study.arms.items():
        if own := next((key for key in (*study.vary, *study.tune) if key in changes), None):
            raise ConfigError(f"{source}: arm {arm!r} sets {own}, which is varied or tuned in every arm")
        if changes and arms[arm] == base:
            assert isinstance(study.base, dict)
            stated = all(setting(study.base, key) is not None for key in changes)
            raise ConfigError(
                f"{source}: arm {arm!r} changes nothing: {', '.join(changes)} is so {'in the base' if stated else 'by default'}; leave it "
                "empty, as {}, to mean the base"
            )
    for one, other in combinations(arms, 2):
        if arms[one] == arms[other]:
            raise ConfigError(f"{source}: the arms {one!r} and {other!r} are the same")
    every = [
        (arm, value, arm_settings(study, source, arm, value, choice))
        for arm in study.arms
        for value in study.values
        for choice in (study.choices or [UNSET])
    ]
    first = [settings for arm, _, settings in every if arm == next(iter(arms))]
    if any(one in first[:place] for place, one in enumerate(first)):
        raise ConfigError(f"{source}: two of the values of {' and '.join([*study.vary, *study.tune])} are the same")
    for task, data in {str(one.get("task")): (one.get("task"), one.get("data")) for _, _, one in every}.values():
        if not isinstance(task, str | Mapping):
            continue
        try:
            find_task(task, data=data)  # a task that draws no questions by seed, or is none, is said now
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}{_of_seeds(study, str(error))}") from None
    for pair in study.compare:
        _check_pair(pair, [arms[arm] for arm in pair], source)


def _check_pair(pair: Sequence[str], settings: Sequence[JsonObject], source: str) -> None:
    """Two arms can be compared where they are asked the same in the end."""
    for key in _APART:
        sides = [setting(side, key) for side in settings]
        if sides[0] != sides[1]:
            raise ConfigError(
                f"{source}: {pair[0]} and {pair[1]} cannot be compared question by question: {key} is {sides[0]!r} in one and "
                f"{sides[1]!r} in the other"
            )
