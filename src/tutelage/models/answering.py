"""What a model answered, held to what it promises: each question once, with as many replies as were asked for."""

from collections.abc import Iterator, Sequence

from tutelage.errors import ModelError
from tutelage.types import Chat, Model, Reply, Sampling


def answers_of(model: Model, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
    """Ask a model, and yield `(index, replies)` as it does; what it leaves out, or says twice, is an error that names the question."""
    owed = set(range(len(chats)))
    for answer in model.answer(chats, sampling):
        index, replies = _checked(model, answer)
        if index not in owed:
            what = (
                "twice" if isinstance(index, int) and 0 <= index < len(chats) else f"with the index {index!r} of none"
            )
            raise ModelError(f"{model.name} answered {what} of {len(chats)} questions; each is answered once")
        if len(replies) != sampling.n:
            name = chats[index].question
            raise ModelError(
                f"{model.name} gave {len(replies)} replies to question {name!r}, and was asked for {sampling.n}"
            )
        owed.remove(index)
        yield index, replies
    if owed:
        name = chats[min(owed)].question
        raise ModelError(f"{model.name} left {len(owed)} of {len(chats)} questions unanswered, {name!r} among them")


def _checked(model: Model, answer: object) -> tuple[int, list[Reply]]:
    """An answer in the form that a model's has."""
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], list | tuple):
        index, replies = answer
        if all(isinstance(reply, Reply) for reply in replies):
            return index, list(replies)
    raise ModelError(f"{model.name} yielded {str(answer)[:80]!r}; answer() yields (index of the chat, a list of Reply)")
