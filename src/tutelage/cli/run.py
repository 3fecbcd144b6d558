"""The commands that work in a run's folder: run, plan, lessons, demo."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tutelage import runner
from tutelage.cli.demo import demo_config, estimate, show_answers
from tutelage.cli.output import Events, View, score_table
from tutelage.config import Settings, override, read_yaml
from tutelage.evaluation.scoreboard import several
from tutelage.models import specs
from tutelage.printing import console, say
from tutelage.recipes.catalog import check_config
from tutelage.report import kinds
from tutelage.runs import history, naming

Into = Annotated[Path, typer.Option("--into", help="The run's folder; the same command goes on where it stopped.")]
IntoOrNamed = Annotated[
    Path | None, typer.Option("--into", help="The run's folder; default: runs/ and the config's name.")
]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings on top, such as training.epochs=3.")]
On = Annotated[
    str | None, typer.Option("--on", help="Where work runs: a launcher's name or package.module:NAME; as `launch:`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Each event as one line of JSON, for programs.")]


def demo_command(overrides: Overrides = None, into: Into = Path("runs/demo"), as_json: AsJson = False) -> None:
    """Watch a real 135M-parameter student learn to reason on this machine: no key, no GPU, no download."""
    if not as_json and not overrides and not (into / "run.json").exists():
        say(estimate())
    run_into(check_config(override(demo_config(), overrides or []), "demo"), into, as_json)
    if not as_json:
        show_answers(into, console())


def run_command(
    config: Path,
    overrides: Overrides = None,
    into: IntoOrNamed = None,
    reuse: Annotated[
        list[Path] | None, typer.Option(help="Another run: steps made from the same inputs are taken from it.")
    ] = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe from its config file, or go on with a run that was interrupted."""
    raw = override(read_yaml(config), overrides or [])
    run_into(check_config(raw, str(config)), folder_for(config, into), as_json, reuse or [], on)


def folder_for(config: Path, into: Path | None) -> Path:
    """The folder of a run that is not told where to be; the config of a run, named again, is that run."""
    if into is not None:
        return into
    return config.parent if (config.parent / "run.json").exists() else Path("runs") / config.stem


def plan_command(
    config: Path,
    overrides: Overrides = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Ask this many questions, to know better; the replies are kept.")
    ] = 0,
) -> None:
    """Say how many calls, tokens and dollars a run may take of its teacher, and what memory its training, before anything is asked."""
    for line in runner.plan_run(override(read_yaml(config), overrides or []), str(config), sample):
        say(line)


def lessons_command(config: Path, into: Into, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Only the teacher's part of a recipe: ask, verify, keep; a data set for whoever trains elsewhere."""
    terminal = console(stderr=as_json)
    settings = check_config(override(read_yaml(config), overrides or []), str(config))
    with stoppable(terminal) as stopping, Events() if as_json else View(terminal) as view:
        made = runner.make_lessons(settings, into, view, stopping)
    for file in runner.lesson_files(into) if made == into else [made]:
        say(f"verified lessons with their provenance: {file}", stderr=as_json)


def run_into(config: Settings, into: Path, as_json: bool, reuse: Sequence[Path] = (), on: str | None = None) -> None:
    """Run a checked config into its folder, show how it goes, and print its scores at the end."""
    terminal = console(stderr=as_json)
    with stoppable(terminal) as stopping, Events() if as_json else View(terminal) as view:
        scores = runner.run(config, into, view, stopping, reuse, on)
        if as_json:
            view({"event": "scores", "scores": scores})
            return
    described = naming.described(config.model_dump(mode="json"), specs.roles(type(config)))
    terminal.print(score_table(scores, f"{described}, in {into}"))
    made = history.open_run(into)
    for title, attempts in made.exams().items():
        if numbers := several(attempts):
            say(f"{title}: {', '.join(number.line() for number in numbers)}")
    if found := kinds.new_kinds(made):
        for name, count, *shares in found.rows:
            told = ", ".join(f"{title} {share}" for title, share in zip(found.headings[2:], shares, strict=True))
            say(f"the {count} questions of kinds {name}: {told}")
    from tutelage.report import writing

    say(f"the report: {writing.write_report([into])}")


@contextmanager
def stoppable(terminal: Console) -> Iterator[Callable[[], bool]]:
    """Ctrl-C once asks the run to keep what it has and leave; twice stops now. Being terminated is the same."""
    asked: list[bool] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(True)
        terminal.print("stopping: what is in hand is being kept (Ctrl-C again to stop now)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
