"""A conversation in the terminal: what has been said, and what a model says next."""

from collections.abc import Generator, Sequence

from msgspec.structs import replace

from tutelage.errors import ModelError
from tutelage.models.local.streaming import Local, stream
from tutelage.printing import visible
from tutelage.types import Chat, Message, Model, Reply, Sampling

AGAIN = 0.7  # the temperature of another sample where the conversation is greedy


class Conversation:
    """Questions and answers in turn; without `turns` each question stands alone."""

    def __init__(self, model: Model, sampling: Sampling, system: str = "", turns: bool = True) -> None:
        self.model = model
        self.sampling = sampling
        self.system = system
        self.turns = turns
        self._said: tuple[Message, ...] = ()
        self._before: tuple[Message, ...] = ()  # what had been said when the last question was asked
        self._asked: Message | None = None
        self._draws = 0

    def new(self) -> None:
        """Forget what has been said."""
        self._said, self._asked, self._draws = (), None, 0

    def ask(self, question: str) -> Generator[str, None, None]:
        """The answer in pieces."""
        if not self.turns:
            self.new()
        self._before, self._asked, self._draws = self._said, Message("user", question), 0
        return self._answer(self.sampling)

    def again(self) -> Generator[str, None, None] | None:
        """Another answer to the last question, instead of the one before; None when nothing has been asked."""
        if self._asked is None:
            return None
        self._said = self._before
        self._draws += 1
        temperature = self.sampling.temperature or AGAIN
        return self._answer(replace(self.sampling, temperature=temperature, seed=self.sampling.seed + self._draws))

    def _answer(self, sampling: Sampling) -> Generator[str, None, None]:
        assert self._asked is not None
        system = (Message("system", self.system),) if self.system else ()
        chat = Chat(messages=(*system, *self._said, self._asked))
        pieces: list[str] = []
        coming = stream(self.model, [chat], self._fitting(chat, sampling))
        try:
            for _, _, piece in coming:
                if isinstance(piece, Reply):
                    if piece.error:
                        yield f"[no answer: {piece.error}]"
                else:
                    pieces.append(piece)
                    yield piece
        finally:
            coming.close()
            self._said = (*self._said, self._asked, Message("assistant", "".join(pieces)))

    def _fitting(self, chat: Chat, sampling: Sampling) -> Sampling:
        if not isinstance(self.model, Local):
            return sampling
        room = self.model.context_left(chat)
        if room < 1:
            raise ModelError("what has been said fills all that the model can hold; /new starts over")
        return replace(sampling, max_tokens=min(sampling.max_tokens, room))


def one_line(pieces: Sequence[str]) -> str:
    """An answer for whoever reads lines."""
    return visible(" ".join("".join(pieces).split("\n")))
