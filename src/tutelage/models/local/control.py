"""Control tokens that stand in somebody's text: they are text there, and the template's own alone are tokens."""

import re
from collections.abc import Iterable

from tutelage.models.local.pretrained import Tokenizer

# A reasoning model writes these itself, so they stay tokens in texts, unless the tokenizer calls them special.
_THOUGHT = ("<think>", "</think>")
_patterns: dict[tuple[str, ...], re.Pattern[str]] = {}


def pattern(tokenizer: Tokenizer) -> re.Pattern[str]:
    """What finds a tokenizer's control tokens in a text: its special ones, and others that its chat template writes."""
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    control = {str(token) for token in tokenizer.all_special_tokens}
    for token in tokenizer.added_tokens_decoder.values():
        # Words that somebody added to the vocabulary, and Gemma's runs of line ends, are ordinary text.
        written = token.content in template and not token.content.isspace() and not token.content.isalnum()
        if token.special or (written and token.content not in _THOUGHT):
            control.add(token.content)
    key = tuple(sorted(control - {""}, key=lambda token: (-len(token), token)))  # the longer one of two wins
    if key not in _patterns:
        _patterns[key] = re.compile("|".join(map(re.escape, key)) or "(?!)")
    return _patterns[key]


def first_token(tokenizer: Tokenizer, texts: Iterable[str]) -> str:
    """The first control token that stands in one of these texts; empty where none does."""
    search = pattern(tokenizer).search
    return next((found[0] for text in texts if (found := search(text))), "")


def mark(tokenizer: Tokenizer, text: str) -> str:
    """The text with invisible marks around what `encode` shall not take for control tokens."""
    from transformers.utils.chat_template_utils import mark_control_tokens

    marked: str = mark_control_tokens(text, pattern(tokenizer))
    return marked


def encode_as_text(tokenizer: Tokenizer, text: str, special: bool) -> list[int]:
    """A rendered text with `mark`ed parts as tokens; `special`: with what the tokenizer writes around any text."""
    from transformers.utils.chat_template_utils import encode_marked_chat

    ids: list[int] = encode_marked_chat(tokenizer, text)
    if not special:
        return ids
    around: list[int] = tokenizer("").input_ids  # a beginning of text, as a rule
    end = [tokenizer.eos_token_id] if around[-1:] == [tokenizer.eos_token_id] and len(around) > 1 else []
    return [*around[: len(around) - len(end)], *ids, *end]
