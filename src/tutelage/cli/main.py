"""The command line: every command by its name, and how a failure ends."""

import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tutelage import __version__
from tutelage.errors import TutelageError
from tutelage.printing import guarded_streams, say
from tutelage.surroundings import as_ours
from tutelage.suspicion import without

# In the order of --help: where a command is, and what it says of itself. Its module is imported when it is named, since all of them
# together take longer than most of them do.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "run:demo_command",
        "Watch a real 135M-parameter student learn to reason on this machine: no key, no GPU, no download.",
    ),
    "run": ("run:run_command", "Run a recipe from its config file, or go on with a run that was interrupted."),
    "plan": (
        "run:plan_command",
        "Say how many calls, tokens and dollars a run may take of its teacher, and what memory its training, before anything is asked.",
    ),
    "slurm": (
        "slurm:slurm_command",
        "Print a script for Slurm's sbatch, in which a run stops before its time is up and goes on in the next job.",
    ),
    "lessons": (
        "run:lessons_command",
        "Only the teacher's part of a recipe: ask, verify, keep; a data set for whoever trains elsewhere.",
    ),
    "exam": ("exam:exam_command", "Let a model sit an exam on a task."),
    "probe": (
        "probe:probe_command",
        "Let a student answer its missed questions again: alone, with the feedback, with another's, with the solution.",
    ),
    "study": ("study:study_command", "Say what a method is worth: run every arm under every seed, and compare them."),
    "compare": (
        "compare:compare_command",
        "Say how two runs or exams differ on the same questions; of several seeds of each, over the seeds.",
    ),
    "grade": ("grade:grade_command", "Grade completions that are there already; no model is asked."),
    "audit": (
        "grade:audit_command",
        "Check that a task's own reader finds every gold answer right, and that an id names one question; exit code 2 if not.",
    ),
    "contamination": (
        "grade:contamination_command",
        "Say which training texts share what with held-out questions: the same text, template or 13 words in a row.",
    ),
    "report": (
        "report:report_command",
        "Write a run, or a study, as one page that opens from disk, and as Markdown; several runs side by side.",
    ),
    "status": (
        "report:status_command",
        "Say how a run, or a study, stands: working, finished, stopped or failed, what is done and what is missing.",
    ),
    "watch": (
        "report:watch_command",
        "Show the report in the browser while the run works; it grows as steps finish. Ctrl-C ends it.",
    ),
    "serve": ("serve:serve_command", "Put a model behind an OpenAI-compatible endpoint on this machine."),
    "chat": ("serve:chat_command", "Talk to a model; from a pipe, one question a line is answered by one line."),
    "export": (
        "export:export_command",
        "Write a run's student for transformers, with model card and lessons; for llama.cpp and Ollama; to the hub.",
    ),
    "tasks": ("listing:list_tasks", "List what can be asked."),
    "recipes": ("listing:list_recipes", "List what can be run."),
    "show": (
        "listing:show_recipe",
        "List a recipe's options: our defaults, the paper's where they differ (preset=paper), and where these come from.",
    ),
    "cache": ("cache:replies_app", "The teacher's replies that are kept on this machine."),
}


def _say_version(asked: bool) -> None:
    if asked:
        say(f"tutelage {__version__}")
        raise typer.Exit


def _whole(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Say which version this is.")
    ] = False,
) -> None:
    """Teach a small language model to reason with lessons from a large one."""


def commands(words: Sequence[str]) -> typer.Typer:
    """The command line for these words: the command that they name, and the others by what they say of themselves."""
    app = typer.Typer(
        help="Teach a small language model to reason with lessons from a large one.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_whole)
    named = next((word for word in words if not word.startswith("-")), "")
    for name, (place, summary) in COMMANDS.items():
        if name != named:
            app.command(name, help=summary)(lambda: None)
            continue
        module, _, function = place.partition(":")
        found = getattr(importlib.import_module(f"tutelage.cli.{module}"), function)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main() -> None:
    """Run the command line; a user's mistake is one sentence and exit code 2."""
    with guarded_streams():
        try:
            sys.exit(_run_app())
        except Exception:  # a mistake of ours, or of a library
            traceback.print_exc()
            sys.exit(1)


_SURROUNDINGS = {  # of a name that was given, or of the machine: nothing that a traceback would explain
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EPERM, errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENXIO,
}  # fmt: skip


def _run_app() -> int:
    try:
        return int(commands(sys.argv[1:])(standalone_mode=False) or 0)
    except TutelageError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped; finished steps are kept, and the same command goes on from there", 130)
    except Exception as error:
        if (known := as_ours(error)) is not error:
            return _fail(str(known), 2)
        if isinstance(error, OSError) and error.errno in _SURROUNDINGS:
            return _fail(f"cannot use{f' {error.filename}' if error.filename else ' a file'}: {error.strerror}", 2)
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
