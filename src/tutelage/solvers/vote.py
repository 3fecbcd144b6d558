"""Self-consistency: the answer that most samples of a model give [Wang et al. 2022, arXiv 2203.11171]."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from tutelage.errors import ConfigError
from tutelage.models.context import Context
from tutelage.solvers.ballots import Ballots, elections
from tutelage.solvers.parts import made_of
from tutelage.types import Chat, JsonObject, Model, Reply, Sampling


class Vote:
    """Answers each chat with the first of `n` sampled replies whose answer is the one that most of them give.

    Samples are drawn at `temperature` whatever temperature is asked for: greedy ones would all be the same. Answers are read
    and compared as the task does; where no task is known, the line behind "the answer is" is a reply's answer. Replies that commit to no answer have no vote; where none does, the first reply stands. Of answers with equally many votes the one
    that came first wins, and the reply says that it was a tie. Of a service that is paid no more samples are asked for than can change the outcome.
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
        """Yield each chat's replies when its last vote is in."""
        drawn = replace(sampling, n=self.n, temperature=self.temperature)
        for index, votes in elections(self.of, chats, drawn, sampling.n, self.context, self._open):
            yield index, [self._elected(tally) for tally in votes]

    def _open(self, tally: Ballots) -> int:
        """How many more votes are needed at the least before no other answer can win any more; 0 where none can."""
        left = self.n - len(tally.replies)
        behind = tally.second + left - tally.votes  # by how many another one could still pass it
        # One that ties it later came later, and loses; one that is there already may have come first.
        lost = behind < 0 or (behind == 0 and tally.second == 0)
        return 0 if lost or left == 0 else max(1, -(-behind // 2))

    def _elected(self, tally: Ballots) -> Reply:
        made = made_of(tally.chosen, [(self.of, reply) for reply in tally.replies])
        tied = f"a tie of {tally.tied} answers with {tally.votes} of {len(tally.replies)} votes"
        tie = tied if tally.tied > 1 else ""
        return replace(made, confidence=tally.votes / self.n, note=tie)
