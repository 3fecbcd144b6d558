"""One way to turn chats into tokens, for training, exams and export alike."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from tutelage.errors import ModelError
from tutelage.grading.markers import split_thinking
from tutelage.models.local import control
from tutelage.models.local.pretrained import Tokenizer
from tutelage.types import Message

# The format of Ho et al. (2022) for open models, "{question} ###" -> " {rationale} --> {answer}", as a chat template:
# a base model that is trained here carries it in its tokenizer from then on.
PAPER_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] + ' ###' }}{% endif %}{% endfor %}"
)


# Some templates (Llama's) print today's date into every prompt: exams before and after midnight would not be the same.
# It is the date that Llama's own template falls back to.
_TODAY = datetime(2024, 7, 26)
_DATE = re.compile(r"""\bstrftime_now\(\s*(['"])(.*?)\1\s*\)""")


class Prompt(NamedTuple):
    """What is asked, as tokens, and how many new ones the answer may have."""

    ids: list[int]
    most: int


def _render(tokenizer: Tokenizer, turns: list[dict[str, str]], **options: Any) -> str:
    template = tokenizer.chat_template
    if isinstance(template, str) and "strftime_now" in template:
        options["chat_template"] = _DATE.sub(lambda call: repr(_TODAY.strftime(call[2])), template)
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, **options)
    except Exception as error:  # some know no system message, or want user and assistant in turn; any program may fail
        raise ModelError(f"the model's chat template refuses these messages: {error or type(error).__name__}") from None
    return text


def prepare(tokenizer: Tokenizer) -> None:
    """Make a tokenizer fit for batches: it needs a padding token, and batches are padded on the left."""
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} has no end-of-text token, so a reply could never end"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"


def install_paper_template(tokenizer: Tokenizer) -> None:
    """Give a tokenizer the paper's format as its chat template."""
    begins = tokenizer("x").input_ids[:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + PAPER_TEMPLATE


def prompt_text(tokenizer: Tokenizer, messages: Sequence[Message]) -> str:
    """The text a model continues: by its chat template, or for a base model the contents joined as plain text."""
    if tokenizer.chat_template:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return _render(tokenizer, turns, add_generation_prompt=True)
    text = ""
    for message in messages:
        # A missing space would glue "step by step." to "The"; a trailing one would tokenise unlike the joined text.
        joint = "" if not text else " " if message.role == "assistant" else "\n"
        text += joint + message.content.strip()
    return text


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """The prompt as tokens; a chat template writes its own special tokens, a plain prompt gets the tokenizer's.

    What reads like a special token in a message is its letters: whoever writes a message does not end it.
    """
    return _ids(tokenizer, messages, lambda turns: prompt_text(tokenizer, turns), not tokenizer.chat_template)


def _ids(
    tokenizer: Tokenizer, messages: Sequence[Message], render: Callable[[Sequence[Message]], str], special: bool = False
) -> list[int]:
    if control.first_token(tokenizer, (message.content for message in messages)):
        marked = [Message(message.role, control.mark(tokenizer, message.content)) for message in messages]
        return control.encode_as_text(tokenizer, render(marked), special)
    ids: list[int] = tokenizer(render(messages), add_special_tokens=special).input_ids
    return ids


def stop_ids(tokenizer: Tokenizer, generation_config: object = None) -> set[int]:
    """Every token that ends a reply: end of text, the model's own list, and whatever closes an assistant turn."""
    ids = {tokenizer.eos_token_id}
    listed = getattr(generation_config, "eos_token_id", None)
    ids |= set(listed) if isinstance(listed, list) else {listed} if listed is not None else set()
    if tokenizer.chat_template:
        closing = tokenizer(completion_text(tokenizer, [Message("user", "x")], "x"), add_special_tokens=False).input_ids
        special = [token for token in closing if token in tokenizer.all_special_ids]
        ids |= set(special[:1])
    return ids


def completion_ids(tokenizer: Tokenizer, messages: Sequence[Message], completion: str, stops: set[int]) -> list[int]:
    """The tokens a student learns to write after a prompt: the completion and one stop token.

    Raises `ModelError` when the template writes no stop token behind a reply: a student trained so would never stop.
    """
    answered = [*messages, Message("assistant", completion)]
    ids = _ids(tokenizer, answered, lambda turns: completion_text(tokenizer, turns[:-1], turns[-1].content))
    end = next((place for place, token in enumerate(ids) if token in stops), None)
    if end is None:
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} writes no end token behind a reply, so the student would "
            "never learn to stop; train it with training.template=paper"
        )
    return ids[: end + 1]


def completion_text(tokenizer: Tokenizer, messages: Sequence[Message], completion: str) -> str:
    """All that a template writes behind a prompt when it is answered: what the completion stands in, and what ends it."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    prompt = prompt_text(tokenizer, messages)
    whole = _render(tokenizer, [*turns, {"role": "assistant", "content": completion}])
    if not whole.startswith(prompt):
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} renders a prompt differently once it is answered; "
            "train with training.template=paper"
        )
    thinking = split_thinking(completion)[1]
    if thinking and thinking not in whole:
        raise ModelError(
            f"the chat template of {tokenizer.name_or_path} leaves out what is thought before an answer, so the student would "
            "not learn to think; train with training.template=paper, or leave it out with rationales.thinking=drop"
        )
    return whole[len(prompt) :]
