"""A local model in vLLM's own engine, for exams on a GPU; needs the extra 'vllm'."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.errors import ConfigError, MissingPackage, ModelError
from tutelage.models.local import templates, weights
from tutelage.models.local.seeds import seed_of
from tutelage.types import Chat, Finish, JsonObject, Reply, Sampling


class Vllm:
    """Answers with vLLM: it batches by itself and reads what prompts share once.

    Prompts, stop tokens and seeds are made as `models.hf.Hf` makes them, so that the same student sits the same exam;
    the arithmetic is another, so its answers are not the same to the letter. `memory` is the share of the GPU's memory.
    """

    def __init__(
        self,
        name: str,
        dtype: str = "auto",
        gpus: int = 1,
        memory: float = 0.9,
        max_length: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        weights.check_name(name)
        if weights.is_adapter(name):
            raise ConfigError(f"vllm:{name} is an adapter; merge it first: tutelage export RUN --to FOLDER")
        self.source = name
        self.name = f"vllm:{name}" + ("" if dtype == "auto" else f"?dtype={dtype}")
        self._options = {
            "dtype": dtype,
            "tensor_parallel_size": gpus,
            "gpu_memory_utilization": memory,
            "max_model_len": max_length,
            "trust_remote_code": trust_remote_code,
        }
        self._engine: Any = None

    def engine(self) -> Any:
        """vLLM's engine; loaded at the first call."""
        if self._engine is None:
            package = _package()
            try:
                self._engine = package.LLM(model=self.source, enable_prefix_caching=True, **self._options)
            except (OSError, ValueError, RuntimeError) as error:
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
        done = engine.generate(inputs, settings, use_tqdm=False)
        replies = [self._reply(one, len(prompts[place])) for one, (place, _) in zip(done, asked, strict=True)]
        for place in range(len(chats)):
            yield place, replies[place * sampling.n : (place + 1) * sampling.n]

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
