"""A cascade: the student answers what it is sure of, and the teacher is asked where it is not [after FrugalGPT, Chen et al. 2023, arXiv 2305.05176]."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from tutelage.config import cache_folder, expand_path
from tutelage.errors import ConfigError, ModelError, RunError
from tutelage.importing import by_path
from tutelage.models.context import Context
from tutelage.solvers.ballots import Ballots, asked_apart, elections, still_open, votes_needed
from tutelage.solvers.caps import DayCaps
from tutelage.solvers.parts import made_of
from tutelage.types import ALONE, ESCALATED, Chat, JsonObject, Model, Reply, Sampling

_TOGETHER = 8  # questions that are sent on together where dollars are capped
Rule = Callable[[Chat, Sequence[Reply]], object]


class _Unsure(NamedTuple):
    """A reply that is owed to a chat, and for which the second model is to be asked."""

    place: int  # of the chat
    number: int  # of the replies that the chat is owed
    tally: Ballots
    why: str


class Cascade:
    """Asks `first` for `n` samples of each chat, and `then` where fewer than a share `agree` of them give one answer.

    Samples are drawn at `temperature`, one sample greedily. Also asked is `then` where nothing is read from the samples, and where `rule`, a function
    `package.module:NAME` of the chat and the samples, says so (by anything true; a text is the reason). At most `calls_a_day` and
    `dollars_a_day` of it, counted in `ledger`: beyond these, and where `then` fails, the first model's answer stands, and the reply's note
    says so. A reply's confidence is the share of all samples that are known to agree.
    """

    def __init__(
        self,
        first: Model,
        then: Model,
        context: Context,
        n: int = 5,
        agree: float = 0.8,
        temperature: float = 0.7,
        rule: str = "",
        calls_a_day: int | None = None,
        dollars_a_day: float | None = None,
        ledger: str = "",
    ) -> None:
        _check(n, agree, temperature)
        self.first, self.then, self.context = first, then, context
        self.n, self.agree, self.temperature = n, agree, temperature if n > 1 else 0.0
        self.needed = votes_needed(agree, n)
        self.rule: Rule | None = by_path(rule, "rule") if rule else None
        if self.rule is not None and not callable(self.rule):
            raise ConfigError(f"model kind 'cascade': rule {rule!r} is no function of a chat and its samples")
        self.name = f"cascade({first.name}, {then.name}, {self.needed} of {n})"
        self.caps = DayCaps(_ledger(ledger, then.name), calls_a_day, dollars_a_day)
        if self.caps.dollars is not None and (
            unpriced := [one.name for one in _metered(then) if _price_of(one) is None]
        ):
            raise ConfigError(
                f"model kind 'cascade': dollars_a_day cannot be kept, since the price of {unpriced[0]} is not known: give it "
                "price: {input: …, output: …}, or cap calls_a_day"
            )

    @staticmethod
    def times(options: JsonObject) -> dict[str, int]:
        """How often a reply asks each part at the most."""
        samples = options.get("n", 5)
        return {"first": samples if isinstance(samples, int) else 1, "then": 1}

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield each chat's replies when the last of them is decided: what the first model is sure of before anything else."""
        drawn = replace(sampling, n=self.n, temperature=self.temperature)
        given: dict[int, list[Reply | None]] = {}
        unsure: list[_Unsure] = []

        def more(tally: Ballots) -> int:
            return still_open(tally, self.n, self.needed)

        for index, votes in elections(self.first, chats, drawn, sampling.n, self.context, more):
            given[index] = [None] * len(votes)
            for number, tally in enumerate(votes):
                if why := self._why(chats[index], tally):
                    unsure.append(_Unsure(index, number, tally, why))
                else:
                    given[index][number] = self._own(tally)
            if None not in given[index]:
                yield index, [reply for reply in given[index] if reply is not None]
        for one, reply in self._asked(chats, sampling, unsure):
            row = given[one.place]
            row[one.number] = reply
            if None not in row:
                yield one.place, [each for each in row if each is not None]

    def _why(self, chat: Chat, tally: Ballots) -> str:
        """Why the second model is asked; empty where it is not."""
        if all(reply.error for reply in tally.replies):
            # The reason is for whoever runs it: a client that is served reads the note.
            self.context.say(f"{self.first.name} failed, and the second model is asked: {tally.replies[0].error}")
            return "it failed"
        if tally.answer is None:
            return "no answer was read"
        if tally.votes < self.needed:
            return f"{tally.votes} of {len(tally.replies)} samples agree"
        if self.rule is None:
            return ""
        try:
            said = self.rule(chat, tally.replies)
        except Exception as error:  # of the user's own: what it was to keep back must not pass because it is broken
            self.context.say(
                f"the cascade's rule failed, and the second model is asked: {type(error).__name__}: {error}"
            )
            return f"the rule failed: {type(error).__name__}"
        return said if isinstance(said, str) else "the rule says so" if said else ""

    def _own(self, tally: Ballots, note: str = "") -> Reply:
        made = made_of(tally.chosen, [(self.first, reply) for reply in tally.replies])
        return replace(made, confidence=tally.votes / self.n, note=note)

    def _asked(
        self, chats: Sequence[Chat], sampling: Sampling, unsure: Sequence[_Unsure]
    ) -> Iterator[tuple[_Unsure, Reply]]:
        """What the second model says to what the first is unsure of, as far as the day allows."""
        for number, group in groupby(sorted(unsure, key=_number), key=_number):
            owed = list(group)
            # Where dollars are capped, few are asked for together: what each takes is known when it is there.
            size = _TOGETHER if self.caps.dollars is not None else len(owed)
            for start in range(0, len(owed), size):
                going: list[_Unsure] = []
                for one in owed[start : start + size]:
                    if against := self._against():
                        yield one, self._own(one.tally, f"{ALONE}{one.why}; {against}")
                    else:
                        going.append(one)
                if going:
                    yield from self._escalated(chats, replace(sampling, n=1), number, going)

    def _against(self) -> str:
        """What of the day stands against another call; a count that cannot be kept does, too."""
        try:
            return self.caps.take()
        except RunError as error:
            self.context.say(f"{self.then.name} is not asked: {error}")
            return "the day's calls cannot be counted"

    def _escalated(
        self, chats: Sequence[Chat], single: Sampling, number: int, going: Sequence[_Unsure]
    ) -> Iterator[tuple[_Unsure, Reply]]:
        owed = dict(enumerate(going))
        asked = [chats[one.place] for one in going]
        before, told = _spent(self.context), Decimal(0)
        try:
            for place, (reply, *_) in asked_apart(
                self.then, asked, single, number, lambda index, replies: 1 - len(replies)
            ):
                one = owed.pop(place)
                told += Decimal(reply.dollars or 0)
                yield one, self._theirs(one, reply)
        except ModelError as error:
            if not owed:
                raise
            self.context.say(f"{self.then.name} cannot be asked, so {self.first.name} answers alone: {error}")
            for one in owed.values():
                yield one, self._own(one.tally, f"{ALONE}{one.why}; {self.then.name} cannot be asked")
        finally:
            self._charge(len(asked), before, told)

    def _charge(self, asked: int, before: tuple[int, Decimal], told: Decimal) -> None:
        """Count what the day was really charged: of a service that is metered, replies that were stored already cost nothing."""
        if not self.caps.is_set:
            return
        calls, dollars = _spent(self.context)
        try:
            if _metered(self.then):
                self.caps.give_back(max(0, asked - (calls - before[0])))
                self.caps.paid(f"{dollars - before[1]:f}")
            else:
                self.caps.paid(f"{told:f}")
        except RunError as error:
            self.context.say(str(error))

    def _theirs(self, one: _Unsure, reply: Reply) -> Reply:
        tried = [(self.first, each) for each in one.tally.replies]
        if reply.error:
            # The reason is for whoever runs it: a client that is served reads the note.
            self.context.say(f"{self.then.name} failed, so {self.first.name} answers alone: {reply.error}")
            own = made_of(one.tally.chosen, [*tried, (self.then, reply)])
            return replace(own, confidence=one.tally.votes / self.n, note=f"{ALONE}{one.why}; {self.then.name} failed")
        made = made_of(reply, [*tried, (self.then, reply)])
        return replace(made, confidence=one.tally.votes / self.n, note=f"{ESCALATED}{one.why}")


