"""Which characters of a completion each of its tokens holds, so that parts of a lesson can be told apart in training."""

from collections.abc import Sequence

from tutelage.errors import ModelError
from tutelage.models.local import control, templates
from tutelage.models.local.pretrained import Tokenizer
from tutelage.types import Lesson, Message

Offsets = list[tuple[int, int]]


def completion_offsets(tokenizer: Tokenizer, lesson: Lesson, ids: Sequence[int]) -> Offsets:
    """For each of the tokens of a lesson's completion the characters it holds: the first, and the one behind its last.

    Tokens of what a template writes around a completion, such as the stop token, hold none: (0, 0).
    """
    text = templates.completion_text(tokenizer, [Message("user", lesson.prompt)], lesson.completion)
    begin = text.find(lesson.completion)
    shift, shown = begin, lesson.completion
    if begin < 0:  # a template may strip what it is given
        shown = lesson.completion.strip()
        begin = text.find(shown)
        shift = begin - (len(lesson.completion) - len(lesson.completion.lstrip()))
    if begin < 0 or not shown:
        raise _unknown(tokenizer, lesson, "its chat template changes what is answered")
    marked = control.first_token(tokenizer, (lesson.prompt, lesson.completion))
    if tokenizer.is_fast and not marked:
        told = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping[: len(ids)]
    else:
        told = _by_decoding(tokenizer, lesson, ids, text)
    # A token with the space before the completion's first word holds that word alone.
    end = begin + len(shown)
    inside = [(max(first, begin) - shift, min(last, end) - shift) for first, last in told]
    return [(first, last) if first < last else (0, 0) for first, last in inside]


def _by_decoding(tokenizer: Tokenizer, lesson: Lesson, ids: Sequence[int], text: str) -> Offsets:
    """The same without the tokenizer's help: each token holds what decoding one more of them adds to the text.

    Exact, or an error: every beginning must decode to a beginning of the text. A character of several tokens belongs to
    the last of them, since it is not there before.
    """
    found: Offsets = []
    for count in range(1, len(ids) + 1):
        told = tokenizer.decode(ids[:count], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        told = told.rstrip("\ufffd")  # how an unfinished character reads
        if not text.startswith(told):
            raise _unknown(tokenizer, lesson, "it does not tell which characters a token holds")
        found.append((found[-1][1] if found else 0, len(told)))
    return found


def _unknown(tokenizer: Tokenizer, lesson: Lesson, why: str) -> ModelError:
    return ModelError(
        f"the tokenizer of {tokenizer.name_or_path} cannot weigh parts of the lesson about {lesson.question!r}: {why}; "
        "choose a training.objective that takes lessons whole, or another student"
    )
