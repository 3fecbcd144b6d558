"""A model that is a Python function: the public test double, and the way to plug in anything."""

from collections.abc import Callable, Iterator, Sequence

from tutelage.errors import ConfigError
from tutelage.importing import by_path
from tutelage.types import Chat, Finish, Reply, Sampling

Script = Callable[[Chat, int], str]


class Scripted:
    """Answers with `script(chat, sample)`, a function or its import path "package.module:NAME"."""

    def __init__(self, name: str | Script) -> None:
        self.script = _find(name) if isinstance(name, str) else name
        self.name = f"scripted:{name if isinstance(name, str) else getattr(name, '__name__', 'function')}"

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Call the function once a sample; words stand for tokens, and max_tokens cuts as it would."""
        for index, chat in enumerate(chats):
            # The second call of zero-shot-CoT belongs to one sample of the first.
            yield index, [self._reply(chat, chat.sample + i, sampling.max_tokens) for i in range(sampling.n)]

    def _reply(self, chat: Chat, sample: int, max_tokens: int) -> Reply:
        words = self.script(chat, sample).split(" ")
        finish: Finish = "length" if len(words) > max_tokens else "eos"
        text = " ".join(words[:max_tokens])
        return Reply(text=text, finish=finish, tokens_out=min(len(words), max_tokens), model=self.name)


def _find(path: str) -> Script:
    found = by_path(path, "scripted model")
    if not callable(found):
        raise ConfigError(f"scripted:{path} is a {type(found).__name__}, not a function")
    script: Script = found
    return script
