"""Recipes: published methods, each one file, run by name from one config."""

import importlib
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tutelage import models, tasks
from tutelage.config import Settings, build, expand_path, read_yaml
from tutelage.errors import ConfigError, Interrupted, RunError, TutelageError, nearest
from tutelage.evaluation import grading
from tutelage.evaluation.scoreboard import Score, score
from tutelage.recipes import planning
from tutelage.recipes.baselines import Teaching
from tutelage.recipes.classroom import Classroom
from tutelage.recipes.presets import Published
from tutelage.recipes.provenance import facts
from tutelage.runs import history, labels
from tutelage.runs.run import Listener, Run


class Recipe(NamedTuple):
    """Where a recipe lives and what it is."""

    module: str
    settings: str
    summary: str

    def load(self) -> Any:
        """The recipe's module."""
        return importlib.import_module(self.module)

    def config(self) -> type[Settings]:
        """The recipe's settings class."""
        kind: type[Settings] = getattr(self.load(), self.settings)
        return kind


RECIPES = {
    "finetune_cot": Recipe(
        "tutelage.recipes.finetune_cot", "FinetuneCot", "Fine-tune-CoT [Ho et al. 2022]: learn a teacher's rationales"
    ),
    "tailored": Recipe(
        "tutelage.recipes.tailored",
        "Tailored",
        "tailored learning [Wang et al. 2023]: rounds of exam, feedback, reflection",
    ),
    "exam": Recipe("tutelage.recipes.exam_only", "ExamOnly", "one model sits one exam; nothing is trained"),
}


def find(name: str) -> Recipe:
    """A recipe by name."""
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; {nearest(name, RECIPES)}")
    return RECIPES[name]


def check(raw: Mapping[str, Any], source: str) -> Settings:
    """A raw config as the settings of the recipe it names."""
    if "recipe" not in raw:
        raise ConfigError(f"{source}: the key 'recipe' is missing; known: {', '.join(RECIPES)}")
    whole = {**raw, "task": tasks.anchored(raw["task"])} if isinstance(raw.get("task"), str | Mapping) else raw
    return build(find(str(raw["recipe"])).config(), whole, source)


def run(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    listener: Listener | None = None,
    stopping: Callable[[], bool] | None = None,
    source: str = "config",
    reuse: Sequence[str | Path] = (),
) -> dict[str, Score]:
    """Run a recipe into a run directory, or go on with one that was interrupted; returns the score of each exam by title.

    `raw` is a config: a mapping, a settings object, or the path of a YAML file. `listener` is told every event as a mapping; `stopping` is asked between records whether to leave.
    Steps that a run in `reuse` made from the same inputs are taken from there.
    """
    with _working(raw, into, source, reuse, listener, stopping) as (room, config):
        find(config.recipe).load().teach(room, config)
        room.run.say(event="done")
    return scores(Path(into))


def lessons(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    listener: Listener | None = None,
    stopping: Callable[[], bool] | None = None,
    source: str = "config",
) -> Path:
    """The teacher's part of a recipe alone: no student, no training. Returns the file of verified lessons.

    The steps are those of the whole run: `run` with the same config and folder goes on from here.
    """
    with _working(raw, into, source, (), listener, stopping) as (room, config):
        module = find(config.recipe).load()
        if not hasattr(module, "lessons"):
            raise ConfigError(f"recipe {config.recipe!r} has no lessons of a teacher to make")
        module.lessons(room, config)
    return Path(into) / "lessons" / "records.jsonl"


def plan(raw: Mapping[str, Any] | str | Path, source: str = "config", sample: int = 0) -> list[str]:
    """What a run will ask of its teacher and what it may cost, as lines.

    Nothing is asked, unless `sample` questions are: their replies are kept, and a run does not pay for them again.
    """
    if isinstance(raw, str | Path):
        raw, source = read_yaml(Path(raw)), str(raw)
    config = check(raw, source)
    if not isinstance(config, Teaching):
        raise ConfigError(f"{source}: the recipe {raw['recipe']!r} has no teacher whose calls could be planned")
    task = tasks.find(config.task, data=config.data)
    if models.parse(config.teacher)["kind"] in models.PAID:
        models.open_model(config.teacher)  # an option that is wrong is said now, not when money is due
    lines = planning.plan(config, task).lines()
    if sample:
        with tempfile.TemporaryDirectory() as folder, _working(config, folder, source, (), None, None) as (room, _):
            asked = room.questions(config.questions.train, config.questions.train_limit)[:sample]
            paper = config.rationales.paper(config.rationales.exam(), room.seed)
            lines.append(planning.sampled(config, task, room.sit("rationales", config.teacher, asked, paper)))
    return lines


@contextmanager
def enter(config: Settings, into: str | Path) -> Iterator[Classroom]:
    """An open run for a loop of one's own: what is done in the room is a step of the run, kept and never made twice.

    `config` is a recipe's settings object; `into` is the run's folder.
    """
    with _working(config, into, "config", (), None, None) as (room, _):
        yield room
        room.run.say(event="done")


