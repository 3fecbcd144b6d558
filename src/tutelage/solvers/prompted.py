"""One model, asked in another form: what a solver's stages may differ in beside their models."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from tutelage.errors import ConfigError, nearest
from tutelage.solvers.parts import made_of
from tutelage.types import Chat, JsonObject, Message, Model, Reply, Sampling

_ENDS = 'End with the sentence "The answer is X." where X is the final answer alone.'
FORMS = {
    "plain": "",
    "step_by_step": f"Let's think step by step. {_ENDS}",  # Kojima et al. 2022
    "one_call_cot": f"Reason step by step. {_ENDS}",
    # Wang et al. 2023, arXiv 2305.04091
    "plan_and_solve": "Let's first understand the problem and devise a plan to solve the problem. Then, let's carry out the plan and solve "
    f"the problem step by step. {_ENDS}",
    # After Zhou et al. 2022, arXiv 2205.10625, in one call
    "least_to_most": f"First break the problem down into simpler subproblems, then solve them one after the other, each with the answers before it. {_ENDS}",
}


class Prompted:
    """Asks `of` each chat with a form's words behind its last message, or with `suffix` in their place.

    A student that was taught here is asked the question alone, and a teacher beside it in a cascade wants to be told how to end.
    """

    def __init__(self, of: Model, form: str = "one_call_cot", suffix: str = "") -> None:
        if form not in FORMS:
            raise ConfigError(f"model kind 'prompted': unknown form {form!r}; {nearest(form, FORMS)}")
        self.of = of
        self.suffix = suffix or FORMS[form]
        self.name = f"prompted({of.name}, {'suffix' if suffix else form})"

    @staticmethod
    def times(options: JsonObject) -> dict[str, int]:
        """How often a reply asks each part."""
        return {"of": 1}

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield what the model says."""
        for index, replies in self.of.answer([self._asked(chat) for chat in chats], sampling):
            yield index, [made_of(reply, [(self.of, reply)]) for reply in replies]

    def _asked(self, chat: Chat) -> Chat:
        if not self.suffix:
            return chat
        *before, last = chat.messages
        return replace(chat, messages=(*before, Message(last.role, f"{last.content}\n\n{self.suffix}")))
