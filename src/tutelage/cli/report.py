"""The commands that show a run: report, status, watch."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tutelage.printing import say
from tutelage.report import status, study_status, watching, writing
from tutelage.runs import history
from tutelage.studies.study_folder import study_alone

Runs = Annotated[list[Path], typer.Argument(help="One run, or several to compare.")]


def report_command(
    runs: Runs,
    into: Annotated[Path | None, typer.Option("--into", help="Folder of the report; default: the first run's.")] = None,
) -> None:
    """Write a run, or a study, as one page that opens from disk, and as Markdown; several runs side by side."""
    if study := study_alone(runs):
        say(str(writing.write_study(study, into)))
        return
    file = writing.write_report(runs, into)
    say(f"{file} and {file.with_suffix('.md').name}, {file.stat().st_size / 1e6:.1f} MB")


def status_command(
    run: Path, as_json: Annotated[bool, typer.Option("--json", help="As one JSON object, for programs.")] = False
) -> None:
    """Say how a run, or a study, stands: working, finished, stopped or failed, what is done and what is missing."""
    if study := study_alone([run]):
        for line in (
            [msgspec.json.encode(study_status.study_facts(study)).decode()]
            if as_json
            else study_status.study_lines(study)
        ):
            say(line)
        return
    opened = history.open_run(run)
    for line in [msgspec.json.encode(status.status_facts(opened)).decode()] if as_json else status.lines(opened):
        say(line)


def watch_command(
    runs: Runs,
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0: any free one.")] = 8765,
) -> None:
    """Show the report in the browser while the run works; it grows as steps finish. Ctrl-C ends it."""
    try:
        watching.watch_runs(runs, port, lambda address: say(f"{address}  (Ctrl-C ends it)"))
    except KeyboardInterrupt:
        say("ended; the run goes on by itself")
