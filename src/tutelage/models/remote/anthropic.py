"""Anthropic's models, by the official SDK (`pip install 'tutelage[anthropic]'`)."""

from collections.abc import Mapping

from tutelage.errors import ModelError
from tutelage.models.remote import received
from tutelage.models.remote.adapting import refusal
from tutelage.models.remote.answers import Answer, Request
from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.endpoint import NO_KEY, Endpoint
from tutelage.models.remote.hiding import Address
from tutelage.models.remote.lanes import SdkClient
from tutelage.models.remote.received import Read
from tutelage.models.remote.usage import TokensSaid, total
from tutelage.types import JsonObject, Reply


class Anthropic(Endpoint):
    """The Messages API."""

    kind, host, package = "anthropic", "api.anthropic.com", "anthropic"
    variable, elsewhere = "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"
    again = frozenset({408, 409})

    def open(self, address: Address) -> SdkClient:
        """The SDK's asynchronous client, its retries off."""
        import anthropic

        from tutelage.models.remote import transport

        return anthropic.AsyncAnthropic(
            api_key=self.servers.secret or NO_KEY,
            base_url=address.url or None,
            timeout=self.limits.timeout,
            max_retries=0,
            http_client=transport.client(address),
        )

    async def send(self, client: SdkClient, request: Request) -> Answer:
        """Ask once; the API takes no seed, so samples differ by chance alone."""
        import anthropic

        drawn, left_out = self.sent(request), self.left_out(request)
        try:
            sent = await client.messages.with_raw_response.create(**self.body(request))
            raw: bytes = await sent.http_response.aread()
        except anthropic.APIStatusError as error:
            said = refusal(str(error.message), error.response.content)
            fault = self.fault(error.status_code, said.message, error.response.headers)
            raise self.adapt(error.status_code, said, drawn) or fault from None
        except anthropic.AnthropicError as error:
            raise self.passing(error) from None
        return self.answer(request, _read(raw, self.name), raw, left_out)

    def used(self, done: Mapping[str, object]) -> TokensSaid:
        """What a message says of tokens."""
        return _used(done)

    def body(self, request: Request) -> JsonObject:
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

    def optional(self, request: Request) -> JsonObject:
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


def _read(raw: bytes, name: str) -> Read:
    done = received.object_in(raw, "message")
    content = done.get("content")
    if not isinstance(content, list):
        raise Fault("passing", "the reply is no message: it has no list of contents")
    finish = received.finish_of(done.get("stop_reason"))
    reply = Reply(
        text=received.text_of(content, ("text",)),
        thinking=received.text_of(content, ("thinking",)),
        finish=finish,
        error="the model refused" if finish == "error" else "",
        model=received.string(done.get("model")) or name,
    )
    return received.read(reply, raw, *_used(done))


def _used(done: Mapping[str, object]) -> TokensSaid:
    """Tokens read and written; what was read from a cache of prompts, or written into one, stands beside the rest."""
    usage = received.inner(done, "usage")
    parts = [usage.get(f"{part}input_tokens") for part in ("", "cache_creation_", "cache_read_")]
    return TokensSaid(total(*parts), usage.get("output_tokens"), parts[2])