@contextmanager
def _working(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    source: str,
    reuse: Sequence[str | Path],
    listener: Listener | None,
    stopping: Callable[[], bool] | None,
) -> Iterator[tuple[Classroom, Any]]:
    """A classroom in an open run, closed whatever happens."""
    if isinstance(raw, str | Path):
        raw, source = read_yaml(Path(raw)), str(raw)
    config: Any = raw if isinstance(raw, Settings) else check(raw, source)
    task = tasks.find(config.task, data=config.data)
    doors = {name: door for name, door in (("listener", listener), ("stopping", stopping)) if door}
    shared = [_run_at(Path(other)) for other in reuse]
    plain = config.model_dump(mode="json")
    for role in ("teacher", "student", "model"):
        if role in plain:
            models.check_key(plain[role])
    promised: labels.Labels = find(config.recipe).load().promised(config)
    told = {step: labels.written(label) for step, label in promised.items()}
    about = {**facts(), "what": f"{described(plain)}, in {into}", "promised": told}
    held = Run.start(Path(into), plain, about, _essence, reuse=shared, **doors)
    cache = expand_path(config.cache) if config.cache else None
    room = Classroom(held, task, config.seed, cache, config.budget, promised)
    try:
        yield room, config
    except Interrupted as stop:
        held.say(event="stopped")
        raise Interrupted(f"{stop}. Go on with: tutelage run {shlex.quote(str(held.path / 'config.yaml'))}") from None
    except Exception as error:  # another tool's error may hold anything, so only its kind is kept
        held.say(event="failed", error=str(error) if isinstance(error, TutelageError) else type(error).__name__)
        raise
    finally:
        room.close()
        held.close()


def described(config: Mapping[str, Any]) -> str:
    """A config in one line: what is done with whom on what."""
    roles = [f"{role} {spec_name(config[role])}" for role in ("student", "teacher", "model") if role in config]
    return ", ".join([f"{config['recipe']} on {spec_name(config['task'])}", *roles])


def spec_name(spec: Any) -> str:
    """The name of a model or task, written as text or as a mapping."""
    if not isinstance(spec, Mapping):
        return str(spec)
    kind = f"{spec['kind']}:" if "kind" in spec and "path" not in spec else ""
    return f"{kind}{spec.get('name') or spec.get('path') or ''}"


def _essence(config: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change while a run goes on: everything but what may be spent and lost, and how fast who is asked."""
    kept = {key: value for key, value in config.items() if key != "budget"}
    if isinstance(kept.get("rationales"), Mapping):
        kept["rationales"] = {key: value for key, value in kept["rationales"].items() if key != "accept_cut"}
    for role in {"teacher", "student", "model"} & kept.keys():
        spec = models.checked(kept[role])  # one that was kept by an earlier version may hold secrets
        kept[role] = models.essence(spec) if isinstance(spec, dict) else spec
    return kept


def _run_at(path: Path) -> Path:
    if not (path / "config.yaml").exists():
        raise RunError(f"{path} is not a run: it holds no config.yaml")
    return path


def scores(path: Path) -> dict[str, Score]:
    """The scores of a run's finished exams by their titles, in the order to be read."""
    return {title: score(attempts) for title, attempts in history.exams(path).items()}


def regrade(path: Path) -> dict[str, tuple[Score, Score]]:
    """A finished run's exams, or one step's, as they were graded and as today's reader grades them; nobody is asked."""
    run_at = path if (path / "config.yaml").exists() else path.parent
    config = read_yaml(_run_at(run_at) / "config.yaml")
    task = tasks.find(config.get("task", ""), data=config.get("data"))
    known = {question.id: question for split in task.splits for question in task.load(split)}
    sat = history.exams(path)
    return {title: (score(rows), score(grading.again(task, known, rows))) for title, rows in sat.items()}


class Option(NamedTuple):
    """One setting of a recipe, as `tutelage show` lists it."""

    key: str  # dotted
    default: str  # of the house
    published: str  # the paper's, where it is another one
    source: str  # of the published value
    about: str


def options(name: str) -> Sequence[Option]:
    """Every option of a recipe."""
    kind = find(name).config()
    published: Mapping[str, Published] = getattr(kind, "published", {})
    rows = [(key, default, published.get(key), about) for key, default, about in _options(kind)]
    return [
        Option(key, default, str(of.value) if of else "", of.source if of else "", about)
        for key, default, of, about in rows
    ]


def _options(kind: type[Settings], prefix: str = "") -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for key, field in kind.model_fields.items():
        nested = _nested(kind, key)
        if nested:
            if field.get_default(call_default_factory=True) is None:
                rows.append((prefix + key, "None", f"{field.description or ''}; once it is set:"))
            rows += _options(nested, f"{prefix}{key}.")
        else:
            default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
            rows.append((prefix + key, default, field.description or ""))
    return rows


def _nested(kind: type[Settings], key: str) -> type[Settings] | None:
    annotation = kind.model_fields[key].annotation
    for inner in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(inner, type) and issubclass(inner, Settings):
            return inner
    return None
