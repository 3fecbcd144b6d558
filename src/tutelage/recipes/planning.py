"""What a run will ask of its teacher, and what that may cost, before anything is asked."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tutelage.lessons.trial import loss_of
from tutelage.models.opening import price_of
from tutelage.models.remote.prices import Price
from tutelage.models.specs import Leaf, Spec, leaves, parse
from tutelage.recipes.recipe import Expected
from tutelage.recipes.settings import Teaching
from tutelage.spending import MILLION
from tutelage.tasks.asking import asker
from tutelage.tasks.task import Task, subset
from tutelage.types import Attempt, Question

_CHARACTERS = 4  # in a token of English, about; the range of a plan is far wider than this is wrong
_SHORT = 0.15  # share of the longest reply that a short one takes


class Plan(NamedTuple):
    """The calls of a run, and their price in dollars from low to high; None where the price is not known."""

    calls: tuple[Expected, ...]
    dollars: tuple[Decimal, Decimal] | None
    source: str  # of the price
    asks: str = ""  # whom a solver asks for each of them
    named: tuple[str, ...] = ()  # whom each row asks, where not all ask the teacher
    unpriced: str = "this model"

    def lines(self) -> list[str]:
        """The plan as lines for a person."""
        whom = [f" of {name}" for name in self.named] or [""] * len(self.calls)
        rows = [
            f"{row.step}: {row.calls} calls{name}, {_span(row.tokens_in)} tokens in, {_span(row.tokens_out)} tokens out"
            for row, name in zip(self.calls, whom, strict=True)
        ]
        total = sum(row.calls for row in self.calls)
        low, high = (sum(row.tokens_in[side] + row.tokens_out[side] for row in self.calls) for side in (0, 1))
        rows.append(f"in all: {total} calls, {_span((low, high))} tokens")
        rows += [f"each call asks {self.asks}"] if self.asks else []
        if self.dollars is None:
            whose = "the teacher" if self.unpriced == "this model" else "it"
            return [
                *rows,
                f"price: unpriced (the price of {self.unpriced} is not known; give {whose} price: {{input: …, output: …}})",
            ]
        return [*rows, f"price: ${self.dollars[0]:.2f} to ${self.dollars[1]:.2f} ({self.source})"]


def _span(pair: tuple[int, int]) -> str:
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"


def priced(teacher: Spec, calls: Sequence[Expected]) -> Plan:
    """What calls may cost, each row's by whom it asks. Replies that are stored already will cost nothing."""
    own = list(leaves(parse(teacher)))
    asked = [own if row.who is None else list(leaves(parse(row.who))) for row in calls]
    alone = all(row == own for row in asked)
    named = () if alone else tuple(_asks(row) or _named(row[0]) for row in asked)
    plan = Plan(tuple(calls), None, "", _asks(own) if alone else "", named)
    if lost := [_named(one) for row in asked or [own] for one in row if price_of(one.spec) is None]:
        return plan if alone else plan._replace(unpriced=" and ".join(dict.fromkeys(lost)))
    prices = [[(price, one.times) for one in row if (price := price_of(one.spec))] for row in asked]
    paid = [(row, *one) for row, each in zip(calls, prices, strict=True) for one in each]
    low, high = (sum((times * _dollars(price, row, side) for row, price, times in paid), Decimal(0)) for side in (0, 1))
    known = (price_of(one.spec) for row in asked or [own] for one in row)
    sources = dict.fromkeys(price.source for price in known if price)
    return plan._replace(dollars=(low, high), source="; ".join(sources))


def _named(one: Leaf) -> str:
    return f"{one.spec['kind']}:{one.spec.get('name', '')}"


def _asks(asked: Sequence[Leaf]) -> str:
    """Whom a solver asks for each call; empty where no solver is asked."""
    solver = len(asked) > 1 or asked[0].times > 1
    return f"{' and '.join(f'{_named(one)} {_times(one.times)}' for one in asked)}, at the most" if solver else ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _dollars(price: Price, row: Expected, side: int) -> Decimal:
    return (row.tokens_in[side] * price.input + row.tokens_out[side] * price.output) / MILLION


def sampled(teacher: Spec, total: int, attempts: Sequence[Attempt]) -> str:
    """What the `total` first rationales would take, going by a few that were really asked for."""
    each_in, each_out = (
        sum(getattr(a, side) for a in attempts) / len(attempts) for side in ("tokens_in", "tokens_out")
    )
    asked = list(leaves(parse(teacher)))
    # What a solver's parts took is in its attempts already, and only one that holds several can have several prices.
    price = price_of(asked[0].spec) if len(asked) == 1 else None
    dollars = "unpriced"
    if price is not None:
        dollars = f"${total * (Decimal(each_in) * price.input + Decimal(each_out) * price.output) / MILLION:.2f}"
    lost = Counter(loss for attempt in attempts if (loss := loss_of(attempt)))
    shares = ", ".join(f"{lost[reason] / len(attempts):.0%} {reason}" for reason in ("cut off", "failed", "unread"))
    return (
        f"from {len(attempts)} rationales that were asked for: {each_in:.0f} tokens in and {each_out:.0f} out each, so "
        f"{total * each_in:.0f} + {total * each_out:.0f} for the {total} of the first lessons: {dollars}; of them {shares}"
    )


def of_teaching(config: Teaching, task: Task, first: int | None = None) -> list[Expected]:
    """The calls for first lessons, of at most `first` questions, and for the teacher's own exam, by the task's own questions."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    return [
        *aloud("rationales", task, subset(train, first), config.rationales.samples, config),
        *own_exam(config, task),
    ]


def own_exam(config: Teaching, task: Task) -> list[Expected]:
    """The calls for the teacher's own exam, where it stands beside what was taught."""
    if "teacher" not in config.baselines:
        return []
    test = subset(task.load(config.questions.test), config.questions.test_limit)
    return aloud("the teacher's own exam", task, test, config.exam.n, config)


def aloud(step: str, task: Task, questions: Sequence[Question], samples: int, config: Teaching) -> list[Expected]:
    """Reasoning and answer in one call; or a rationale, then its answer with the rationale shown again."""
    settings = config.rationales
    ask = asker(settings.setup(config.exam, config.seed).form, task.kind)
    asked = [ask(task.ask(question)) for question in questions]
    prompt = samples * sum(tokens(chat.messages[-1].content) for chat in asked)
    count, short, most = samples * len(asked), round(settings.max_tokens * _SHORT), settings.max_tokens
    if settings.calls == 1:
        return [Expected(step, count, (prompt, prompt), (count * short, count * most))]
    again = (prompt + count * (short + 8), prompt + count * (most + 8))
    return [
        Expected(f"{step}, reasoning", count, (prompt, prompt), (count * short, count * most)),
        Expected(f"{step}, answers", count, again, (count * 2, count * settings.answer_tokens)),
    ]


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return len(text) // _CHARACTERS + 8
