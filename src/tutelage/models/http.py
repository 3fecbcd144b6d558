"""Any OpenAI-compatible endpoint, by the official SDK; its own retries are off, ours know about each other."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from tutelage.errors import ConfigError
from tutelage.models.endpoint import Answer, Endpoint, Request, answer, redact, split_thinking
from tutelage.models.traffic import Fault
from tutelage.types import Finish, Reply


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


class OpenAICompatible(Endpoint):
    """Chat completions of OpenAI or of any server that speaks its protocol (`base_url`)."""

    kind, host, variable, package = "openai", "api.openai.com", "OPENAI_API_KEY", "openai"

    def __init__(
        self, name: str, base_url: str | None = None, extra: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        super().__init__(name, base_url or os.environ.get("OPENAI_BASE_URL"), **more)
        if not isinstance(extra, Mapping | None):
            raise ConfigError(f"model kind 'openai': extra must hold keys and values, and is {extra!r}")
        self.extra = dict(extra or {})  # fields of the request body that only some servers know
        self.name += f"+{msgspec.json.encode(self.extra, order='deterministic').decode()}" if self.extra else ""
        self._trust: Any = None

    def check(self) -> None:
        """A server of one's own may need no key."""
        if self.base_url is None or self.key_is_named:
            super().check()

    def open(self) -> Any:
        """The SDK's asynchronous client."""
        import httpx2
        import openai

        self._trust = self._trust or httpx2.create_ssl_context()  # reading the certificates is slow, and once is enough
        client = openai.DefaultAsyncHttpx2Client(verify=self._trust, timeout=None)
        key, seconds = self.secret or "none", self.limits.timeout
        return openai.AsyncOpenAI(
            api_key=key, base_url=self.base_url, timeout=seconds, max_retries=0, http_client=client
        )

    async def send(self, client: Any, request: Request) -> Answer:
        """Ask once, and read the reply's own bytes."""
        import openai

        body, left_out = self.body(request), self.left_out(request)
        try:
            # The SDK's own door for any endpoint: its typed one checks the request and builds the reply's objects first,
            # which costs more than all of our own work.
            raw: bytes = await client.post("/chat/completions", body=body, cast_to=bytes)
        except openai.APIStatusError as error:
            raise self._fault(error, body) from None
        except openai.OpenAIError as error:
            raise Fault("passing", redact(f"{type(error).__name__}: {error}", self.secret)) from None
        return answer(request, read_completion(raw, self.name), raw, left_out)

    def open_plain(self) -> Any:
        """The SDK's synchronous client, for the few calls of a batch; here its own retries are as good as ours."""
        import openai

        return openai.OpenAI(
            api_key=self.secret or "none", base_url=self.base_url, timeout=self.limits.timeout, max_retries=5
        )

    def body(self, request: Request) -> dict[str, Any]:
        """The request's JSON."""
        messages = [{"role": message.role, "content": message.content} for message in request.chat.messages]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        return {
            "model": self.model,
            "messages": messages,
            self.adapted.get("max_tokens", "max_tokens"): request.sampling.max_tokens,
            **self.sent(request),
            **self.extra,
        }

    def optional(self, request: Request) -> dict[str, Any]:
        """What a reasoning model may refuse; what the user sets in `extra` is the user's."""
        sampling = request.sampling
        fields = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
        }
        return {field: value for field, value in fields.items() if field not in self.extra}

    def _fault(self, error: Any, body: Mapping[str, Any]) -> Fault:
        said, code = str(error.message), str(getattr(error, "code", None) or "")
        if error.status_code == 400 and "max_completion_tokens" in said and "max_tokens" in body:
            self.adapted = {**self.adapted, "max_tokens": "max_completion_tokens"}  # newer models of OpenAI
            return Fault("mended", redact(said, self.secret))
        sent = body.keys() - self.extra.keys()
        if mended := self.adapt(error.status_code, said, sent, getattr(error, "param", None)):
            return mended
        spent = code in ("insufficient_quota", "billing_hard_limit_reached")
        return self.fault(error.status_code, said, error.response.headers, spent)


_FINISHES: dict[str | None, Finish] = {"length": "length", "content_filter": "error"}


def read_completion(raw: bytes, name: str) -> Reply:
    """A chat completion's bytes as a reply; raises a passing Fault when they are none."""
    try:
        done = msgspec.json.decode(raw, type=_Completion)
    except msgspec.DecodeError as error:
        raise Fault("passing", f"the reply is no chat completion: {error}") from None
    if not done.choices:
        raise Fault("passing", "the reply has no choices")
    choice, usage = done.choices[0], done.usage or _Usage()
    message = choice.message
    text, thinking = split_thinking(message.content or "", message.reasoning_content or message.reasoning)
    finish = _FINISHES.get(choice.finish_reason, "stop")
    return Reply(
        text=text,
        thinking=thinking,
        finish=finish,
        error="the content filter withheld the reply" if finish == "error" else "",
        tokens_in=usage.prompt_tokens or 0,
        tokens_out=usage.completion_tokens or 0,
        model=done.model or name,
    )
