"""Self-consistency: the answer that most samples of a model give [Wang et al. 2022, arXiv 2203.11171]."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from tutelage.errors import ConfigError
from tutelage.evaluation.metrics import majority
from tutelage.models.context import Context
from tutelage.solvers.parts import made_of
from tutelage.types import Chat, JsonObject, Model, Reply, Sampling


class Vote:
    """Answers each chat with the first of `n` sampled replies whose answer is the one that most of them give.

    Samples are drawn at `temperature` whatever temperature is asked for: greedy ones would all be the same. Answers are read
    and compared as the task does; where no task is known, the line behind "the answer is" is a reply's answer. Replies that commit to no answer have no vote; where none does, the first reply stands. Of answers with equally many votes the one that came first wins.
    """

    def __init__(self, of: Model, context: Context, n: int = 8, temperature: float = 0.7) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 2:
            raise ConfigError(f"model kind 'vote': n must be a whole number of votes, at least 2, and is {n!r}")
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature <= 2:
            raise ConfigError(
                f"model kind 'vote': temperature must be above 0 and at most 2, and is {temperature!r}; greedy votes are all the same"
            )
        self.of = of
        self.n = n
        self.temperature = float(temperature)
        self.context = context
        self.name = f"vote({of.name}, n={n}, temperature={temperature:g})"

    @staticmethod
    def times(options: JsonObject) -> dict[str, int]:
        """How often a reply asks each part at the most, for whoever plans what it costs."""
        votes = options.get("n", 8)
        return {"of": votes if isinstance(votes, int) else 1}

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield each chat's replies when its last vote is in; the votes of reply k are samples k * n to k * n + n - 1."""
        votes = replace(sampling, n=sampling.n * self.n, temperature=self.temperature)
        for index, replies in self.of.answer(chats, votes):
            groups = [replies[start : start + self.n] for start in range(0, len(replies), self.n)]
            yield index, [self._elected(chats[index], group) for group in groups]

    def _elected(self, chat: Chat, replies: Sequence[Reply]) -> Reply:
        said = [None if reply.error else self.context.read(chat, reply.text) for reply in replies]
        answer = majority(self._alike(chat, said))
        standing = (reply for reply, one in zip(replies, said, strict=True) if answer is not None and one == answer)
        unread = (reply for reply in replies if not reply.error)
        chosen = next(standing, None) or next(unread, None) or replies[0]
        return made_of(chosen, [(self.of, reply) for reply in replies])

    def _alike(self, chat: Chat, said: Sequence[str | None]) -> list[str | None]:
        """Each answer by the first one that it equals: "1/2" and "0.5" are one vote's answer where the task compares values."""
        firsts: list[str] = []
        found: list[str | None] = []
        for one in said:
            known = next((first for first in firsts if one is not None and self.context.same(chat, one, first)), one)
            if known is not None and known not in firsts:
                firsts.append(known)
            found.append(known)
        return found
