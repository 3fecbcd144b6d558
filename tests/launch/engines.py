"""Models that answer in ways that a fleet must live with; each is a kind of a user's own that says it computes by itself."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tutelage.errors import ModelError
from tutelage.types import Chat, Reply, Sampling, TokenScores


class Sleepy:
    """Answers what it is asked after so many seconds a sequence, 32 at once at the most."""

    has_weights = True
    name = "sleepy"
    at_once = 64

    def __init__(self, seconds: float = 0.0, folder: str = "", loading: float = 0.0) -> None:
        self.seconds, self.folder = seconds, Path(folder)
        time.sleep(loading if "TUTELAGE_ENGINE" in os.environ else 0)

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        for place, chat in enumerate(chats):
            time.sleep(self.seconds * sampling.n)
            self.meet(chat)
            said = f"{chat.messages[-1].content}/{sampling.seed}"
            yield place, [Reply(text=f"{said}/{sample}", tokens_out=3) for sample in range(sampling.n)]

    def meet(self, chat: Chat) -> None:
        """What a question does to it."""

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        for place, reply in enumerate(replies):
            yield place, TokenScores(tokens=(len(reply),), logprobs=(-1.0,))

    def conditions(self) -> dict[str, object]:
        return {"device": "bed", "rows": []}


class Poisoned(Sleepy):
    """Ends at any question that says so."""

    def meet(self, chat: Chat) -> None:
        if "poison" in chat.messages[-1].content:
            os._exit(3)


class Silent(Sleepy):
    """Falls silent the first time that it meets a question that says so."""

    def meet(self, chat: Chat) -> None:
        mark = self.folder / "silenced"
        if "hush" in chat.messages[-1].content and not mark.exists():
            mark.touch()
            time.sleep(1000)


class Broken(Sleepy):
    """Has a mistake in it."""

    def meet(self, chat: Chat) -> None:
        raise ZeroDivisionError


class Refusing(Sleepy):
    """Cannot hold a long question, which no other engine could either."""

    def meet(self, chat: Chat) -> None:
        if "long" in chat.messages[-1].content:
            raise ModelError(f"question {chat.question!r} has too many tokens")


class Stillborn(Sleepy):
    """Ends before it is ready, but for the process that asks, which only wants its name."""

    def __init__(self) -> None:
        super().__init__()
        if "TUTELAGE_ENGINE" in os.environ:
            print("no room in the inn", flush=True)
            os._exit(4)


class Forking(Sleepy):
    """Has a process of its own, which outlives it unless that is ended, too; and ends at a question that says so."""

    def meet(self, chat: Chat) -> None:
        if "fork" in chat.messages[-1].content and not (self.folder / "forked").exists():
            (self.folder / "forked").touch()
            subprocess.Popen(["sleep", "300"])
            os._exit(5)


class Hanging(Sleepy):
    """Never comes to be ready the first time."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder=folder)
        if "TUTELAGE_ENGINE" in os.environ and not (mark := Path(folder) / "hung").exists():
            mark.touch()
            time.sleep(1000)


class Scoring(Sleepy):
    """Says that texts are impossible, and leaves out what is asked for least."""

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        for place, reply in enumerate(replies):
            if reply != "left out":
                yield place, TokenScores(tokens=(1,), logprobs=(float("-inf"),))