def _spent(context: Context) -> tuple[int, Decimal]:
    """The calls and the dollars of a session so far; what has no known price is none."""
    return context.spent.calls, context.spent.dollars or Decimal(0)


def _metered(model: Model) -> list[Model]:
    """Those of a model and what it is made of that count what they take in the session's account."""
    parts: Sequence[Model] = getattr(model, "parts", ())
    return ([model] if hasattr(model, "endpoint") else []) + [one for part in parts for one in _metered(part)]


def _price_of(model: Any) -> object:
    """What a metered model costs; None where that is not known."""
    endpoint = getattr(model.endpoint, "endpoint", model.endpoint)  # one that is asked by batch holds another
    return endpoint.meter.price


def _number(one: _Unsure) -> int:
    return one.number


def _check(n: Any, agree: Any, temperature: Any) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"model kind 'cascade': n must be a whole number of samples from 1 on, and is {n!r}")
    if isinstance(agree, bool) or not isinstance(agree, int | float) or not 0 < agree <= 1:
        raise ConfigError(
            f"model kind 'cascade': agree must be a share above 0 and at most 1, and is {agree!r}: at 0 nothing, beyond 1 everything would "
            "go to the second model"
        )
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise ConfigError(f"model kind 'cascade': temperature must be from 0 to 2, and is {temperature!r}")
    if n > 1 and temperature == 0:
        raise ConfigError(
            "model kind 'cascade': several samples at temperature 0 are all the same; set one such as 0.7"
        )


def _ledger(given: str, name: str) -> Path:
    if given:
        return expand_path(given)
    return cache_folder() / "cascades" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
