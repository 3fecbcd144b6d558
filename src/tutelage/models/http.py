"""Teachers behind an OpenAI-compatible endpoint, through the official SDK."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from tutelage.errors import ModelError
from tutelage.types import Chat, Reply, Sampling


class OpenAICompatible:
    """Asks a chat-completions endpoint, several chats at a time.

    The key is read from the environment variable named by `key` when the first question is asked and is kept nowhere
    else. A call that fails for good becomes a reply with `finish="error"`; a rejected key or an unknown model ends
    the run, because every other call would fail alike.
    """

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        key: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 120.0,
        system: str | None = None,
    ) -> None:
        self.model = name
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.key = key
        self.concurrency = concurrency
        self.timeout = timeout
        self.system = system
        # The identity in every cache key: another endpoint or system prompt is another teacher.
        self.name = f"openai:{name}@{self.base_url or 'api.openai.com'}" + (f"#{system}" if system else "")
        self._client: Any = None

    def client(self) -> Any:
        """The SDK's client, made when first needed."""
        if self._client is None:
            import openai

            key = os.environ.get(self.key)
            if not key and self.base_url is None:
                raise ModelError(f"the teacher openai:{self.model} needs a key in the environment variable {self.key}")
            self._client = openai.OpenAI(
                api_key=key or "none", base_url=self.base_url, timeout=self.timeout, max_retries=4
            )
        return self._client

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield each chat's replies as its last sample arrives."""
        self.client()
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = {pool.submit(self._samples, chat, sampling): index for index, chat in enumerate(chats)}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                for future in futures:
                    future.cancel()

    def _samples(self, chat: Chat, sampling: Sampling) -> list[Reply]:
        # One request a sample: many servers lack `n`, and each sample is its own cache entry anyway.
        return [self._ask(chat, sampling, sampling.seed + sample) for sample in range(sampling.n)]

    def _ask(self, chat: Chat, sampling: Sampling, seed: int) -> Reply:
        import openai

        messages = [{"role": message.role, "content": message.content} for message in chat.messages]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        options: dict[str, Any] = {"stop": list(sampling.stop)} if sampling.stop else {}
        try:
            done = self.client().chat.completions.create(
                model=self.model,
                messages=messages,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_tokens,
                seed=seed,
                **options,
            )
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise ModelError(
                f"{self.name} refuses: HTTP {error.status_code}; check the key, base_url and model name"
            ) from None
        except openai.OpenAIError as error:
            return Reply(text="", finish="error", error=type(error).__name__, model=self.name)
        choice = done.choices[0] if done.choices else None
        usage = done.usage
        return Reply(
            text=(choice.message.content or "") if choice else "",
            finish="error" if choice is None else "length" if choice.finish_reason == "length" else "stop",
            error="no choices in the reply" if choice is None else "",
            tokens_in=usage.prompt_tokens if usage else 0,
            tokens_out=usage.completion_tokens if usage else 0,
            model=done.model or self.name,
        )
