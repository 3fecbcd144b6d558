"""How a question is put: with its choices, as the published data sets do, and in the forms of the papers."""

import re
import string
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from tutelage.tasks.task import ask_plainly
from tutelage.types import Chat, Form, Message, Question

STEP_BY_STEP = "Let's think step by step."


def lettered(choices: tuple[str, ...]) -> str:
    """List choices as "(A) first, (B) second"; a choice's final period is removed, as the list is no sentence."""
    pairs = zip(string.ascii_uppercase, choices, strict=False)
    return ", ".join(f"({letter}) {re.sub(r'[.]$', '', choice.strip())}" for letter, choice in pairs)


def _ask(question: Question, text: str) -> Chat:
    return Chat(messages=(Message("user", text),), question=question.id, purpose="exam")


def ask_with_choices(question: Question) -> Chat:
    """Ask the stem followed by "Answer choices: (A) .., (B) .."; a question without choices is asked as it stands."""
    if not question.choices:
        return ask_plainly(question)
    return _ask(question, f"{question.text.rstrip()} Answer choices: {lettered(question.choices)}")


def ask_which_is_true(question: Question) -> Chat:
    """Ask as the two BIG-bench sets do: the stem may be half a sentence, and each choice completes it."""
    if not question.choices:
        return ask_plainly(question)
    stem = question.text.rstrip()
    return _ask(question, f"{stem}\nWhich choice is true? Answer choices: {lettered(question.choices)}")


def ask_for_a_box(question: Question) -> Chat:
    """Ask for the final answer in a box, as is usual for mathematics [Lewkowycz et al. 2022; the MATH data set's own form]."""
    return _ask(question, f"{question.text.rstrip()}\nPut your final answer within \\boxed{{}}.")


def taught(chat: Chat) -> Chat:
    """The question alone, as a trained student is asked; its tokenizer knows the format."""
    return chat


def zero_shot(chat: Chat) -> Chat:
    """ "Q: ... A:" [Ho et al. 2022, baseline]."""
    return _with_text(chat, f"Q: {_text(chat)}\n\nA:")


def zero_shot_cot(chat: Chat) -> Chat:
    """The first call of zero-shot-CoT [Kojima et al. 2022; Ho et al. 2022, section 3]."""
    return _with_text(chat, f"Q: {_text(chat)}\nA: {STEP_BY_STEP}", purpose="rationale")


def one_call_cot(kind: str) -> Callable[[Chat], Chat]:
    """Reasoning and answer in one reply: half the calls of zero-shot-CoT, for models that follow instructions."""
    answer = _ANSWERS.get(kind, "the final answer alone")

    def ask(chat: Chat) -> Chat:
        wanted = f'Reason step by step, then end with the sentence "The answer is X." where X is {answer}.'
        return _with_text(chat, f"{_text(chat)}\n\n{wanted}")

    return ask


_ANSWERS = {"choice": "the letter of the right choice", "yes_no": "yes or no", "number": "the number alone"}


def few_shot_cot(exemplars: Sequence[tuple[str, str]]) -> Callable[[Chat], Chat]:
    """Worked examples as earlier turns, then the question [Wei et al. 2022]; `exemplars` are (question, rationale with answer).

    A question that is an example itself is not shown its own solution.
    """

    def ask(chat: Chat) -> Chat:
        turns = [
            message
            for question, rationale in exemplars
            if question != _text(chat)
            for message in (Message("user", f"Q: {question}\nA:"), Message("assistant", rationale))
        ]
        return replace(chat, messages=(*turns, Message("user", f"Q: {_text(chat)}\nA:")))

    return ask


def asker(form: Form, kind: str, exemplars: Sequence[tuple[str, str]] = ()) -> Callable[[Chat], Chat]:
    """What a form makes of a question of a task of this kind (number, choice, …); `exemplars` are few_shot_cot's."""
    plain = {
        "taught": taught,
        "zero_shot": zero_shot,
        "zero_shot_cot": zero_shot_cot,
        "one_call_cot": one_call_cot(kind),
    }
    return plain[form] if form in plain else few_shot_cot(exemplars)


def _text(chat: Chat) -> str:
    return chat.messages[-1].content


def _with_text(chat: Chat, text: str, purpose: str = "exam") -> Chat:
    return replace(chat, messages=(*chat.messages[:-1], Message("user", text)), purpose=purpose)
