"""Samples of one chat as votes: which answer most of them give, and when more of them cannot change what follows."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tutelage.models.context import Context
from tutelage.types import Chat, Model, Reply, Sampling

_APART = 100_003  # between the seeds of replies of one chat, far beyond the samples of one


class Ballots(NamedTuple):
    """The votes of some replies to a chat. Those that failed or commit to no answer have none; who came first wins a tie."""

    replies: Sequence[Reply]
    answers: Sequence[str | None]  # of each, equal ones alike
    votes: int  # of the answer that most give
    second: int  # of the one that comes after it
    tied: int  # how many answers have as many votes as the first

    @property
    def answer(self) -> str | None:
        """The answer that most give; None where nobody commits to one."""
        return next((one for one in self.answers if one is not None and self.answers.count(one) == self.votes), None)

    @property
    def chosen(self) -> Reply:
        """The first reply that gives it; else the first that did not fail, or the first."""
        said = zip(self.replies, self.answers, strict=True)
        standing = [reply for reply, one in said if one is not None and one == self.answer]
        return next(iter([*standing, *(reply for reply in self.replies if not reply.error)]), self.replies[0])


def ballots_of(chat: Chat, replies: Sequence[Reply], context: Context) -> Ballots:
    """The votes of replies, read and compared as the task does: "1/2" and "0.5" are one answer where it compares values."""
    firsts: list[str] = []
    answers: list[str | None] = []
    for reply in replies:
        one = None if reply.error else context.read(chat, reply.text)
        known = next((first for first in firsts if one is not None and context.same(chat, one, first)), one)
        if known is not None and known not in firsts:
            firsts.append(known)
        answers.append(known)
    ranked = [many for _, many in Counter(one for one in answers if one is not None).most_common()] or [0]
    return Ballots(
        replies, answers, ranked[0], ranked[1] if len(ranked) > 1 else 0, ranked.count(ranked[0]) if ranked[0] else 0
    )


def polled(
    of: Model, chats: Sequence[Chat], sampling: Sampling, more: Callable[[int, Sequence[Reply]], int]
) -> Iterator[tuple[int, Sequence[Reply]]]:
    """Yield each chat's samples once they decide it: at most `sampling.n`, and fewer of a model that can be asked for later ones alone.

    `more(index, replies)` is how many more are needed at the least, 0 where none can change anything.
    """
    if not getattr(of, "counts_samples", False):
        yield from of.answer(chats, sampling)
        return
    have: dict[int, Sequence[Reply]] = {index: [] for index in range(len(chats))}
    while have:
        owed: dict[tuple[int, int], list[int]] = {}  # by how many are there, and how many more are needed
        for index, replies in have.items():
            needed = min(sampling.n - len(replies), max(1, more(index, replies)))
            owed.setdefault((len(replies), needed), []).append(index)
        for (first, needed), indices in sorted(owed.items()):
            asked = of.answer([chats[index] for index in indices], replace(sampling, n=needed, first=first))
            for place, replies in asked:
                index = indices[place]
                known = [*have[index], *replies]
                if len(known) == sampling.n or more(index, known) == 0:
                    del have[index]
                    yield index, known
                else:
                    have[index] = known


def elections(
    of: Model, chats: Sequence[Chat], drawn: Sampling, replies: int, context: Context, more: Callable[[Ballots], int]
) -> Iterator[tuple[int, list[Ballots]]]:
    """Yield each chat with the ballots of so many replies, `drawn.n` samples each: those of reply k are samples k * n to k * n + n - 1.

    `more(ballots)` is how many more samples are needed at the least before they decide.
    """
    every = replace(drawn, n=drawn.n * replies)

    def owed(index: int, samples: Sequence[Reply]) -> int:
        # Of several replies to a chat, each has its own samples, so all of them are drawn.
        return more(ballots_of(chats[index], samples, context)) if replies == 1 else every.n - len(samples)

    for index, samples in polled(of, chats, every, owed):
        size = drawn.n if replies > 1 else len(samples)
        groups = [samples[start : start + size] for start in range(0, len(samples), size)]
        yield index, [ballots_of(chats[index], group, context) for group in groups]


def votes_needed(share: float, samples: int) -> int:
    """How many of some samples a share of them is, rounded up; a hair is no vote."""
    return max(1, math.ceil(share * samples - 1e-6))


def asked_apart(
    of: Model, chats: Sequence[Chat], sampling: Sampling, number: int, more: Callable[[int, Sequence[Reply]], int]
) -> Iterator[tuple[int, Sequence[Reply]]]:
    """`polled` for the reply of a number to each chat: drawn apart from those of other numbers, which came before it or come after."""
    later = [replace(chat, sample=chat.sample + number * sampling.n) for chat in chats]
    yield from polled(of, later, replace(sampling, seed=sampling.seed + number * _APART), more)


def still_open(tally: Ballots, samples: int, needed: int) -> int:
    """How many more samples are needed at the least before it is decided whether so many agree; 0 where it is."""
    left, lacking = samples - len(tally.replies), needed - tally.votes
    if lacking <= 0 and 2 * needed <= samples:
        return left  # another answer may have as many yet, and more
    return 0 if lacking <= 0 or lacking > left else lacking
