"""How a run pays its teachers: the replies this user has paid for, and a ledger of what this run has spent."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec

from tutelage.models import Purse
from tutelage.models.metered import BudgetConfig, Spending, Spent
from tutelage.models.traffic import State
from tutelage.store import records
from tutelage.store.cache import ReplyCache
from tutelage.store.run import Run


def open_purse(run: Run, cache: Path, budget: BudgetConfig, step: Callable[[], str]) -> Purse:
    """The purse of a run, with what its earlier sessions spent; `step()` names the step that asks, for the ledger."""
    ledger = run.path / "calls.jsonl"
    spent = Spending()
    for row in records.recover(ledger, Spent):
        spent.calls += row.calls
        spent.tokens_in += row.tokens_in
        spent.tokens_out += row.tokens_out
        known = row.dollars is not None and spent.dollars is not None
        spent.dollars = spent.dollars + Decimal(row.dollars) if known else None  # type: ignore[operator,arg-type]

    def note(row: Spent) -> None:
        with ledger.open("ab") as file:
            file.write(records.encode(msgspec.structs.replace(row, step=step())))

    def tell(state: State) -> None:
        run.show(event="traffic", state=state, spent=spent.line(), left=budget.left(spent))
        if state.waiting:
            run.say(event="waiting", line=state.waiting)

    return Purse(ReplyCache(cache), budget, spent, note, tell, run.stopping)


def close_purse(run: Run, purse: Purse) -> None:
    """Say what was spent, and let go of the file of replies."""
    if purse.spent:
        run.say(event="spending", line=purse.spent.line())
    cast(ReplyCache, purse.store).close()
