"""What a run will ask of its teacher, and what that may cost, before anything is asked."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from tutelage.exam import asker, taught
from tutelage.lessons.trial import loss_of
from tutelage.models import parse, price_of
from tutelage.models.metered import MILLION
from tutelage.recipes.baselines import Teaching
from tutelage.tasks import subset
from tutelage.tasks.base import Task
from tutelage.types import Attempt, Question

_CHARACTERS = 4  # in a token of English, about; the range of a plan is far wider than this is wrong
_SHORT = 0.15  # share of the longest reply that a short one takes


class Expected(NamedTuple):
    """Calls of one kind: how many, and their tokens if replies are short or as long as allowed."""

    step: str
    calls: int
    tokens_in: tuple[int, int]
    tokens_out: tuple[int, int]


class Plan(NamedTuple):
    """The calls of a run, and their price in dollars from low to high; None where the price is not known."""

    calls: tuple[Expected, ...]
    dollars: tuple[Decimal, Decimal] | None
    source: str  # of the price

    def lines(self) -> list[str]:
        """The plan as lines for a person."""
        rows = [
            f"{row.step}: {row.calls} calls, {_span(row.tokens_in)} tokens in, {_span(row.tokens_out)} tokens out"
            for row in self.calls
        ]
        total = sum(row.calls for row in self.calls)
        low, high = (sum(row.tokens_in[side] + row.tokens_out[side] for row in self.calls) for side in (0, 1))
        rows.append(f"in all: {total} calls, {_span((low, high))} tokens")
        if self.dollars is None:
            return [
                *rows,
                "price: unpriced (the price of this model is not known; give the teacher price: {input: …, output: …})",
            ]
        return [*rows, f"price: ${self.dollars[0]:.2f} to ${self.dollars[1]:.2f} ({self.source})"]


def _span(pair: tuple[int, int]) -> str:
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"


def plan(config: Teaching, task: Task) -> Plan:
    """Count the teacher's calls from the task's own questions. Replies that are stored already will cost nothing."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    test = subset(task.load(config.questions.test), config.questions.test_limit)
    first = subset(train, getattr(config, "first", None))
    rows = _aloud("rationales", task, first, config.rationales.samples, config)
    if "teacher" in config.baselines:
        rows += _aloud("the teacher's own exam", task, test, config.exam.n, config)
    if hasattr(config, "rounds"):
        rows += _rounds(config, task, train)
    spec = parse(config.teacher)
    price = price_of(spec)
    if price is None:
        return Plan(tuple(rows), None, "")
    low, high = (
        sum(
            (row.tokens_in[side] * price.input + row.tokens_out[side] * price.output for row in rows),
            Decimal(0),
        )
        / MILLION
        for side in (0, 1)
    )
    return Plan(tuple(rows), (low, high), price.source)


def sampled(config: Teaching, task: Task, attempts: Sequence[Attempt]) -> str:
    """What the first lessons would take, going by a few questions that were really asked."""
    train = subset(task.load(config.questions.train), config.questions.train_limit)
    total = len(subset(train, getattr(config, "first", None))) * config.rationales.samples
    each_in, each_out = (
        sum(getattr(a, side) for a in attempts) / len(attempts) for side in ("tokens_in", "tokens_out")
    )
    price = price_of(parse(config.teacher))
    dollars = "unpriced"
    if price is not None:
        dollars = f"${total * (Decimal(each_in) * price.input + Decimal(each_out) * price.output) / MILLION:.2f}"
    lost = Counter(loss for attempt in attempts if (loss := loss_of(attempt)))
    shares = ", ".join(f"{lost[reason] / len(attempts):.0%} {reason}" for reason in ("cut off", "failed", "unread"))
    return (
        f"from {len(attempts)} rationales that were asked for: {each_in:.0f} tokens in and {each_out:.0f} out each, so "
        f"{total * each_in:.0f} + {total * each_out:.0f} for the {total} of the first lessons: {dollars}; of them {shares}"
    )


def _aloud(step: str, task: Task, questions: Sequence[Question], samples: int, config: Teaching) -> list[Expected]:
    """Reasoning and answer in one call; or a rationale, then its answer with the rationale shown again."""
    settings = config.rationales
    ask = asker(settings.paper(config.exam, config.seed), task.kind)
    asked = [ask(task.ask(question)) for question in questions]
    prompt = samples * sum(_tokens(chat.messages[-1].content) for chat in asked)
    count, short, most = samples * len(asked), round(settings.max_tokens * _SHORT), settings.max_tokens
    if settings.calls == 1:
        return [Expected(step, count, (prompt, prompt), (count * short, count * most))]
    again = (prompt + count * (short + 8), prompt + count * (most + 8))
    return [
        Expected(f"{step}, reasoning", count, (prompt, prompt), (count * short, count * most)),
        Expected(f"{step}, answers", count, again, (count * 2, count * settings.answer_tokens)),
    ]


def _rounds(config: Any, task: Task, train: Sequence[Question]) -> list[Expected]:
    """Feedback of the later rounds: as many calls as there may be mistakes."""
    settings = config.feedback
    most = min(len(train), config.mistakes.questions or len(train))
    most = min(most, settings.most(config.rationales.calls) or most) * (config.rounds - 1)
    if most == 0:
        return []
    each = sum(_tokens(taught(task.ask(question)).messages[-1].content) for question in train) // len(train)
    if settings.writes == "rationales":
        longest = settings.max_tokens
        calls = config.rationales.calls * settings.rationales * most
        return [
            Expected(
                "further rationales, at the most", calls, (0, calls * (each + longest // 2)), (0, calls * longest // 2)
            )
        ]
    prompt = 400 + each + settings.shown * config.exam.longest()
    rows = [Expected("feedback, at the most", most, (0, most * prompt), (0, most * settings.max_tokens))]
    if settings.practice:
        votes = config.rationales.calls * most * settings.practice * settings.votes
        rows.append(
            Expected(
                "votes on exercises, at the most", votes, (0, votes * each * 3), (0, votes * settings.max_tokens // 2)
            )
        )
    return rows


def _tokens(text: str) -> int:
    return len(text) // _CHARACTERS + 8
