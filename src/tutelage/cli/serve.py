"""The commands that put a model to use: serve and chat."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tutelage import redaction
from tutelage.errors import ConfigError, Interrupted
from tutelage.models.context import Context
from tutelage.models.local.streaming import load_weights
from tutelage.models.opening import open_model
from tutelage.models.specs import parse
from tutelage.printing import say
from tutelage.recipes.exam_only import natural_form
from tutelage.serve import openai_requests, terminal
from tutelage.serve.batcher import Batcher
from tutelage.serve.conversation import Conversation
from tutelage.tasks.catalog import find_task
from tutelage.types import Sampling

ModelName = Annotated[
    str, typer.Argument(help="Who answers: a student's folder, hf:smollm2, hf:HUB/NAME, openai:NAME.")
]
System = Annotated[str, typer.Option("--system", help="A system message, where none is given.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="The longest answer, where none is given.")]


def serve_command(
    model: ModelName,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 is any free one.")] = 8000,
    host: Annotated[str, typer.Option("--host", help="Another address lets other machines in.")] = "127.0.0.1",
    name: Annotated[
        str | None, typer.Option("--name", help="What clients call it; default: the folder or name.")
    ] = None,
    max_tokens: MaxTokens = 512,
    system: System = "",
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable with the key that clients must bring.")
    ] = None,
    anyone: Annotated[bool, typer.Option("--open", help="With --host: let other machines in without a key.")] = False,
) -> None:
    """Put a model behind an OpenAI-compatible endpoint on this machine."""
    from tutelage.serve import (
        access,  # starlette and uvicorn
        server,
    )

    rules = access.Rules(host, _key(key_env))
    terms = openai_requests.Terms(name or _short_name(model), max_tokens, system)
    # What is said while requests are answered is for whoever reads the log, each time that it happens.
    opened = open_model(model, Context(say=lambda line: say(line, stderr=True)))
    with server.listen(host, port) as listening:
        if not (access.is_loopback(host) or rules.key or anyone):
            raise ConfigError(
                f"--host {host} lets other machines in: name the environment variable with the key that they must bring "
                "(--key-env NAME), or say that anyone may ask (--open)"
            )
        at = f"{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        try:
            load_weights(opened)
        except KeyboardInterrupt:
            raise Interrupted("stopped before the model was loaded") from None
        batcher = Batcher(opened)
        runner = server.Server(server.make_app(batcher, terms, rules), lambda times: _stopping(batcher, times))
        batcher.open()
        if not access.is_loopback(host):
            _warn(at, bool(rules.key))
        say(f"serving {terms.name} at http://{at}/v1 (Ctrl-C stops)")
        runner.run(sockets=[listening])
    batcher.close(patience=10 if runner.times > 1 else None)
    if runner.times > 1:
        raise Interrupted("stopped at once; answers in hand were dropped")


def _short_name(spec: str) -> str:
    """What clients call a model: a folder by its last name, others as they are known."""
    name = str(parse(spec).get("name", parse(spec)["kind"]))
    return Path(name).resolve().name if os.path.exists(name) else name or spec


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    if not redaction.is_variable_name(variable):
        raise ConfigError(
            "--key-env takes the name of an environment variable, and was given none (it may be the key itself): "
            "export NAME=… and say --key-env NAME"
        )
    key = os.environ.get(variable, "").strip()
    redaction.know(key)
    if not key:
        named = variable if redaction.is_clear_name(variable) else "NAME"
        raise ConfigError(f"--key-env {named}: that environment variable holds no key; set it or leave the option out")
    return key


def _stopping(batcher: Batcher, times: int) -> None:
    if times == 1:
        say("stopping: what is in hand is being answered (Ctrl-C again to stop now)")
    else:
        batcher.stop()


def _warn(at: str, key: bool) -> None:
    line = (
        f"{at} can be reached from other machines; the key and all texts cross the network in the clear"
        if key
        else f"{at} can be reached from other machines and anyone there may ask (--open); all texts cross the network in the clear"
    )
    say(("warning:", "yellow"), f" {line}", stderr=True)


def chat_command(
    model: ModelName,
    system: System = "",
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="0 is greedy.")] = 0.0,
    max_tokens: MaxTokens = 512,
    task: Annotated[str | None, typer.Option("--task", help="/task asks this task's test questions.")] = None,
    turns: Annotated[
        bool | None, typer.Option("--turns/--alone", help="Keep the conversation, or let each question stand alone.")
    ] = None,
) -> None:
    """Talk to a model; from a pipe, one question a line is answered by one line."""
    opened = open_model(model)
    piped = not sys.stdin.isatty()
    alone = piped or natural_form(model) == "taught" if turns is None else not turns
    conversation = Conversation(opened, Sampling(temperature=temperature, max_tokens=max_tokens), system, not alone)
    known = find_task(task) if task is not None else None
    if piped:
        terminal.answer_lines(conversation, sys.stdin)
        return
    load_weights(opened)
    how = "each question stands alone (--turns keeps the conversation)" if alone else "it keeps the conversation"
    say(f"{_short_name(model)}: {how}")
    terminal.ChatSession(conversation, known).run()
