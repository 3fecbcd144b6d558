"""The offline teacher: a task's own worked solutions, said as replies, and called so."""

import zlib
from collections.abc import Iterator, Sequence

from tutelage.errors import ConfigError
from tutelage.models.context import Context
from tutelage.types import Chat, Reply, Sampling


class Worked:
    """Answers with `context.worked(chat, sample)`, made from a task's worked solutions; other samples word it differently.

    It is no language model: it knows the answer because the task made the question. Its scores say nothing about
    teaching by a real model; it lets the whole loop run with no key and no network.
    """

    def __init__(self, context: Context, name: str = "") -> None:
        if context.worked is None:
            raise ConfigError(
                "the teacher 'worked:' needs a task that brings worked solutions; `tutelage tasks` lists them"
            )
        self.worked = context.worked
        self.name = "worked:"

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield the solutions; a greedy question has one wording, sampled ones differ by sample and seed."""
        for index, chat in enumerate(chats):
            # Which wording comes first differs from question to question, as a sampling model's would.
            offset = sampling.seed + zlib.crc32(chat.question.encode()) if sampling.temperature > 0 else 0
            texts = [self.worked(chat, chat.sample + offset + sample) for sample in range(sampling.n)]
            read = words_of(chat)
            yield (
                index,
                [
                    Reply(text=text, finish="eos", tokens_in=read, tokens_out=len(text.split()), model=self.name)
                    for text in texts
                ],
            )


def words_of(chat: Chat) -> int:
    """The words of a chat, which stand for its tokens where who is asked has none."""
    return sum(len(message.content.split()) for message in chat.messages)
