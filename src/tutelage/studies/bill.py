"""What a run took, step by step: calls, tokens, words and dollars of its teachers, seconds of its student."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from tutelage.classroom.buying import replies_in
from tutelage.errors import TutelageError
from tutelage.models import PAID
from tutelage.models.opening import price_of
from tutelage.models.specs import identity, leaves, parse
from tutelage.runs.history import SAT, RunHistory, Step
from tutelage.spending import MILLION
from tutelage.types import Attempt, Feedback, JsonObject

_WORDS = {"worked", "recorded"}  # kinds of teachers that have no tokens: their words are counted


class Cost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one step took. Tokens are those of the replies that were used, whoever paid for them, and when."""

    step: str
    kind: str  # rationales, feedback, votes, exam, training, …
    who: str
    round: int = 0
    model: str = ""
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0  # of tokens_in, those that a server read from its own cache of prompts
    dollars: str | None = "0"  # None where the price is not known
    words: bool = False  # tokens are words: the teacher has none
    failed: int = 0  # of the calls
    cut: int = 0
    seconds: float = 0.0
    paid_calls: int = 0  # that this run sent itself, retries included; the rest was kept from before
    paid_tokens: int = 0

    @property
    def taught(self) -> bool:
        """Whether lessons are made of it, so that it is part of what the teaching costs."""
        return self.who == "teacher" and self.kind in ("rationales", "feedback", "votes")

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.tokens_in + self.tokens_out


def bill_of(run: RunHistory) -> list[Cost]:
    """Every finished step of a run with what it took."""
    return [_cost(run, step) for step in run.steps if step.whole]


def _cost(run: RunHistory, step: Step) -> Cost:
    rows: Sequence[Attempt | Feedback] = ()
    asked = step.label.who == "teacher" and step.label.kind in (*SAT, "feedback")
    if asked and step.label.kind == "feedback":
        rows = run.feedback[step.name]
    elif asked:
        rows = next(view.attempts for view in run.exam_views if view.step == step.name)
    calls = sum(replies_in(row) for row in rows)  # zero-shot-CoT asks for the answer in a second call
    paid = [row for row in run.spent if row.step == step.name]
    answering = _leaves(run, step) if asked else []
    return Cost(
        step=step.name,
        kind=step.label.kind,
        who=step.label.who,
        round=step.label.round or 0,
        model=", ".join(dict.fromkeys(row.model for row in rows if row.model)),
        calls=calls,
        tokens_in=sum(row.tokens_in for row in rows),
        tokens_out=sum(row.tokens_out for row in rows),
        tokens_cached=sum(row.tokens_cached for row in rows),
        dollars=_dollars(answering, rows) if rows else "0",
        words=any(spec["kind"] in _WORDS for spec in answering),
        failed=sum(bool(row.error) for row in rows),
        cut=sum(row.truncated for row in rows),
        seconds=step.seconds,
        paid_calls=sum(row.calls for row in paid),
        paid_tokens=sum(row.tokens_in + row.tokens_out for row in paid),
    )


def _leaves(run: RunHistory, step: Step) -> list[JsonObject]:
    """The specs of whoever answered in a step, with the prices that the run's config gives them."""
    model = step.inputs.get("model")
    if not isinstance(model, Mapping) or "kind" not in model:
        return []
    told = run.facts.get("roles")
    given = [run.config.get(role) for role in (told if isinstance(told, list) else ["teacher"])]
    try:
        known = [parse(one) for spec in given for one in (spec if isinstance(spec, list) else [spec]) if one]
        spec = next((one for one in known if identity(one) == model), model)
        return [leaf.spec for leaf in leaves(parse(dict(spec)))]
    except TutelageError:
        return []  # a kind that is not known here


def _dollars(asked: Sequence[JsonObject], rows: Sequence[Attempt | Feedback]) -> str | None:
    """What the replies cost by their models' prices; None where one of them is not known."""
    if asked and all(spec["kind"] not in PAID for spec in asked):
        return "0"
    parts = [part for row in rows if isinstance(row, Attempt) for part in row.parts]
    if parts:
        known = [part.dollars for part in parts]
        return None if None in known else str(sum((Decimal(one) for one in known if one), Decimal()))
    price = price_of(asked[0]) if len(asked) == 1 else None
    if price is None:
        return None
    total = sum((row.tokens_in * price.input + row.tokens_out * price.output for row in rows), Decimal())
    return str(total / (2 if asked[0].get("batch") else 1) / MILLION)
