"""Which tokens of a lesson hold which characters of it, whatever template and tokenizer stand between."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tutelage.errors import ModelError
from tutelage.models.local import offsets, templates, weights
from tutelage.training.examples import Encoder, Example
from tutelage.types import Lesson

TEXTS = ["First 3 + 4 = 7. Then é 12 / 4 = 3, ✓ so. --> 3", "  spaces around 1 + 1 = 2  ", "1+1=2"]


def encoder_of(folder: Path) -> Encoder:
    _, tokenizer = weights.load(str(folder), torch.float32, Path())
    templates.prepare(tokenizer)
    if not tokenizer.chat_template:
        templates.install_paper_template(tokenizer)
    return Encoder(tokenizer, templates.stop_ids(tokenizer), 512)


def encoded(encoder: Encoder, text: str) -> Example:
    return encoder.example(Lesson(question="q", prompt="What is it?", completion=text, kind="rationale"))


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
@pytest.mark.parametrize("text", TEXTS)
def test_the_tokens_of_a_span_are_its_characters(kind: str, text: str, request: pytest.FixtureRequest) -> None:
    encoder = encoder_of(request.getfixturevalue(kind))
    example = encoded(encoder, text)
    held = offsets.completion_offsets(encoder.tokenizer, example.lesson, example.completion)
    assert len(held) == len(example.completion)
    assert held[-1] == (0, 0)  # the stop token
    for token, (first, last) in zip(example.completion[:-1], held[:-1], strict=True):
        own = encoder.tokenizer.decode([token])
        assert "\ufffd" in own or own.strip() in text[first:last] or own.strip() == ""
    begin = text.index("1")
    chosen = encoder.touched(example, [(begin, begin + 1)])
    assert sum(chosen) == 1
    assert "1" in encoder.tokenizer.decode(
        [token for token, is_in in zip(example.completion, chosen, strict=True) if is_in]
    )
    assert not any(encoder.touched(example, []))
    whole = encoder.touched(example, [(0, len(text))])
    assert not whole[-1]
    assert sum(whole) >= len(whole) - 2  # the paper's format begins with a space of its own


class Slow:
    """A tokenizer that tells no offsets."""

    is_fast = False

    def __init__(self, other: Any) -> None:
        self.other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self.other, name)

    def __call__(self, text: str, **options: Any) -> Any:
        assert "return_offsets_mapping" not in options
        return self.other(text, **options)


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
@pytest.mark.parametrize("text", TEXTS)
def test_a_slow_tokenizer_is_read_by_what_it_decodes(kind: str, text: str, request: pytest.FixtureRequest) -> None:
    encoder = encoder_of(request.getfixturevalue(kind))
    example = encoded(encoder, text)
    slow = Encoder(Slow(encoder.tokenizer), encoder.stops, 512)
    for first in range(len(text)):
        if text[first].isascii() and not text[first].isspace():
            spans = [(first, first + 1)]
            assert slow.touched(example, spans) == encoder.touched(example, spans)


def test_a_lesson_that_holds_a_control_token_is_read_too(chat_student: Path) -> None:
    encoder = encoder_of(chat_student)
    text = "It says <end> and 1 + 1 = 2. --> 2"
    example = encoded(encoder, text)
    begin = text.index("1 +")
    chosen = encoder.touched(example, [(begin, begin + 9)])
    told = encoder.tokenizer.decode([token for token, is_in in zip(example.completion, chosen, strict=True) if is_in])
    assert told.strip() == "1 + 1 = 2"


def test_what_cannot_be_told_is_one_sentence(base_student: Path) -> None:
    encoder = encoder_of(base_student)
    example = encoded(encoder, "1+1=2")
    strange = Slow(SimpleNamespace(**{"name_or_path": "strange", "chat_template": encoder.tokenizer.chat_template}))
    strange.other.decode = lambda ids, **options: "something else"
    strange.other.apply_chat_template = encoder.tokenizer.apply_chat_template
    strange.other.all_special_tokens, strange.other.added_tokens_decoder = [], {}
    with pytest.raises(
        ModelError, match="of strange cannot weigh parts of the lesson about 'q': it does not tell which"
    ):
        offsets.completion_offsets(strange, example.lesson, example.completion)
