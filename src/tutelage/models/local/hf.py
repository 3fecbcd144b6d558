"""A local Hugging Face model that answers chats in batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tutelage.config import cache_folder
from tutelage.errors import ModelError
from tutelage.models.local import batching, precision, templates, weights
from tutelage.models.local.devices import choose_device, device_name
from tutelage.models.local.doubt import Doubt
from tutelage.models.local.pretrained import LanguageModel, ModelConfig, Tokenizer
from tutelage.models.local.seeds import seed_of
from tutelage.models.local.streaming import Piece, TextStream
from tutelage.models.local.templates import Prompt
from tutelage.surroundings import tells_of_memory
from tutelage.types import Chat, JsonObject, Reply, Sampling, TokenScores


class Hf:
    """Answers with a causal language model through transformers.

    Prompts follow the tokenizer's chat template, or are plain text for a base model. Batches are sorted by length and
    padded on the left; a row that has ended leaves its batch; the samples of one question share one prefill. Every
    sample has a random stream of its own, so it does not depend on what else is in the batch (beyond rounding).
    """

    def __init__(
        self,
        name: str,
        batch: int | None = None,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        cache: str = "",
    ) -> None:
        weights.check_name(name)
        self.source = name
        self.name = f"hf:{name}" + ("" if dtype == "auto" else f"?dtype={dtype}")
        self.batch = batch
        self.dtype = dtype
        self.device = device
        self.trust_remote_code = trust_remote_code
        self.cache = Path(cache) if cache else cache_folder()
        self.sharing = 1  # processes that share the memory of a CPU
        self._loaded: tuple[LanguageModel, Tokenizer, set[int]] | None = None
        self._rows: list[int] = []  # of each batch that was written
        self._outline: tuple[ModelConfig, Tokenizer] | None = None  # its config and tokenizer
        self.way: Any = None  # of reading: what the loaded model can do in a batch
        self.doubt = Doubt()
        self._remarks: list[str] = []
        self._shortened: list[tuple[int, int]] = []  # (tokens wanted, tokens there is room for), a question each

    def loaded(self) -> tuple[LanguageModel, Tokenizer, set[int]]:
        """The model, its tokenizer and its stop tokens; loaded at the first call."""
        if self._loaded is None:
            import torch

            from tutelage.models.local import ability

            device = choose_device(self.device)
            dtype = getattr(torch, precision.choose("decoding", device) if self.dtype == "auto" else self.dtype)
            model, tokenizer = weights.load(self.source, dtype, self.cache, self.trust_remote_code)
            templates.prepare(tokenizer)
            model.to(device).eval()
            self.way = ability.measure(model)
            self._remarks += [f"{self.name}: {line}" for line in ability.said(self.way)]
            self._loaded = model, tokenizer, templates.stop_ids(tokenizer, model.generation_config)
        return self._loaded

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield replies as questions end, batch by batch, longest prompts first (so that what does not fit shows at once)."""
        prompts, rows = self._prompts(chats, sampling)
        self._note_shortened(prompts, sampling)
        owed = _longest_first(prompts)
        while owed:
            part, done = self._together(owed, prompts)[:rows], set[int]()
            self._rows.append(len(part) * sampling.n)
            seeds = [[seed_of(chats[i], sampling.seed, s) for s in range(sampling.n)] for i in part]
            try:
                for place, replies in self._generate([prompts[i] for i in part], seeds, sampling):
                    done.add(part[place])
                    yield part[place], replies
            except (RuntimeError, MemoryError) as error:
                if not tells_of_memory(error):
                    raise
                if rows == 1:
                    raise ModelError(f"{self.name}: not even one question fits into memory: {error}") from None
                rows = rows // 2
            owed = [i for i in owed if i not in done]

    def batches(self, chats: Sequence[Chat], sampling: Sampling, engines: int) -> list[list[int]]:
        """The batches that `answer` makes of chats where so many engines share them, as places among the chats.

        Each engine has as many, as near as may be; for one of them they are those that `answer` makes by itself.
        """
        prompts, rows = self._prompts(chats, sampling, engines)
        owed, found = _longest_first(prompts), list[list[int]]()
        while owed:
            found.append(self._together(owed, prompts)[:rows])
            taken = set(found[-1])
            owed = [i for i in owed if i not in taken]
        return found

    def conditions(self) -> JsonObject:
        """What the rounding of its answers depends on, once it is loaded."""
        if self._loaded is None:
            return {}
        model = self._loaded[0]
        kind = str(model.dtype).removeprefix("torch.")
        return {"device": device_name(model.device), "precision": kind, "rows": list(self._rows)}

    def _together(self, owed: Sequence[int], prompts: Sequence[Prompt]) -> list[int]:
        """The questions that may share the next batch: of one length, where a model cannot tell padding from text."""
        return [i for i in owed if self.way.padded or len(prompts[i].ids) == len(prompts[owed[0]].ids)]

    def context_left(self, chat: Chat) -> int:
        """How many tokens the answer to a chat may have."""
        model, tokenizer, _ = self.loaded()
        return weights.room_of(model.config) - len(templates.prompt_ids(tokenizer, chat.messages))

    def check_room(self, chats: Sequence[Chat], sampling: Sampling, taught: bool = False) -> None:
        """Refuse questions that the model cannot hold, knowing its tokenizer and no weights yet.

        `taught`: they are put to it once it is trained, so a base model knows the paper's format by then.
        """
        self._outline = self._outline or weights.outline(self.source, self.cache, self.trust_remote_code)
        config, tokenizer = self._outline
        template = tokenizer.chat_template
        if taught and not template:
            templates.install_paper_template(tokenizer)
        ids = [templates.prompt_ids(tokenizer, chat.messages) for chat in chats]
        tokenizer.chat_template = template
        for chat, one in zip(chats, ids, strict=True):
            self._prompt(chat, one, sampling, weights.room_of(config))

    def count_tokens(self, text: str) -> int:
        """How many tokens a text is, knowing its tokenizer and no weights yet."""
        self._outline = self._outline or weights.outline(self.source, self.cache, self.trust_remote_code)
        return len(self._outline[1](text, add_special_tokens=False).input_ids)

    def remarks(self) -> list[str]:
        """What a reader of the answers should know of how they were made, once each."""
        said, self._remarks = self._remarks, []
        if self._shortened:
            wanted, most = self._shortened[0][0], sorted(left for _, left in self._shortened)
            span = f"{most[0]}" if most[0] == most[-1] else f"{most[0]} to {most[-1]}"
            said.append(
                f"max_tokens {wanted} -> {span} on {len(most)} questions: what their prompts leave of the "
                f"{weights.room_of(self.loaded()[0].config):,} tokens that {self.name} holds"
            )
        self._shortened = []
        return said

    def stream(
        self, chats: Sequence[Chat], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> Iterator[tuple[int, int, Piece]]:
        """Answer, and yield `(index, sample, text)` while it is written and `(index, sample, reply)` at an answer's end.

        The pieces of an answer, joined, are the text of its reply, which is the one that `answer` gives. `seeds` holds
        one for each chat, instead of the sampling's. Whoever closes the iterator ends the writing.
        """
        prompts, rows = self._prompts(chats, sampling)
        self._note_shortened(prompts, sampling)
        given = seeds if seeds is not None else [sampling.seed] * len(chats)
        owed = list(range(len(chats)))
        while owed:
            part = self._together(owed, prompts)[:rows]
            owed = [i for i in owed if i not in part]
            streams = [seed_of(chats[i], given[i], s) for i in part for s in range(sampling.n)]
            try:
                for row, piece in self._write([prompts[i] for i in part], streams, sampling):
                    yield part[row // sampling.n], row % sampling.n, piece
            except (RuntimeError, MemoryError) as error:
                if not tells_of_memory(error):
                    raise
                raise ModelError(f"{self.name}: {len(streams)} answers do not fit into memory: {error}") from None

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield `(index, how likely each token of replies[index] is as the answer to chats[index])`, the longest first."""
        from tutelage.models.local import scoring

        model, tokenizer, stops = self.loaded()
        rows = [scoring.as_tokens(tokenizer, *pair, stops) for pair in zip(chats, replies, strict=True)]
        longest, room = max((len(row.ids) for row in rows), default=0), weights.room_of(model.config)
        if longest > room:
            raise ModelError(
                f"{self.name} can hold {room} tokens, and a text to be scored has {longest} with its prompt"
            )
        yield from scoring.score_rows(model, rows, self.batch or batching.fitting(model, longest), top)

    def _prompts(self, chats: Sequence[Chat], sampling: Sampling, engines: int = 1) -> tuple[list[Prompt], int]:
        """The prompts as tokens, and how many of them a batch may have."""
        model, tokenizer, _ = self.loaded()
        room = weights.room_of(model.config)
        ids = [templates.prompt_ids(tokenizer, chat.messages) for chat in chats]
        prompts = [self._prompt(chat, one, sampling, room) for chat, one in zip(chats, ids, strict=True)]
        longest = max((len(prompt.ids) + prompt.most for prompt in prompts), default=0)
        rows = max(1, (self.batch or batching.fitting(model, longest, self.sharing)) // sampling.n)
        return prompts, batching.even(
            len(prompts), rows, self.batch is None, engines, max(1, batching.FEWEST // sampling.n)
        )

    def _note_shortened(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        self._shortened += [(sampling.max_tokens, one.most) for one in prompts if one.most < sampling.max_tokens]

    def _prompt(self, chat: Chat, ids: list[int], sampling: Sampling, room: int) -> Prompt:
        new = max(1, min(sampling.max_tokens, room - len(ids))) if sampling.flexible else sampling.max_tokens
        if len(ids) + new > room:
            advice = "show fewer worked examples" if len(chat.messages) > 2 else "lower max_tokens"
            raise ModelError(
                f"question {chat.question!r} has {len(ids)} tokens as a prompt, and with {new} new ones it passes the "
                f"{room} that {self.name} can hold; leave the question out or {advice}"
            )
        return Prompt(ids, new)

    def _generate(
        self, prompts: Sequence[Prompt], seeds: list[list[int]], sampling: Sampling
    ) -> Iterator[tuple[int, list[Reply]]]:
        """One batch: yields each question as soon as its last sample has ended, so that it can be kept."""
        decoder, n = self._decoder(sampling, self.doubt), sampling.n
        owed = set(range(len(prompts)))
        written: list[list[int]] = [[] for _ in range(len(prompts) * n)]
        for step, written in enumerate(decoder.steps(prompts, [seed for row in seeds for seed in row]), 1):
            over = [i for i in sorted(owed) if all(len(tokens) < step for tokens in written[i * n : i * n + n])]
            owed -= set(over)
            for i in over:
                yield i, [self._reply(decoder, tokens, prompts[i].ids) for tokens in written[i * n : i * n + n]]
        for i in sorted(owed):
            yield i, [self._reply(decoder, tokens, prompts[i].ids) for tokens in written[i * n : i * n + n]]

    def _write(self, prompts: Sequence[Prompt], seeds: list[int], sampling: Sampling) -> Iterator[tuple[int, Piece]]:
        """Like `_generate`, one batch, row by row as it is written."""
        decoder = self._decoder(sampling)
        answers = [TextStream(sampling.stop) for _ in seeds]
        for step, written in enumerate(decoder.steps(prompts, seeds), 1):
            for row, tokens in enumerate(written):
                if len(tokens) < step:
                    continue  # it had ended before
                if step < prompts[row // sampling.n].most and not decoder.ended(tokens):
                    if piece := answers[row].more(decoder.raw(tokens)):
                        yield row, piece
                    continue
                reply = self._reply(decoder, tokens, prompts[row // sampling.n].ids)
                if rest := answers[row].rest(reply.text):
                    yield row, rest
                yield row, reply

    def _decoder(self, sampling: Sampling, doubt: Doubt | None = None) -> Any:
        from tutelage.models.local.decoding import Decoder

        return Decoder(*self.loaded(), sampling, self.way, doubt)

    def _reply(self, decoder: Any, tokens: list[int], prompt: list[int]) -> Reply:
        text, stopped = decoder.text(tokens)
        ended = bool(tokens) and tokens[-1] in decoder.stops
        return Reply(
            text=text,
            finish="stop" if stopped else "eos" if ended else "length",
            tokens_in=len(prompt),
            tokens_out=len(tokens),
            model=weights.public_name(self.source, self.name),
        )


def _longest_first(prompts: Sequence[Prompt]) -> list[int]:
    return sorted(range(len(prompts)), key=lambda i: -len(prompts[i].ids))
