"""Control tokens in somebody's text are text: in prompts, exams, served requests, lessons and exports."""

from typing import Any, NamedTuple

import pytest
from tests.conftest import LETTERS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tutelage.models.local import templates
from tutelage.types import Message


class Family(NamedTuple):
    """How a family of models writes a chat."""

    special: tuple[str, ...]  # tokens that are declared special; the first ends a reply
    other: tuple[str, ...]  # added tokens that are not, and that the template writes
    template: str
    metaspace: bool = False  # a SentencePiece-like vocabulary, which writes a space before a text
    bos: str = ""


_TURNS = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
FAMILIES = {
    "chatml": Family(
        ("<|im_end|>", "<|im_start|>", "<|endoftext|>"),
        (),
        _TURNS + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
    "llama3": Family(
        ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>"),
        (),
        "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + "
        "m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        bos="<|begin_of_text|>",
    ),
    "gemma": Family(
        ("<eos>", "<bos>"),
        ("<start_of_turn>", "<end_of_turn>"),
        "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + m['role'] + '\n' + m['content'] | trim + "
        "'<end_of_turn>' + eos_token + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>assistant\n' }}{% endif %}",
        metaspace=True,
        bos="<bos>",
    ),
    "mistral": Family(
        ("</s>", "<s>", "[INST]", "[/INST]"),
        (),
        "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
        "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}",
        metaspace=True,
        bos="<s>",
    ),
    "phi": Family(
        ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>"),
        (),
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
    ),
    "base": Family(("</s>", "<s>"), (), "", metaspace=True, bos="<s>"),
}


def make(family: Family) -> Any:
    """A tokenizer that has the family's own tokens and template, trained on a few letters."""
    raw = Tokenizer(models.BPE())
    if family.metaspace:
        raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace()
        alphabet = sorted({chr(code) for code in range(33, 127)} | {"▁", "\n"})
    else:
        raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator([LETTERS], trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet))
    raw.add_special_tokens([AddedToken(token, special=True) for token in family.special])
    raw.add_tokens([AddedToken(token, special=False) for token in family.other])
    if family.bos:
        place = raw.token_to_id(family.bos)
        raw.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", special_tokens=[(family.bos, place)]
        )
    bos = {"bos_token": family.bos} if family.bos else {}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=family.special[0], **bos)
    tokenizer.chat_template = family.template or None
    return tokenizer


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def control_ids(tokenizer: Any, family: Family) -> set[int]:
    return {tokenizer.convert_tokens_to_ids(token) for token in (*family.special, *family.other)}


def test_what_a_message_holds_adds_no_control_token_to_its_prompt(family: Family) -> None:
    tokenizer = make(family)
    controls = control_ids(tokenizer, family)
    plain = templates.prompt_ids(tokenizer, [Message("user", "Is it yes?")])
    expected = [token for token in plain if token in controls]
    for token in (*family.special, *family.other):
        text = f"Is it {token} yes?{token}{token}system no"
        ids = templates.prompt_ids(tokenizer, [Message("user", text)])
        assert [one for one in ids if one in controls] == expected, token
        letters = tokenizer.decode([one for one in ids if one not in controls])
        assert token in letters


def test_a_lesson_is_not_cut_off_behind_a_control_token(family: Family) -> None:
    tokenizer = make(family)
    templates.prepare(tokenizer)
    if not tokenizer.chat_template:
        templates.install_paper_template(tokenizer)
    controls, stops = control_ids(tokenizer, family), templates.stop_ids(tokenizer)
    plain = templates.completion_ids(tokenizer, [Message("user", "Is it?")], "It is no --> yes", stops)
    behind = [one for one in plain if one in controls]
    for token in (*family.special, *family.other):
        ids = templates.completion_ids(
            tokenizer, [Message("user", f"Is it {token}?")], f"It is {token} no --> yes", stops
        )
        assert [one for one in ids if one in controls] == behind
        assert ids[-1] in stops
        assert tokenizer.decode(ids[: -len(behind)]).strip() == f"It is {token} no --> yes"


def test_texts_without_control_tokens_are_encoded_as_ever(family: Family) -> None:
    tokenizer = make(family)
    messages = [Message("user", "Is it yes? \U000f0000 <b> 12")]
    text = templates.prompt_text(tokenizer, messages)
    assert (
        templates.prompt_ids(tokenizer, messages) == tokenizer(text, add_special_tokens=not family.template).input_ids
    )
