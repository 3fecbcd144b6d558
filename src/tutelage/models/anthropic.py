"""Anthropic's models, by the official SDK (`pip install 'tutelage[anthropic]'`)."""

from typing import Any

import msgspec

from tutelage.errors import ModelError
from tutelage.models.endpoint import Answer, Endpoint, Request, answer, redact
from tutelage.models.traffic import Fault
from tutelage.types import Finish, Reply

_FINISHES: dict[str | None, Finish] = {"max_tokens": "length", "refusal": "error"}


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Completion(msgspec.Struct):
    content: list[_Block]
    model: str = ""
    stop_reason: str | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)


class Anthropic(Endpoint):
    """The Messages API."""

    kind, host, variable, package = "anthropic", "api.anthropic.com", "ANTHROPIC_API_KEY", "anthropic"
    again = frozenset({408, 409})

    def open(self) -> Any:
        """The SDK's asynchronous client, its retries off."""
        import anthropic

        return anthropic.AsyncAnthropic(
            api_key=self.secret, base_url=self.base_url, timeout=self.limits.timeout, max_retries=0
        )

    async def send(self, client: Any, request: Request) -> Answer:
        """Ask once; the API takes no seed, so samples differ by chance alone."""
        import anthropic

        drawn, left_out = self.sent(request), self.left_out(request)
        try:
            sent = await client.messages.with_raw_response.create(**self.body(request))
            raw: bytes = await sent.http_response.aread()
        except anthropic.APIStatusError as error:
            said = str(error.message)
            refusal = self.fault(error.status_code, said, error.response.headers)
            raise self.adapt(error.status_code, said, drawn) or refusal from None
        except anthropic.AnthropicError as error:
            raise Fault("passing", redact(f"{type(error).__name__}: {error}", self.secret)) from None
        try:
            done = msgspec.json.decode(raw, type=_Completion)
        except msgspec.DecodeError as error:
            raise Fault("passing", f"the reply is no message: {error}") from None
        reply = _reply(done)
        return answer(request, reply, raw, left_out)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the SDK takes it; system messages have a field of their own."""
        sampling, messages = request.sampling, request.chat.messages
        system = "\n\n".join(
            text for text in (self.system, *(m.content for m in messages if m.role == "system")) if text
        )
        drawn = self.sent(request)
        stops = drawn.pop("stop", None)
        return {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in messages if m.role != "system"],
            "max_tokens": sampling.max_tokens,
            **({"system": system} if system else {}),
            **({"extra_body": drawn} if drawn else {}),  # not every model takes these: the SDK no longer names them
            **({"stop_sequences": stops} if stops else {}),
        }

    def optional(self, request: Request) -> dict[str, Any]:
        """What newer models refuse, all of it or top_p beside a temperature."""
        sampling = request.sampling
        if sampling.temperature > 1:
            raise ModelError(
                f"temperature {sampling.temperature:g}: Anthropic's models take at most 1; nothing was sent"
            )
        return {
            "temperature": sampling.temperature,
            **({"top_p": sampling.top_p} if sampling.top_p < 1 else {}),
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        }


def _reply(done: _Completion) -> Reply:
    finish = _FINISHES.get(done.stop_reason, "stop")
    return Reply(
        text="".join(block.text for block in done.content if block.type == "text"),
        thinking="".join(block.thinking for block in done.content if block.type == "thinking"),
        finish=finish,
        error="the model refused" if finish == "error" else "",
        tokens_in=done.usage.input_tokens,
        tokens_out=done.usage.output_tokens,
        model=done.model,
    )
