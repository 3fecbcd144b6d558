"""How likely texts are to a local model: the same numbers as one slow pass over each text alone."""

from pathlib import Path

import pytest
import torch

from tutelage.errors import ModelError
from tutelage.models.local import templates
from tutelage.models.local.hf import Hf
from tutelage.types import Chat, Message, Scorer

CHATS = [Chat(messages=(Message("user", text),)) for text in ("Is it heads?", "The coin is heads up. Yes or no?", "x")]
REPLIES = ["The answer is yes.", "no", "It is heads up. The answer is no. " * 3]


def slowly(model: Hf, chat: Chat, reply: str) -> list[float]:
    """The obvious way: one text at a time, in float64, token after token."""
    weights, tokenizer, stops = model.loaded()
    prompt = templates.prompt_ids(tokenizer, chat.messages)
    if tokenizer.chat_template:
        written = templates.completion_ids(tokenizer, chat.messages, reply, stops)
    else:
        written = [*tokenizer(f" {reply.strip()}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    found = []
    for place, token in enumerate(written):
        logits = weights(torch.tensor([[*prompt, *written[:place]]])).logits[0, -1].double()
        found.append(float(logits.log_softmax(-1)[token]))
    return found


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
@pytest.mark.parametrize("batch", [1, 2, None])
def test_scores_are_those_of_each_text_alone(kind: str, batch: int | None, request: pytest.FixtureRequest) -> None:
    model = Hf(str(request.getfixturevalue(kind)), dtype="float32", device="cpu", batch=batch)
    scorer: Scorer = model
    got = dict(scorer.score(CHATS, REPLIES))
    assert sorted(got) == [0, 1, 2]
    for index, (chat, reply) in enumerate(zip(CHATS, REPLIES, strict=True)):
        assert got[index].logprobs == pytest.approx(slowly(model, chat, reply), abs=1e-4)
        assert model.loaded()[1].decode(got[index].tokens, skip_special_tokens=True).strip() == reply.strip()


def test_a_text_that_the_model_cannot_hold_is_an_error(base_student: Path) -> None:
    with pytest.raises(ModelError, match=r"can hold 512 tokens, and a text to be scored has \d+ with its prompt"):
        list(Hf(str(base_student), dtype="float32", device="cpu").score(CHATS[:1], ["yes no " * 600]))
