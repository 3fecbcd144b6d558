"""What every model of a run shares, however deep it lies in another one: replies, one account, the task's own reading."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from tutelage.grading.answers import grading
from tutelage.grading.markers import after_marker
from tutelage.models.remote.cached import Cached
from tutelage.models.remote.dispatch import State
from tutelage.models.remote.keeping import MemoryStore, ReplyStore
from tutelage.spending import BudgetConfig, Spending
from tutelage.types import Chat, JsonObject, Model, Question, Spent

Solutions = Callable[[Chat, int], str]
Reading = Callable[[Chat, str], str | None]
Comparing = Callable[[Chat, str, str], bool]


def read_plainly(chat: Chat, text: str) -> str | None:
    """The answer in a reply where no task is known: the line behind "the answer is", an arrow, or in a box; None without these."""
    return grading("text")["read"](text, Question(id="", text="", answer="")) if after_marker(text) else None


@dataclass(frozen=True)
class Context:
    """Where replies are kept, what may be spent, who is told, and what is known of the task that is asked about."""

    store: ReplyStore = field(default_factory=MemoryStore)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    spent: Spending = field(default_factory=Spending)  # so far, and goes on counting, for all models together
    note: Callable[[Spent], None] = lambda row: None  # keeps a row for the next session
    tell: Callable[[State], None] = lambda state: None  # how it goes, about once a second
    stopping: Callable[[], bool] = lambda: False
    say: Callable[[str], None] = warnings.warn  # what a user should know of how a model is asked, once
    opened: Callable[[Cached], None] = lambda model: None  # told of each model, which is closed before the store is
    local: Callable[[JsonObject], Model] | None = None  # opens what has weights elsewhere than in this process
    worked: Solutions | None = None  # what the offline teacher says to a chat, where the task brings solutions
    read: Reading = read_plainly  # the answer in a reply to a chat, as the task reads it; None where there is none
    same: Comparing = lambda chat, one, other: (
        one == other
    )  # whether two answers to a chat are one, as the task compares
