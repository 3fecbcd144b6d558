"""How a run pays its teachers: the replies this user has paid for, and a ledger of what this run has spent."""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from tutelage.errors import RunError
from tutelage.models.context import Context
from tutelage.models.remote.cached import Cached
from tutelage.models.remote.dispatch import State
from tutelage.regular import opened
from tutelage.runs import records
from tutelage.runs.reading import is_amount
from tutelage.runs.replies import ReplyCache
from tutelage.runs.run import Run
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Spent


def open_context(
    run: Run, cache: Path, budget: BudgetConfig, step: Callable[[], str]
) -> tuple[Context, Callable[[], None]]:
    """The context of a run's models, with what its earlier sessions spent, and how it is closed; `step()` names the step that asks."""
    ledger = run.path / "calls.jsonl"
    spent = Spending()
    for row in records.recover(ledger, Spent):
        if row.dollars is not None and not is_amount(row.dollars):
            raise RunError(f"{ledger} holds {row.dollars!r} where dollars belong: it was changed since it was written")
        spent.calls += row.calls
        spent.tokens_in += max(row.tokens_in, 0)  # an earlier version believed any number
        spent.tokens_out += max(row.tokens_out, 0)
        known = row.dollars is not None and spent.dollars is not None
        spent.dollars = spent.dollars + Decimal(row.dollars) if known else None  # type: ignore[operator,arg-type]

    # Each row is in the file when its request is sent: nothing is held back to be written later.
    written = opened(ledger, "ab")
    told: set[str] = set()

    def note(row: Spent) -> None:
        written.write(records.encode(msgspec.structs.replace(row, step=step())))
        written.flush()

    def tell(state: State) -> None:
        run.show(event="traffic", state=state, spent=spent.line(), left=budget.left(spent))
        if state.waiting:
            run.say(event="waiting", line=state.waiting)

    def say(line: str) -> None:
        if line not in told:  # a teacher may be opened once a round
            told.add(line)
            run.say(event="teacher", line=line)

    store = ReplyCache(cache, say)
    asking: list[Cached] = []

    def close() -> None:
        for model in asking:
            model.close(patient=not isinstance(sys.exception(), KeyboardInterrupt))
        run.say(event="spending", line=spent.line())
        store.close()
        written.close()

    return Context(store, budget, spent, note, tell, run.stopping, say, asking.append), close
