"""A local model in vLLM's own engine, for exams on a GPU; needs the extra 'vllm'."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tutelage.errors import ConfigError, MissingPackage, ModelError
from tutelage.models.local import templates, weights
from tutelage.models.local.seeds import seed_of
from tutelage.types import Chat, Finish, JsonObject, Reply, Sampling, TokenScores

_LIKELIEST = 64  # of a token's rivals that an engine tells unless it is asked for more; vLLM's own 20 are fewer than objectives take
_OWN = ("model", "tokenizer", "enable_lora", "max_lora_rank", "seed")
_INSTEAD = {
    "tensor_parallel_size": "it is the option gpus",
    "gpu_memory_utilization": "it is the option memory",
    "max_model_len": "it is the option max_length",
    "dtype": "it is the option dtype",
}


class Vllm:
    """Answers with vLLM: it batches by itself and reads what prompts share once.

    Prompts, stop tokens and seeds are made as `models.hf.Hf` makes them, so that the same student sits the same exam;
    the arithmetic is another, so its answers are not the same to the letter. `memory` is the share of the GPU's memory; `engine`
    holds whatever else vLLM's `LLM` takes. An adapter is served on its base, and is not merged.
    """

    def __init__(
        self,
        name: str,
        dtype: str = "auto",
        gpus: int = 1,
        memory: float = 0.9,
        max_length: int | None = None,
        trust_remote_code: bool = False,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        weights.check_name(name)
        self.source = name
        self._adapter = weights.adapter_of(name)
        self.name = f"vllm:{name}" + ("" if dtype == "auto" else f"?dtype={dtype}")
        self._options: JsonObject = {
            "dtype": dtype,
            "tensor_parallel_size": gpus,
            "gpu_memory_utilization": memory,
            "max_model_len": max_length,
            "trust_remote_code": trust_remote_code,
        }
        taken = [key for key in engine or {} if key in _OWN or key in self._options]
        if taken:
            raise ConfigError(f"vllm:{name}: engine.{taken[0]} is set by us; {_INSTEAD.get(taken[0], 'leave it out')}")
        self._options |= {"enable_prefix_caching": True, "max_logprobs": _LIKELIEST, **(engine or {})}
        self._engine: Any = None

    def engine(self) -> Any:
        """vLLM's engine; loaded at the first call."""
        if self._engine is None:
            package = _package()
            try:
                self._engine = package.LLM(**self._loaded_from(), **self._options)
            except (OSError, ValueError, RuntimeError, TypeError) as error:
                raise ModelError(f"vLLM cannot load {self.source!r}: {str(error).strip().splitlines()[0]}") from error
        return self._engine

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield the replies of each chat in order; the engine answers all of them together."""
        engine, package = self.engine(), _package()
        tokenizer = engine.get_tokenizer()
        templates.prepare(tokenizer)
        stops = templates.stop_ids(tokenizer)
        prompts = [templates.prompt_ids(tokenizer, chat.messages) for chat in chats]
        asked = [(place, sample) for place in range(len(chats)) for sample in range(sampling.n)]
        settings = [
            package.SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k or -1,
                max_tokens=sampling.max_tokens,
                seed=seed_of(chats[place], sampling.seed, sample) % 2**31,
                stop=list(sampling.stop) or None,
                stop_token_ids=sorted(stops),
            )
            for place, sample in asked
        ]
        inputs = [{"prompt_token_ids": prompts[place]} for place, _ in asked]
        done = self._generate(inputs, settings)
        replies = [self._reply(one, len(prompts[place])) for one, (place, _) in zip(done, asked, strict=True)]
        for place in range(len(chats)):
            yield place, replies[place * sampling.n : (place + 1) * sampling.n]

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield `(index, how likely each token of replies[index] is as the answer to chats[index])`, by the prompt's log-probabilities."""
        from tutelage.models.local import scoring

        most = int(self._options["max_logprobs"])
        if most >= 0 and top > most:
            raise ModelError(
                f"{self.name}: the {top} likeliest tokens are asked for, and its engine tells {most}; set engine: {{max_logprobs: {top}}}"
            )
        engine, package = self.engine(), _package()
        tokenizer = engine.get_tokenizer()
        templates.prepare(tokenizer)
        stops = templates.stop_ids(tokenizer)
        rows = [scoring.as_tokens(tokenizer, *pair, stops) for pair in zip(chats, replies, strict=True)]
        # One token is the fewest that an engine writes; nobody reads it.
        settings = package.SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=top)
        done = self._generate([{"prompt_token_ids": row.ids} for row in rows], [settings] * len(rows))
        for place, (row, one) in enumerate(zip(rows, done, strict=True)):
            yield place, _scores(row.ids[-row.most :], one.prompt_logprobs[-row.most :], top)

    def _generate(self, inputs: Sequence[Any], settings: Sequence[Any]) -> Any:
        """The engine's answers, of the adapter where there is one."""
        if self._adapter is None:
            return self.engine().generate(inputs, settings, use_tqdm=False)
        adapter = importlib.import_module("vllm.lora.request").LoRARequest("student", 1, self.source)
        return self.engine().generate(inputs, settings, use_tqdm=False, lora_request=adapter)

    def _loaded_from(self) -> JsonObject:
        """What the engine loads: a model, or an adapter's base with the adapter's own tokenizer, which holds its format."""
        if self._adapter is None:
            return {"model": self.source}
        base, rank = self._adapter
        return {"model": base, "tokenizer": self.source, "enable_lora": True, "max_lora_rank": rank}

    def conditions(self) -> JsonObject:
        """What the rounding of its answers depends on, once it is loaded; which rows share a batch is the engine's own."""
        if self._engine is None:
            return {}
        options = {key: self._options[key] for key in ("dtype", "tensor_parallel_size")}
        return {"engine": f"vllm {getattr(_package(), '__version__', '')}".strip(), **options, "rows": []}

    def _reply(self, done: Any, tokens_in: int) -> Reply:
        written = done.outputs[0]
        return Reply(
            text=written.text.strip(),
            finish=_finish(written),
            tokens_in=tokens_in,
            tokens_out=len(written.token_ids),
            model=weights.public_name(self.source, self.name),
        )


def _scores(tokens: Sequence[int], told: Sequence[Any], top: int) -> TokenScores:
    """An engine's table of each token and its rivals, by rank."""
    likeliest = [
        sorted((one.rank, token, one.logprob) for token, one in place.items() if one.rank <= top) for place in told
    ]
    return TokenScores(
        tokens=tuple(tokens),
        logprobs=tuple(place[token].logprob for token, place in zip(tokens, told, strict=True)),
        top_tokens=tuple(tuple(token for _, token, _ in row) for row in likeliest) if top else (),
        top_logprobs=tuple(tuple(value for *_, value in row) for row in likeliest) if top else (),
    )


def _finish(written: Any) -> Finish:
    """vLLM names the text that stopped an answer; a token that did is the model's own end."""
    if written.finish_reason != "stop":
        return "length"
    return "stop" if isinstance(getattr(written, "stop_reason", None), str) else "eos"


def _package() -> Any:
    try:
        return importlib.import_module("vllm")
    except ImportError:
        raise MissingPackage("vllm", "a model of kind 'vllm'", "'tutelage[vllm]'") from None
