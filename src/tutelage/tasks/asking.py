"""Rendering a question with lettered choices, in the two ways the published data sets do."""

import re
import string

from tutelage.tasks.task import ask_plainly
from tutelage.types import Chat, Message, Question


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
