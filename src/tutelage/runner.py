"""A recipe in a run's folder: run, go on, plan, and read a finished run's numbers again."""

import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tutelage import surroundings
from tutelage.classroom import remarks
from tutelage.classroom.handing import Means
from tutelage.classroom.room import Classroom
from tutelage.config import Settings, expand_path, read_yaml, setting
from tutelage.errors import ConfigError, Interrupted, RunError, TutelageError
from tutelage.evaluation.regrade import again
from tutelage.evaluation.scoreboard import Score, score
from tutelage.exam import renamed
from tutelage.launch import HERE
from tutelage.launch.catalog import check_alone, find_launcher
from tutelage.launch.launcher import Launcher
from tutelage.models import PAID, specs
from tutelage.models.opening import open_model
from tutelage.recipes import planning, sizing
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.settings import Teaching
from tutelage.runs import history, labels
from tutelage.runs.environment import environment_facts
from tutelage.runs.inputs import is_same
from tutelage.runs.naming import described
from tutelage.runs.run import Listener, Run
from tutelage.runs.sharing import Beside
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task
from tutelage.training.settings import TrainingConfig, objective_choices
from tutelage.types import JsonObject, Question


def run(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    listener: Listener | None = None,
    stopping: Callable[[], bool] | None = None,
    reuse: Sequence[str | Path] | Beside = (),
    launcher: Launcher | str | None = None,
) -> dict[str, Score]:
    """Run a recipe into a run directory, or go on with one that was interrupted; returns the score of each exam by title.

    `raw` is a config: a mapping, a settings object, or the path of a YAML file. `listener` is told every event as a mapping; `stopping` is asked between records whether to leave.
    Steps that a run in `reuse` made from the same inputs are taken from there; runs that work at the same time are named by a `Beside`. `launcher` says where work runs, as the
    config's `launch` does: an object, its name or package.module:NAME; the run is the same wherever it runs.
    """
    with _working(raw, into, reuse, (listener, stopping), launcher) as (room, config):
        find_recipe(config.recipe).teach(room, config)
        if missed := remarks.of_missed(room.run.path, room.promised):
            room.run.warn(f"recipe {config.recipe!r} {missed}")
        room.run.say(event="done")
    return scores(Path(into))


def make_lessons(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    listener: Listener | None = None,
    stopping: Callable[[], bool] | None = None,
) -> Path:
    """The teacher's part of a recipe alone: no student, no training. Returns the file of verified lessons, or the run's
    folder where they are in several (`lesson_files`).

    The steps are those of the whole run: `run` with the same config and folder goes on from here.
    """
    made: list[str] = []

    def hear(event: JsonObject) -> None:
        if event["event"] in ("reused", "finished"):
            made.append(event["step"])
        if listener:
            listener(event)

    with _working(raw, into, (), (hear, stopping)) as (room, config):
        recipe = find_recipe(config.recipe)
        if recipe.lessons is None:
            raise ConfigError(f"recipe {config.recipe!r} has no lessons of a teacher to make")
        recipe.lessons(room, config)
    files = [
        file for file in lesson_files(into) if file.parent.name in made
    ]  # a whole run may hold those of its rounds
    return files[0] if len(files) == 1 else Path(into)


def lesson_files(run: str | Path) -> list[Path]:
    """The files of a run's verified lessons, in the order in which they were begun."""
    return [
        step.folder / "records.jsonl"
        for step in history.steps(Path(run))
        if step.whole and step.label.kind == "lessons"
    ]


def plan_run(raw: Mapping[str, Any] | str | Path, source: str = "config", sample: int = 0) -> list[str]:
    """What a run will ask of its teacher, what it may cost, and whether this device holds its training, as lines.

    Nothing is asked, unless `sample` questions are: their replies are kept, and a run does not pay for them again.
    """
    if isinstance(raw, str | Path):
        raw, source = read_yaml(Path(raw)), str(raw)
    config: Any = check_config(raw, source)
    count = find_recipe(config.recipe).calls
    if count is None:
        raise ConfigError(f"{source}: the recipe {raw['recipe']!r} counts no teacher's calls that could be planned")
    task = find_task(config.task, data=config.data)
    expected = count(config, task)
    for who in (config.teacher, *(row.who for row in expected if row.who is not None)):
        if specs.kinds_in(who) & PAID:
            open_model(who)  # an option that is wrong is said now, not when money is due
    lines = [*planning.priced(config.teacher, expected).lines(), *sizing.memory_lines(config)]
    if sample and not isinstance(config, Teaching):
        raise ConfigError(
            f"{source}: the recipe {raw['recipe']!r} has no first rationales that could be asked for as a sample"
        )
    if sample:
        with tempfile.TemporaryDirectory() as folder, _working(config, folder) as (room, _):
            asked = room.questions(config.questions.train, config.questions.train_limit)[:sample]
            setup = config.rationales.setup(config.rationales.exam(), room.seed)
            first = config.teacher if expected[0].who is None else expected[0].who
            attempts = room.sit("rationales", first, asked, setup)
            lines.append(planning.sampled(first, expected[0].calls, attempts))
    return lines


@contextmanager
def open_classroom(config: Settings, into: str | Path) -> Iterator[Classroom]:
    """An open run for a loop of one's own: what is done in the room is a step of the run, kept and never made twice.

    `config` is a recipe's settings object; `into` is the run's folder.
    """
    with _working(config, into) as (room, _):
        yield room
        room.run.say(event="done")


