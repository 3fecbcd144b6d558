"""How undecided a student was: the entropy of its next token over what it wrote, as torch's own distributions have it."""

from pathlib import Path

import pytest
import torch
from torch.distributions import Categorical

from tutelage.models.local import templates, weights
from tutelage.models.local.doubt import Doubt, doubt_of
from tutelage.models.local.hf import Hf
from tutelage.types import Chat, Message, Sampling

TEXTS = ("A coin is heads up.", "Maya flips the coin. Maya flips the coin.", "yes")


@pytest.mark.parametrize("sampling", [Sampling(max_tokens=12), Sampling(max_tokens=9, temperature=1.5, n=2, seed=3)])
def test_nats_of_all_tokens_that_were_written_and_of_no_others(chat_student: Path, sampling: Sampling) -> None:
    model = Hf(str(chat_student), dtype="float32", device="cpu", batch=4)
    chats = [Chat(messages=(Message("user", text),), question=text) for text in TEXTS]
    answers = [reply for _, row in model.answer(chats, sampling) for reply in row]
    nats, tokens = doubt_of(model)
    assert tokens == sum(reply.tokens_out for reply in answers)

    plain, tokenizer = weights.load(str(chat_student), torch.float32, Path())
    expected, counted = 0.0, 0
    stops = templates.stop_ids(tokenizer, plain.generation_config)
    texts = {reply.text for reply in answers}
    for chat in chats:
        prompt = templates.prompt_ids(tokenizer, chat.messages)
        for ids in _written(model, chat, sampling):
            assert tokenizer.decode([one for one in ids if one not in stops], skip_special_tokens=True).strip() in texts
            with torch.no_grad():
                logits = plain(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
            expected += float(Categorical(logits=logits).entropy().sum())
            counted += len(ids)
    assert counted == tokens
    assert nats == pytest.approx(expected, rel=1e-4)


def _written(model: Hf, chat: Chat, sampling: Sampling) -> list[list[int]]:
    """The tokens of a question's samples, from the decoder itself."""
    from tutelage.models.local.seeds import seed_of

    prompts, _ = model._prompts([chat], sampling)
    seeds = [seed_of(chat, sampling.seed, sample) for sample in range(sampling.n)]
    return list(model._decoder(sampling).steps(prompts, seeds))[-1]


def test_it_is_taken_once(chat_student: Path) -> None:
    model = Hf(str(chat_student), dtype="float32", device="cpu")
    chat = Chat(messages=(Message("user", "yes"),), question="1")
    list(model.answer([chat], Sampling(max_tokens=3)))
    assert doubt_of(model)[1] > 0
    assert doubt_of(model) == (0.0, 0)


def test_a_token_that_cannot_be_takes_nothing() -> None:
    doubt = Doubt()
    doubt.note(torch.tensor([[0.0, 0.0, float("-inf")], [9.0, 9.0, 9.0]]), [0])
    assert doubt.take() == (pytest.approx(0.6931472), 1)


def test_a_few_rows_each_time_stand_for_all() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(300, 20, 50)
    doubt, places = Doubt(), [0, 1, 2, 3, 5, 8, 9, 11, 12, 13, 17, 18]
    for step in logits:
        doubt.note(step, places)
    nats, tokens = doubt.take()
    assert tokens == 300 * len(places)
    assert nats == pytest.approx(float(Categorical(logits=logits[:, places]).entropy().sum()), rel=0.02)
