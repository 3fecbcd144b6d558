"""The command line: parse, build, call, print."""

import errno
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tutelage import runner
from tutelage.cli import export, grade, report, serve
from tutelage.cli.cache import replies_app
from tutelage.cli.demo import demo_config, estimate, show_answers
from tutelage.cli.output import Events, View, score_table
from tutelage.config import Settings, override, read_yaml
from tutelage.errors import DataError, TutelageError
from tutelage.evaluation.intervals import holm
from tutelage.evaluation.pairs import pair
from tutelage.evaluation.scoreboard import several
from tutelage.printing import console, guarded_streams, say
from tutelage.recipes import RECIPES
from tutelage.recipes.catalog import check, find_recipe
from tutelage.recipes.presets import options
from tutelage.report import writing
from tutelage.runs import history
from tutelage.suspicion import without
from tutelage.tasks import TASKS
from tutelage.tasks.catalog import find_task

app = typer.Typer(
    help="Teach a small language model to reason with lessons from a large one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
Into = Annotated[Path, typer.Option("--into", help="The run's folder; the same command goes on where it stopped.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="Settings on top, such as training.epochs=3.")]
On = Annotated[
    str | None, typer.Option("--on", help="Where work runs: a launcher's name or package.module:NAME; as `launch:`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Each event as one line of JSON, for programs.")]
Data = Annotated[str | None, typer.Option("--data", help="Folder of local copies of published data sets.")]


@app.command()
def demo(overrides: Overrides = None, into: Into = Path("runs/demo"), as_json: AsJson = False) -> None:
    """Watch a real 135M-parameter student learn to reason on this machine: no key, no GPU, no download."""
    if not as_json and not overrides and not (into / "run.json").exists():
        say(estimate())
    _run(check(override(demo_config(), overrides or []), "demo"), into, as_json)
    if not as_json:
        show_answers(into, console())


@app.command()
def run(
    config: Path,
    overrides: Overrides = None,
    into: Annotated[
        Path | None, typer.Option("--into", help="The run's folder; default: runs/ and the config's name.")
    ] = None,
    reuse: Annotated[
        list[Path] | None, typer.Option(help="Another run: steps made from the same inputs are taken from it.")
    ] = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe from its config file, or go on with a run that was interrupted."""
    raw = override(read_yaml(config), overrides or [])
    if into is None:
        # The config of a run, named again, is that run.
        into = config.parent if (config.parent / "run.json").exists() else Path("runs") / config.stem
    _run(check(raw, str(config)), into, as_json, reuse or [], on)


@app.command()
def plan(
    config: Path,
    overrides: Overrides = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Ask this many questions, to know better; the replies are kept.")
    ] = 0,
) -> None:
    """Say how many calls, tokens and dollars a run may take of its teacher, before anything is asked."""
    for line in runner.plan(override(read_yaml(config), overrides or []), str(config), sample):
        say(line)


@app.command()
def lessons(config: Path, into: Into, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Only the teacher's part of a recipe: ask, verify, keep; a data set for whoever trains elsewhere."""
    terminal = console(stderr=as_json)
    settings = check(override(read_yaml(config), overrides or []), str(config))
    with _stoppable(terminal) as stopping, Events() if as_json else View(terminal) as view:
        file = runner.lessons(settings, into, view, stopping)
    say(f"verified lessons with their provenance: {file}", stderr=as_json)


@app.command()
def exam(
    model: Annotated[str, typer.Argument(help="Who answers, such as hf:smollm2, hf:runs/demo/student, openai:NAME.")],
    task: Annotated[str, typer.Option("--task", help="What is asked; `tutelage tasks` lists them.")],
    into: Into,
    overrides: Overrides = None,
    split: Annotated[str, typer.Option("--split")] = "test",
    limit: Annotated[int | None, typer.Option("--limit", help="Only a fixed random subset of this size.")] = None,
    samples: Annotated[int | None, typer.Option("-n", help="Samples a question (give exam.temperature too).")] = None,
    data: Data = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Let a model sit an exam on a task."""
    raw: dict[str, Any] = {"recipe": "exam", "model": model, "task": task, "split": split}
    raw |= {key: value for key, value in (("limit", limit), ("data", data)) if value is not None}
    usual = find_task(task, data=data).samples if samples is None else 1
    if usual > 1:
        raw["exam"] = {"n": usual, "temperature": 0.7}
        say(f"{task} is scored by avg@{usual}, at temperature 0.7; for one greedy answer: -n 1", stderr=True)
    elif samples is not None:
        raw["exam"] = {"n": samples}
    _run(check(override(raw, overrides or []), "exam"), into, as_json, on=on)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="A run, or one exam's folder such as runs/demo/1-test.")],
    after: Path,
    flips: Annotated[int, typer.Option(min=0, help="How many flipped questions to name.")] = 5,
) -> None:
    """Say how two runs, or two exams, differ on the same questions: difference, interval, p value, flips."""
    sides = history.exams(before), history.exams(after)
    titles = [title for title in sides[0] if title in sides[1]]
    if not titles:
        raise DataError(
            f"{before} and {after} have no exam in common; name two exams' folders, such as {before}/1-test"
        )
    pairs = [pair(sides[0][title], sides[1][title]) for title in titles]
    chances = holm([one.p if one.p is not None else 1.0 for one in pairs])
    for title, one, chance in zip(titles, pairs, chances, strict=True):
        several = (
            f"; {chance:.3g} among {len(pairs)} comparisons (Holm)" if len(pairs) > 1 and one.p is not None else ""
        )
        say(f"{title}: {one.line()}{several}")
        for word, names in (("fixed", one.fixed), ("broken", one.broken)):
            if names and flips:
                more = f" and {len(names) - flips} more" if len(names) > flips else ""
                say(f"  {word}: {', '.join(names[:flips])}{more}")


app.add_typer(replies_app, name="cache")
app.command()(grade.grade)
app.command()(grade.audit)
app.command()(grade.contamination)
app.command()(report.report)
app.command("status")(report.show_status)
app.command()(report.watch)
app.command()(serve.serve)
app.command()(serve.chat)
app.command()(export.export)


@app.command("tasks")
def list_tasks() -> None:
    """List what can be asked."""
    _list([(name, entry.summary) for name, entry in TASKS.items()])


@app.command("recipes")
def list_recipes() -> None:
    """List what can be run."""
    _list([(name, summary) for name, (_, summary) in RECIPES.items()])


@app.command()
def show(recipe: str) -> None:
    """List a recipe's options: our defaults, the paper's where they differ (preset=paper), and where these come from."""
    found = find_recipe(recipe)
    summary = found.summary
    say((recipe, "bold"), f": {summary}")
    rows = options(found.settings)
    widths = [max(len(getattr(row, column)) for row in rows) for column in ("key", "default", "published")]
    widths = [max(width, len(head)) for width, head in zip(widths, ("option", "house", "paper"), strict=True)]
    heads = "  ".join(f"{head:<{width}}" for head, width in zip(("option", "house", "paper"), widths, strict=True))
    say((f"  {heads}  about", "bold"))
    for key, default, published, source, about in rows:
        values = "  ".join(f"{value:<{width}}" for value, width in zip((default, published), widths[1:], strict=True))
        told = "; ".join(part for part in (about, f"paper: {source}" if source else "") if part)
        say((f"  {key:<{widths[0]}}", "bold"), f"  {values}  ", (told, "dim"))


def _list(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        say((f"{name:<{width}}", "bold"), f"  {summary}")


def _run(config: Settings, into: Path, as_json: bool, reuse: Sequence[Path] = (), on: str | None = None) -> None:
    terminal = console(stderr=as_json)
    with _stoppable(terminal) as stopping, Events() if as_json else View(terminal) as view:
        scores = runner.run(config, into, view, stopping, reuse, on)
        if as_json:
            view({"event": "scores", "scores": scores})
            return
    terminal.print(score_table(scores, f"{history.described(config.model_dump(mode='json'))}, in {into}"))
    for title, attempts in history.exams(into).items():
        if numbers := several(attempts):
            say(f"{title}: {', '.join(number.line() for number in numbers)}")
    say(f"the report: {writing.write([into])}")


@contextmanager
def _stoppable(terminal: Console) -> Iterator[Callable[[], bool]]:
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


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    with guarded_streams():
        try:
            sys.exit(_run_app())
        except Exception:  # a mistake of ours, or of a library
            traceback.print_exc()
            sys.exit(1)


_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES}
_SURROUNDINGS = {  # of a name that was given, or of the machine: nothing that a traceback would explain
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENXIO,
}  # fmt: skip


def _run_app() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except TutelageError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped; finished steps are kept, and the same command goes on from there", 130)
    except OSError as error:
        if error.errno not in _WRITING | _SURROUNDINGS:
            raise
        where = f" {error.filename}" if error.filename else ""
        if error.errno in _SURROUNDINGS:
            return _fail(f"cannot use{where or ' a file'}: {error.strerror}", 2)
        then = "Finished steps are kept; make room and run the same command again"
        return _fail(f"cannot write{where}: {error.strerror}. {then}", 2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the user typed is no command, or not of this form
            raise
        return _misused(error)


def _misused(error: Any) -> int:
    """What is wrong with the words of a command: in one sentence too, which a secret among them does not get into."""
    message, context, names = error.format_message(), getattr(error, "ctx", None), list[str]()
    if not message.strip() or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(error.exit_code)
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return _fail(f"{message.rstrip('.')}. See: {' '.join(['tutelage', *names])} --help", error.exit_code)


def _fail(message: str, code: int) -> int:
    say(("error:", "red"), f" {without(message, sys.argv[1:])}", stderr=True)
    return code


if __name__ == "__main__":
    main()
