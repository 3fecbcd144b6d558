"""The command that hands a student on: export."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.exporting import folder, hub
from tutelage.printing import say


def export_command(
    run: Annotated[Path, typer.Argument(help="A finished run, such as runs/demo.")],
    to: Annotated[Path, typer.Option("--to", help="The folder to write; an earlier export in it is replaced.")],
    check: Annotated[int, typer.Option("--check", help="Exam questions that are put to the export again.")] = 50,
    dtype: Annotated[
        str, typer.Option("--dtype", help="exam (answers as in the exam), bfloat16, float16 or float32.")
    ] = "exam",
    gguf: Annotated[
        str | None, typer.Option("--gguf", help="A GGUF file and an Ollama Modelfile too: f16 or q8_0.")
    ] = None,
    push: Annotated[str | None, typer.Option("--push", help="Upload it to the hub as org/name.")] = None,
    private: Annotated[bool, typer.Option("--private/--public", help="Of a repository that --push makes.")] = True,
) -> None:
    """Write a run's student for transformers, with model card and lessons; for llama.cpp and Ollama; to the hub."""
    if push is not None:
        hub.check_push(push)
    made = folder.export(run, to, dtype, check, gguf, say)
    say(f"written: {made.path}")
    if push is not None:
        say(f"pushed: {hub.push(made.path, push, private)}")
