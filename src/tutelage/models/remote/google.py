"""Google's Gemini models, by the official SDK (`pip install 'tutelage[google]'`)."""

from collections.abc import Mapping
from typing import Any

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


class Google(Endpoint):
    """The Gemini API's generateContent."""

    kind, host, package = "google", "generativelanguage.googleapis.com", "google.genai"
    variable, elsewhere = "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"
    busy, again = frozenset({429, 503}), frozenset({408})

    def open(self, address: Address) -> SdkClient:
        """The SDK's client, with the client below it, which closes itself; it retries nothing unless it is told to."""
        import httpx2
        from google import genai
        from google.genai import types

        from tutelage.models.remote import transport

        below = transport.client(address)
        options: dict[str, Any] = {"httpx_client": httpx2.Client(verify=transport.trust()), "httpx_async_client": below}
        more = {"base_url": address.url} if address.url else {}
        return genai.Client(
            api_key=self.servers.secret or NO_KEY, http_options=types.HttpOptions(**options, **more)
        ), below

    async def shut(self, client: SdkClient) -> None:
        """Close the client's connections."""
        await client[1].aclose()

    async def send(self, client: SdkClient, request: Request) -> Answer:
        """Ask once. The reply is read from its own bytes: what the SDK makes of it is not looked at."""
        from google.genai import types

        from tutelage.models.remote import transport

        (contents, config), drawn, left_out = self.body(request), self.sent(request), self.left_out(request)
        try:
            await client[0].aio.models.generate_content(
                model=self.model, contents=contents, config=types.GenerateContentConfig(**config)
            )
        except Fault:
            raise
        except Exception as error:
            answer = transport.received()
            if not answer.status:
                raise self.passing(error) from None
            if answer.status != 200:
                said = refusal(str(getattr(error, "message", None) or ""), answer.content)
                hopeless = "API key not valid" in said.words
                fault = self.fault(answer.status, said.message, answer.headers, hopeless)
                raise self.adapt(answer.status, said, drawn) or fault from None
        raw = transport.received().content
        return self.answer(request, _read(raw, self.name), raw, left_out)

    def used(self, done: Mapping[str, object]) -> TokensSaid:
        """What an answer says of tokens."""
        return _used(done)

    def body(self, request: Request) -> tuple[list[JsonObject], JsonObject]:
        """Contents and config as the SDK takes them; an assistant is called a model here."""
        sampling, messages = request.sampling, request.chat.messages
        system = "\n\n".join(
            text for text in (self.system, *(m.content for m in messages if m.role == "system")) if text
        )
        contents = [
            {"role": "model" if m.role == "assistant" else "user", "parts": [{"text": m.content}]}
            for m in messages
            if m.role != "system"
        ]
        config = {**self.sent(request), "max_output_tokens": sampling.max_tokens}
        if "stop" in config:
            config["stop_sequences"] = config.pop("stop")
        config |= {"system_instruction": system} if system else {}
        return contents, config

    def optional(self, request: Request) -> JsonObject:
        """What a model may refuse."""
        sampling = request.sampling
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        }


def _read(raw: bytes, name: str) -> Read:
    done = received.object_in(raw, "answer of Gemini's")
    candidates = done.get("candidates")
    candidate = received.first_in(candidates, "candidates") if candidates else {}
    reason = candidate.get("finishReason", "" if candidate else "no candidate")
    parts = received.inner(candidate, "content").get("parts")
    parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    finish = received.finish_of(reason) if candidate else "error"
    reply = Reply(
        text="".join(received.string(part.get("text")) for part in parts if not part.get("thought")),
        thinking="".join(received.string(part.get("text")) for part in parts if part.get("thought")),
        finish=finish,
        error=f"the reply was withheld: {reason}" if finish == "error" else "",
        model=received.string(done.get("modelVersion")) or name,
    )
    return received.read(reply, raw, *_used(done))


def _used(done: Mapping[str, object]) -> TokensSaid:
    """Tokens read and written, what was thought among them."""
    usage = received.inner(done, "usageMetadata")
    written = total(usage.get("candidatesTokenCount"), usage.get("thoughtsTokenCount"))
    return TokensSaid(usage.get("promptTokenCount"), written, usage.get("cachedContentTokenCount"))
