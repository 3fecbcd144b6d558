"""Any OpenAI-compatible endpoint, by the official SDK; its own retries are off, ours know about each other."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tutelage import redaction
from tutelage.errors import ConfigError
from tutelage.grading.markers import split_thinking
from tutelage.models.remote import hiding, received
from tutelage.models.remote.adapting import refusal
from tutelage.models.remote.answers import Answer, Request
from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.endpoint import NO_KEY, Endpoint
from tutelage.models.remote.hiding import Address
from tutelage.models.remote.lanes import SdkClient
from tutelage.models.remote.received import Read
from tutelage.models.remote.usage import TokensSaid
from tutelage.types import JsonObject, Reply


class OpenAICompatible(Endpoint):
    """Chat completions of OpenAI or of any server that speaks its protocol (`base_url`)."""

    kind, host, package = "openai", "api.openai.com", "openai"
    variable, elsewhere = "OPENAI_API_KEY", "OPENAI_BASE_URL"

    def __init__(
        self,
        name: str,
        base_url: str | Sequence[str] | None = None,
        extra: Mapping[str, object] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(name, base_url or os.environ.get(self.elsewhere), **more)
        if not isinstance(extra, Mapping | None):
            raise ConfigError(f"model kind 'openai': extra must hold keys and values, and is {extra!r}")
        self.extra = hiding.hide_fields(extra or {})  # fields of the request body that only some servers know
        self.name += f"+{msgspec.json.encode(self.extra, order='deterministic').decode()}" if self.extra else ""

    def check(self) -> None:
        """What is hidden in the extra fields must be known too."""
        self.servers.shown(redaction.reveal, self.extra)
        super().check()

    def open(self, address: Address) -> SdkClient:
        """The SDK's asynchronous client."""
        import openai

        from tutelage.models.remote import transport

        return openai.AsyncOpenAI(http_client=transport.client(address), max_retries=0, **self._doors(address))

    def _doors(self, address: Address) -> dict[str, Any]:
        url = address.url or None
        return {"api_key": self.servers.secret or NO_KEY, "base_url": url, "timeout": self.limits.timeout}

    async def send(self, client: SdkClient, request: Request) -> Answer:
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
            raise self.passing(error) from None
        return self.answer(request, read_completion(raw, self.name), raw, left_out)

    def used(self, done: Mapping[str, object]) -> TokensSaid:
        """What a completion says of tokens."""
        return _used(received.inner(done, "usage"))

    def body(self, request: Request) -> JsonObject:
        """The request's JSON."""
        messages = [{"role": message.role, "content": message.content} for message in request.chat.messages]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        return {
            "model": self.model,
            "messages": messages,
            self.adapted.get("max_tokens", "max_tokens"): request.sampling.max_tokens,
            **self.sent(request),
            **self.servers.shown(redaction.reveal, self.extra),
        }

    def optional(self, request: Request) -> JsonObject:
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

    def _fault(self, error: Any, body: Mapping[str, object]) -> Fault:
        said, code = refusal(str(error.message), error.response.content), str(getattr(error, "code", None) or "")
        if error.status_code == 400 and "max_completion_tokens" in said.words and "max_tokens" in body:
            self.adapted = {**self.adapted, "max_tokens": "max_completion_tokens"}  # newer models of OpenAI
            return Fault("mended", said.message)
        sent = {field: value for field, value in body.items() if field not in self.extra}
        if mended := self.adapt(error.status_code, said, sent):
            return mended
        spent = code in ("insufficient_quota", "billing_hard_limit_reached")
        return self.fault(error.status_code, said.message, error.response.headers, spent)


def read_completion(raw: bytes, name: str) -> Read:
    """A chat completion's bytes as a reply; raises a Fault when they are none."""
    done = received.object_in(raw, "chat completion")
    if not done.get("choices") and done.get("error"):
        raise Fault("passing", f"an error came as a reply: {refusal('', raw[: 1 << 16]).message}")
    choice = received.first_in(done.get("choices"), "choices")
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Fault("passing", "the reply has no message")
    content = message.get("content")
    apart = received.text_of(content, ("thinking", "reasoning")) if isinstance(content, list) else ""
    apart = received.string(message.get("reasoning_content")) or received.string(message.get("reasoning")) or apart
    # Struck before it is cut: no half of a key is known for one.
    text, thinking = split_thinking(redaction.strike(received.text_of(content)), apart)
    finish = received.finish_of(choice.get("finish_reason"))
    if finish == "stop" and "stop_reason" in choice and not isinstance(choice["stop_reason"], str):
        finish = "eos"  # vLLM names the text that stopped it, where one did
    reply = Reply(
        text=text,
        thinking=thinking,
        finish=finish,
        error=f"the reply was withheld: {choice.get('finish_reason')}" if finish == "error" else "",
        model=received.string(done.get("model")) or name,
    )
    return received.read(reply, raw, *_used(received.inner(done, "usage")))


def _used(usage: Mapping[str, object]) -> TokensSaid:
    """The tokens read and written; some servers count what was thought into the total alone."""
    total, read, written = (usage.get(name) for name in ("total_tokens", "prompt_tokens", "completion_tokens"))
    if type(total) is int and type(read) is int and type(written) is int and 0 <= read <= total:
        written = max(written, total - read)
    return TokensSaid(read, written, received.inner(usage, "prompt_tokens_details").get("cached_tokens"))
