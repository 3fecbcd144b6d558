"""The command that works through a study."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.output import Events, View
from tutelage.cli.run import AsJson, On, stoppable
from tutelage.errors import ConfigError
from tutelage.printing import console, say
from tutelage.report import studies, writing
from tutelage.studies import estimates
from tutelage.studies.study_folder import look_at_study, open_study
from tutelage.studies.workers import work_through
from tutelage.studies.working import HowToWork


def study_command(
    study: Annotated[Path, typer.Argument(help="A study's YAML file: base, arms, seeds, compare.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="The study's folder; default: runs/ and the file's name.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it takes: runs, teacher calls, dollars, hours, power.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Seeds that are made at a time, each in a process of its own; with more jobs than seeds, a seed's arms, too.",
        ),
    ] = 1,
    seeds: Annotated[str | None, typer.Option(help="Only these, such as 3,4: for several machines.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder of what is kept of finished runs; what is there already is not made again."),
    ] = None,
    drop_weights: Annotated[
        bool, typer.Option("--drop-weights", help="Remove the weights of a seed's runs once all of them are kept.")
    ] = False,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Say what a method is worth: run every arm under every seed, and compare them."""
    folder = into or Path("runs") / study.stem
    if plan:
        for line in estimates.plan_lines(look_at_study(study, folder, keep)):
            say(line)
        return
    opened = open_study(study, folder, keep)
    with stoppable(console(stderr=as_json)) as stopping, Events() if as_json else View(console()) as view:
        how = HowToWork(view, stopping, _numbers(seeds), launcher=on, drop_weights=drop_weights)
        try:
            work_through(opened, how, jobs)
        finally:
            contents = studies.StudyContents(opened)
            page = writing.write_contents(contents)
    if not as_json:
        for line in contents.headlines:
            say(line)
        say(f"the report: {page}")
    if opened.failures:
        title, why = next(iter(opened.failures.items()))
        raise ConfigError(
            f"{len(opened.failures)} runs failed, such as {title}: {why}. The same command tries them again"
        )


def _numbers(seeds: str | None) -> list[int] | None:
    if seeds is None:
        return None
    try:
        return [int(one) for one in seeds.split(",")]
    except ValueError:
        raise ConfigError(f"--seeds {seeds!r}: write numbers with commas between them, such as 3,4") from None
