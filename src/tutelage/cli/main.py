"""The command line: every command by its name, and how a failure ends."""

import errno
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from tutelage.cli import compare, exam, export, grade, listing, probe, report, run, serve, slurm, study
from tutelage.cli.cache import replies_app
from tutelage.errors import TutelageError
from tutelage.printing import guarded_streams, say
from tutelage.suspicion import without

COMMANDS: dict[str, Callable[..., None]] = {  # in the order of --help
    "demo": run.demo_command,
    "run": run.run_command,
    "plan": run.plan_command,
    "slurm": slurm.slurm_command,
    "lessons": run.lessons_command,
    "exam": exam.exam_command,
    "probe": probe.probe_command,
    "study": study.study_command,
    "compare": compare.compare_command,
    "grade": grade.grade_command,
    "audit": grade.audit_command,
    "contamination": grade.contamination_command,
    "report": report.report_command,
    "status": report.status_command,
    "watch": report.watch_command,
    "serve": serve.serve_command,
    "chat": serve.chat_command,
    "export": export.export_command,
    "tasks": listing.list_tasks,
    "recipes": listing.list_recipes,
    "show": listing.show_recipe,
}
app = typer.Typer(
    help="Teach a small language model to reason with lessons from a large one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(replies_app, name="cache")


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
