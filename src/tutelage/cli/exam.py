"""The command that lets a model sit an exam."""

from typing import Annotated

import typer

from tutelage.cli.grade import Data
from tutelage.cli.run import AsJson, Into, On, Overrides, run_into
from tutelage.config import override
from tutelage.printing import say
from tutelage.recipes.catalog import check_config
from tutelage.tasks.catalog import find_task
from tutelage.types import JsonObject


def exam_command(
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
    raw: JsonObject = {"recipe": "exam", "model": model, "task": task, "split": split}
    raw |= {key: value for key, value in (("limit", limit), ("data", data)) if value is not None}
    usual = find_task(task, data=data).samples if samples is None else 1
    if usual > 1:
        raw["exam"] = {"n": usual, "temperature": 0.7}
        say(f"{task} is scored by avg@{usual}, at temperature 0.7; for one greedy answer: -n 1", stderr=True)
    elif samples is not None:
        raw["exam"] = {"n": samples}
    run_into(check_config(override(raw, overrides or []), "exam"), into, as_json, on=on)