@contextmanager
def _working(
    raw: Mapping[str, Any] | Settings | str | Path,
    into: str | Path,
    reuse: Sequence[str | Path] | Beside = (),
    told: tuple[Listener | None, Callable[[], bool] | None] = (None, None),
    launcher: Launcher | str | None = None,
) -> Iterator[tuple[Classroom, Any]]:
    """A classroom in an open run, closed whatever happens."""
    source = "config"
    if isinstance(raw, str | Path):
        raw, source = read_yaml(Path(raw)), str(raw)
    config: Any = raw if isinstance(raw, Settings) else check_config(raw, source)
    if launcher is None or isinstance(launcher, str):
        named: str = config.launch if hasattr(config, "launch") else HERE  # a recipe of one's own may leave it out
        launcher = find_launcher(launcher or named)
    check_alone()
    task = find_task(config.task, data=config.data)
    callbacks = {name: call for name, call in zip(("listener", "stopping"), told, strict=True) if call}
    shared = reuse if isinstance(reuse, Beside) else Beside(partial(list, [_run_at(Path(other)) for other in reuse]))
    plain = config.model_dump(mode="json")
    roles = specs.roles(type(config))
    for role in roles:
        for spec in filter(None, plain[role] if isinstance(plain[role], list) else [plain[role]]):
            specs.check_key(spec)
    check_launcher(launcher, plain)
    _check_objectives(plain)
    _check_trainer(plain)
    promised: labels.Labels = find_recipe(config.recipe).promised(config)
    written = {step: labels.label_as_json(label) for step, label in promised.items()}
    cache = expand_path(config.cache) if config.cache else None  # what is no path is said before anything is written
    about = {
        **environment_facts(),
        "what": f"{described(plain, roles)}, in {into}",
        "roles": roles,
        "promised": written,
    }
    held = Run.start(Path(into), plain, about, lambda kept: identity_of(kept, roles), reuse=shared, **callbacks)
    room = Classroom(held, task, config.seed, Means(cache, config.budget, launcher), promised)
    try:
        yield room, config
    except Interrupted as stop:
        held.say(event="stopped")
        raise Interrupted(f"{stop}. Go on with: tutelage run {shlex.quote(str(held.path / 'config.yaml'))}") from None
    except Exception as error:
        _fail(held, error)
        raise
    finally:
        room.close()
        held.close()


def _fail(held: Run, error: Exception) -> None:
    """Keep that a run failed and why, and raise the error in a sentence where it tells of the machine."""
    known = surroundings.as_ours(error)
    # Another tool's error may hold anything, so only its kind is kept.
    held.say(event="failed", error=str(known) if isinstance(known, TutelageError) else type(error).__name__)
    if known is not error:
        raise known from error


def check_launcher(launcher: Launcher, config: Mapping[str, Any]) -> None:
    """Whether a launcher can do what a config asks for, as far as it says beforehand."""
    if check := getattr(launcher, "check", None):
        check(config)


def _check_objectives(config: Mapping[str, Any]) -> None:
    """An objective of the user's own that is none is said before the teacher is paid for its lessons."""
    given = [config[key].get("objective") for key in ("training", "later") if isinstance(config.get(key), Mapping)]
    chosen = [choice for one in given if one is not None for choice in objective_choices(one)]
    if chosen:  # else nothing of torch is loaded
        from tutelage.training.mixing import Mix

        Mix(chosen)


_TRAINERS = {"optimizer", "attention", "report_to", "trainer"}  # what transformers takes as it is


def _check_trainer(config: Mapping[str, Any]) -> None:
    """What transformers' Trainer would refuse is said then, too."""
    for training in (config.get("training"), config.get("later")):
        if isinstance(training, Mapping) and training.keys() & _TRAINERS:
            from tutelage.training import arguments  # loads transformers

            given = {name: training[name] for name in _TRAINERS if name in training}
            arguments.check(TrainingConfig.model_validate(given))


def identity_of(config: Mapping[str, Any], roles: Sequence[str]) -> dict[str, Any]:
    """What must not change while a run goes on: all but what may be spent and lost, where it runs, and how fast who is asked.

    `roles` are the keys that hold models, one or several.
    """
    kept = {key: value for key, value in config.items() if key not in ("budget", "launch")}
    if until := setting(config, "budget.until"):  # which lessons are bought is part of what a run is
        kept["budget"] = {"until": until}
    if isinstance(kept.get("rationales"), Mapping):
        kept["rationales"] = {key: value for key, value in kept["rationales"].items() if key != "accept_cut"}
    if "exam" in kept:
        kept["exam"] = renamed(kept["exam"])
    for role in (role for role in roles if kept.get(role)):
        spec = kept[role]
        kept[role] = [_identity(one) for one in spec] if isinstance(spec, list) else _identity(spec)
    return kept


def _identity(spec: str | dict[str, Any]) -> dict[str, Any]:
    """What a model is, however its spec is written; one that was kept by an earlier version may hold secrets."""
    return specs.identity(specs.parse(specs.checked(spec)))


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
    task = find_task(config.get("task", ""), data=config.get("data"))
    return {
        one.title: (score(one.attempts), score(again(task, _asked(task, one), one.attempts)))
        for one in history.sat(path)
    }


def _asked(task: Task, exam: history.Sat) -> dict[str, Question]:
    """The questions of an exam by id: those of its split, since other splits may use the same ids for others."""
    splits = [exam.label.split] if exam.label.split in task.splits else list(task.splits)
    known: dict[str, Question] = {}
    names = {attempt.question for attempt in exam.attempts}
    for one in (question for split in splits for question in task.load(split) if question.id in names):
        other = known.setdefault(one.id, one)
        if not is_same(one, other):
            raise RunError(
                f"{exam.file} does not say which of the two questions {one.id!r} of {task.name!r} it is about"
            )
    if lost := names - known.keys():
        where = " and ".join(splits)
        raise RunError(f"{exam.file} holds an answer to {min(lost)!r}, which is no question of {task.name!r} ({where})")
    return known
