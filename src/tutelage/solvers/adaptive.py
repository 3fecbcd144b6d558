"""From the cheapest to the dearest way to an answer, as far as samples disagree [after Adaptive-Solver, Zhou et al. 2023, arXiv 2310.01446]."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from msgspec.structs import replace

from tutelage.errors import ConfigError
from tutelage.models.context import Context
from tutelage.solvers.ballots import Ballots, asked_apart, ballots_of, still_open, votes_needed
from tutelage.solvers.parts import made_of
from tutelage.types import Chat, JsonObject, Model, Reply, Sampling

_USUAL = ((1, 1.0), (3, 1.0), (5, 0.8), (10, 0.6))  # samples, and the share of them that must agree


class _Owed(NamedTuple):
    """A reply that is owed to a chat, and what the stages so far have said."""

    place: int  # of the chat
    number: int  # of the replies that it is owed
    asked: tuple[tuple[Model, Reply], ...] = ()


class Adaptive:
    """Asks `stages` in turn for `n` samples each, until a share `agree` of a stage's samples end in one answer.

    A stage is any model: another one, or the same in another form (`prompted`). `n` and `agree` are lists with a number a stage, or one number for
    all; by default each stage draws 3 samples and the last one 1, and the share follows the number of samples (3: all, 5: 0.8, 10: 0.6). What the last stage says stands.
    `select`: "last", the answer that most of the last asked stage's samples give, or "most", of all samples of all stages.
    """

    def __init__(
        self,
        stages: Sequence[Model],
        context: Context,
        n: int | Sequence[int] | None = None,
        agree: float | Sequence[float] | None = None,
        temperature: float = 0.7,
        select: Literal["last", "most"] = "last",
    ) -> None:
        if len(stages) < 2:
            raise ConfigError("model kind 'adaptive': it wants two stages or more; one alone is `vote`")
        self.stages, self.context, self.temperature, self.select = list(stages), context, temperature, select
        self.samples = _each("n", n, len(stages)) or [3] * (len(stages) - 1) + [1]
        shares = _each("agree", agree, len(stages)) or [_usual(many) for many in self.samples]
        self.needed = [votes_needed(share, many) for share, many in zip(shares, self.samples, strict=True)]
        self._check(shares)
        told = ", ".join(
            f"{model.name} {need} of {many}"
            for model, need, many in zip(self.stages, self.needed, self.samples, strict=True)
        )
        self.name = f"adaptive({told})"

    def _check(self, shares: Sequence[float]) -> None:
        last = len(self.stages) - 1
        if not 0 <= self.temperature <= 2:
            raise ConfigError(f"model kind 'adaptive': temperature must be from 0 to 2, and is {self.temperature!r}")
        for stage, (many, share, need) in enumerate(zip(self.samples, shares, self.needed, strict=True)):
            if many < 1:
                raise ConfigError(
                    f"model kind 'adaptive': stage {stage + 1} draws {many} samples; it must be at least 1"
                )
            if stage < last and not 0 < share <= 1:
                raise ConfigError(
                    f"model kind 'adaptive': agree of stage {stage + 1} is {share:g}; above 1 it can never stop there, at 0 it always does"
                )
            if stage < last and need < 2:
                raise ConfigError(
                    f"model kind 'adaptive': stage {stage + 1} is content with {need} of {many} samples, which agree with themselves, so that stage "
                    f"{stage + 2} would be asked only where nothing is read; draw more samples, or set agree higher"
                )
            if many > 1 and self.temperature <= 0:
                raise ConfigError(
                    "model kind 'adaptive': several samples at temperature 0 are all the same; set one such as 0.7"
                )

    @staticmethod
    def times(options: JsonObject) -> dict[str, int]:
        """How often a reply asks each stage at the most: as often as the one that is asked most."""
        given = options.get("n", 3)
        counts = [one for one in (given if isinstance(given, list | tuple) else [given]) if isinstance(one, int)]
        return {"stages": max(counts, default=3)}

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield each chat's replies when the last of them is decided."""
        done: dict[int, dict[int, Reply]] = {index: {} for index in range(len(chats))}
        owed = [_Owed(index, number) for index in done for number in range(sampling.n)]
        for stage in range(len(self.stages)):
            left: list[_Owed] = []
            for number, group in groupby(sorted(owed, key=lambda one: one.number), key=lambda one: one.number):
                for one, replies in self._staged(stage, chats, list(group), sampling, number):
                    after = one._replace(asked=(*one.asked, *((self.stages[stage], reply) for reply in replies)))
                    tally = ballots_of(chats[one.place], replies, self.context)
                    if stage < len(self.stages) - 1 and tally.votes < self.needed[stage]:
                        left.append(after)
                        continue
                    done[one.place][number] = self._chosen(chats[one.place], after, tally, stage)
                    if len(done[one.place]) == sampling.n:
                        yield one.place, [done[one.place][at] for at in range(sampling.n)]
            owed = left

    def _staged(
        self, stage: int, chats: Sequence[Chat], owed: Sequence[_Owed], sampling: Sampling, number: int
    ) -> Iterator[tuple[_Owed, Sequence[Reply]]]:
        """A stage's samples for each reply that is owed."""
        many = self.samples[stage]
        temperature = self.temperature if many > 1 else sampling.temperature
        drawn = replace(sampling, n=many, temperature=temperature)

        def more(place: int, replies: Sequence[Reply]) -> int:
            tally = ballots_of(chats[owed[place].place], replies, self.context)
            return still_open(tally, many, self.needed[stage])

        asked = [chats[one.place] for one in owed]
        for place, replies in asked_apart(self.stages[stage], asked, drawn, number, more):
            yield owed[place], replies

    def _chosen(self, chat: Chat, one: _Owed, tally: Ballots, stage: int) -> Reply:
        silent = tally.answer is None and stage > 0  # it says nothing, and what came before it is better
        everything = self.select == "most" or silent
        whole = ballots_of(chat, [reply for _, reply in one.asked], self.context) if everything else tally
        made = made_of(whole.chosen, one.asked)
        samples = len(whole.replies) if everything else self.samples[stage]
        failed = all(reply.error for reply in tally.replies)
        says = f", which {'failed' if failed else 'said no answer'}: of all samples" if silent else ""
        return replace(made, confidence=whole.votes / samples, note=f"stage {stage + 1} of {len(self.stages)}{says}")


def _each(option: str, given: float | Sequence[float] | None, stages: int) -> list:  # type: ignore[type-arg]
    """An option's number a stage."""
    if given is None:
        return []
    if isinstance(given, int | float):
        return [given] * stages
    if len(given) != stages:
        raise ConfigError(
            f"model kind 'adaptive': {option} has {len(given)} numbers for {stages} stages; give one a stage, or one for all"
        )
    return list(given)


def _usual(samples: int) -> float:
    """The share that must agree, by the number of samples [Zhou et al. 2023, the authors' code]."""
    return next((share for most, share in _USUAL if samples <= most), _USUAL[-1][1])
