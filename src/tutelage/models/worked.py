"""The offline teacher: it recites the task's own worked solutions and says so."""

from collections.abc import Callable, Iterator, Sequence

from tutelage.errors import ConfigError
from tutelage.types import Chat, Reply, Sampling


class Worked:
    """Answers a question about a task with that task's worked solution; different samples word it differently.

    It is no language model: it knows the answer because the task made the question. Its scores say nothing about
    teaching by a real model; it lets the whole loop run with no key and no network.
    """

    def __init__(self, solutions: Callable[[str, int], tuple[str, str]] | None, name: str = "") -> None:
        if solutions is None:
            raise ConfigError(
                "the teacher 'worked:' needs a task that brings worked solutions; `tutelage tasks` lists them"
            )
        self.solutions = solutions
        self.name = "worked:"

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield the worked solution, or for the answer call the answer alone."""
        for index, chat in enumerate(chats):
            # A greedy question has one wording; sampled ones differ by sample.
            replies = []
            for sample in range(sampling.n):
                rationale, answer = self.solutions(chat.question, chat.sample + sample)
                text = f"{answer}." if chat.purpose == "answer" else rationale
                if chat.purpose == "exam":
                    text = f"{rationale} The answer is {answer}."
                replies.append(Reply(text=text, tokens_out=len(text.split()), model=self.name))
            yield index, replies
