"""`tutelage cache`: the replies that were paid for."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from tutelage.errors import ConfigError
from tutelage.printing import say
from tutelage.redaction import redact
from tutelage.runs.replies import ReplyCache, default_path

replies_app = typer.Typer(help="The teacher's replies that are kept on this machine.", no_args_is_help=True)
File = Annotated[Path | None, typer.Option("--file", help="Another file of replies than the user's own.")]
Of = Annotated[str, typer.Option("--model", help="Only models whose name or address holds this text.")]


def _open(file: Path | None) -> ReplyCache:
    path = file or default_path()
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        raise ConfigError(f"there is no file of replies at {path}; a run with a paid teacher makes one")
    return ReplyCache(path, lambda line: say(line, stderr=True))


@replies_app.command("ls")
def list_replies(
    model: Of = "",
    limit: Annotated[int, typer.Option(min=0, help="How many.")] = 20,
    file: File = None,
) -> None:
    """List the latest replies: when, whose, how long, and how the question and the reply begin."""
    rows = [row for row in _open(file).rows() if model in row.request["model"]]
    for row in rows[-limit:] if limit else ():
        when = datetime.fromtimestamp(row.saved, UTC).isoformat(timespec="seconds")
        asked, said = (" ".join(text.split())[:50] for text in (row.request["messages"][-1][1], row.reply.text))
        say(
            f"{row.key[:12]}  {when}  {redact(row.request['model'])}  {row.reply.finish}  {row.reply.tokens_out}  {asked} | {said}"
        )


@replies_app.command("stats")
def count_replies(file: File = None) -> None:
    """Count replies and tokens by model."""
    count: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    cache = _open(file)
    for row in cache.rows():
        name = redact(row.request["model"])
        count[name] += 1
        tokens[name] += row.reply.tokens_in + row.reply.tokens_out
        cut[name] += row.reply.finish == "length"
    for name, replies in count.most_common():
        say(f"{name}: {replies} replies, {tokens[name]} tokens, {cut[name]} cut off")
    say(f"{sum(count.values())} replies in {cache.path} ({cache.path.stat().st_size / 2**20:.1f} MB)")


@replies_app.command("export")
def export_replies(into: Path, model: Of = "", file: File = None) -> None:
    """Write replies as JSON lines: request, reply, when it was saved, and what the server sent."""
    if into.exists():
        raise ConfigError(f"{into} exists; choose another file")
    if not into.parent.is_dir():
        raise ConfigError(f"there is no folder {into.parent} to write {into.name} into")
    done = 0
    draft = into.with_name(f"{into.name}.part")
    with draft.open("w", encoding="utf-8") as out:
        for row in _open(file).rows():
            if model in row.request["model"]:
                request = {
                    **row.request,
                    "model": redact(row.request["model"]),
                }  # of an earlier version it may hold a key
                fields = {"key": row.key, "saved": row.saved, "request": request, "reply": to_builtins(row.reply)}
                out.write(json.dumps({**fields, "raw": row.raw.decode("utf-8", "replace")}, ensure_ascii=False) + "\n")
                done += 1
    draft.rename(into)
    say(f"{done} replies in {into}")


@replies_app.command("prune")
def prune_replies(
    model: Of = "",
    older_than_days: Annotated[float | None, typer.Option(min=0, help="Only replies older than this.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it the replies are only counted.")] = False,
    file: File = None,
) -> None:
    """Forget replies: they would have to be paid for again."""
    if not model and older_than_days is None:
        raise ConfigError("say which replies to forget: --model TEXT, --older-than-days N, or both")
    before = None if older_than_days is None else time.time() - 86_400 * older_than_days  # of any size
    cache = _open(file)
    if yes:
        say(f"{cache.prune(model, before)} replies forgotten")
        return
    limit = float("inf") if before is None else before
    found = sum(model in row.request["model"] and row.saved < limit for row in cache.rows())
    say(f"{found} replies would be forgotten; add --yes to do it")
