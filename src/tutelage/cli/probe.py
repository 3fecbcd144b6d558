"""The command that asks whether a student can use what its teacher said."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.run import AsJson, Into, On, Overrides, run_into
from tutelage.config import override
from tutelage.printing import say
from tutelage.recipes.catalog import check_config
from tutelage.runs import history
from tutelage.types import JsonObject


def probe_command(
    run: Annotated[Path, typer.Argument(help="A run of `tailored` whose teacher gave feedback.")],
    into: Into,
    overrides: Overrides = None,
    questions: Annotated[int | None, typer.Option("--questions", help="Missed questions that are asked again.")] = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Let a student answer its missed questions again: alone, with the feedback, with another's, with the solution."""
    config = history.open_run(run).config
    raw: JsonObject = {"recipe": "probe", "run": str(run.resolve())}
    raw |= {key: config[key] for key in ("task", "data", "exam", "seed") if key in config}
    raw |= {} if questions is None else {"questions": questions}
    run_into(check_config(override(raw, overrides or []), "probe"), into, as_json, on=on)
    for line in history.open_run(into).notes("probe"):
        say(line, stderr=as_json)
