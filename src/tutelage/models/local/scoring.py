"""How likely texts are to a local model, token by token."""

from collections.abc import Iterator, Sequence

import torch
from msgspec.structs import replace

from tutelage.errors import ModelError
from tutelage.models.local import kernels, templates
from tutelage.models.local.pretrained import LanguageModel, Tokenizer
from tutelage.models.local.templates import Prompt
from tutelage.types import Chat, TokenScores

_NUMBERS = 1 << 27  # of logits that one batch may have


def as_tokens(tokenizer: Tokenizer, chat: Chat, reply: str, stops: set[int]) -> Prompt:
    """A chat and a reply to it as one row of tokens, with the one that ends it; `most` counts those of the reply."""
    prompt = templates.prompt_ids(tokenizer, chat.messages)
    if tokenizer.chat_template:
        written = templates.completion_ids(tokenizer, chat.messages, reply, stops)
    else:  # a base model goes on behind a space, as in its exams
        written = [*tokenizer(f" {reply.strip()}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    return Prompt([*prompt, *written], len(written))


@torch.no_grad()  # and no inference mode: of a student in shares the whole weights are kept and trained
def score_rows(
    model: LanguageModel, rows: Sequence[Prompt], at_once: int, top: int = 0
) -> Iterator[tuple[int, TokenScores]]:
    """Yield `(index, scores of a row's last `most` tokens)`, the longest rows first, at most `at_once` in a batch.

    With `top`, too, which tokens are likeliest in the place of each. Raises `ModelError` where the vocabulary has fewer.
    Rows are padded behind their end, which reaches no token of a causal model.
    """
    vocabulary = model.config.get_text_config().vocab_size
    if top > vocabulary:
        raise ModelError(f"the {top} likeliest tokens are asked for, and the model knows {vocabulary}; ask for fewer")
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i].ids))
    while order:
        width = len(rows[order[0]].ids)
        size = max(1, min(at_once, _NUMBERS // (width * vocabulary)))
        part, order = order[:size], order[size:]
        padded = [rows[i].ids + [0] * (width - len(rows[i].ids)) for i in part]
        mask = [[1] * len(rows[i].ids) + [0] * (width - len(rows[i].ids)) for i in part]
        ids_BT = torch.tensor(padded, device=model.device)
        with kernels.sound(model.device):
            out = model(input_ids=ids_BT, attention_mask=torch.tensor(mask, device=model.device), use_cache=False)
        for place, i in enumerate(part):
            end, most = len(rows[i].ids), rows[i].most
            # The logits at column t are of the token at t + 1; in float32, since a sum over the vocabulary is.
            logits_TV = out.logits[place, end - most - 1 : end - 1].float()
            tokens_T = ids_BT[place, end - most : end]
            logprobs_TV = logits_TV.log_softmax(-1)
            logprobs_T = logprobs_TV.gather(-1, tokens_T[:, None])[:, 0]
            found = TokenScores(tokens=tuple(tokens_T.tolist()), logprobs=tuple(logprobs_T.tolist()))
            if top:
                likeliest = logprobs_TV.topk(top, -1)
                found = replace(
                    found,
                    top_tokens=tuple(map(tuple, likeliest.indices.tolist())),
                    top_logprobs=tuple(map(tuple, likeliest.values.tolist())),
                )
            yield i, found
