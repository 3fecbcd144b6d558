"""Google's Gemini models, by the official SDK (`pip install 'tutelage[google]'`)."""

from typing import Any

from tutelage.models.endpoint import Answer, Endpoint, Request, answer, redact
from tutelage.models.traffic import Fault
from tutelage.types import Finish, Reply

_WITHHELD = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}


class Google(Endpoint):
    """The Gemini API's generateContent."""

    kind, host, variable, package = "google", "generativelanguage.googleapis.com", "GEMINI_API_KEY", "google.genai"
    busy, again = frozenset({429, 503}), frozenset({408})

    def open(self) -> Any:
        """The SDK's client; it retries nothing unless it is told to."""
        from google import genai

        return genai.Client(api_key=self.secret, http_options={"base_url": self.base_url} if self.base_url else None)

    async def shut(self, client: Any) -> None:
        """Close the client's connections."""
        await client.aio.aclose()

    async def send(self, client: Any, request: Request) -> Answer:
        """Ask once."""
        from google.genai import errors, types

        (contents, config), drawn, left_out = self.body(request), self.sent(request), self.left_out(request)
        try:
            done = await client.aio.models.generate_content(
                model=self.model, contents=contents, config=types.GenerateContentConfig(**config)
            )
        except errors.APIError as error:
            raise self.adapt(error.code, str(error.message), drawn) or self._fault(error) from None
        except (ValueError, OSError) as error:
            raise Fault("passing", redact(f"{type(error).__name__}: {error}", self.secret)) from None
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "aiohttp"):
                raise
            raise Fault("passing", redact(f"{type(error).__name__}: {error}", self.secret)) from None
        reply, raw = _reply(done, self.name), done.model_dump_json(exclude_none=True).encode()
        return answer(request, reply, raw, left_out)

    def body(self, request: Request) -> tuple[list[dict[str, Any]], dict[str, Any]]:
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

    def optional(self, request: Request) -> dict[str, Any]:
        """What a model may refuse."""
        sampling = request.sampling
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
            **({"top_k": sampling.top_k} if sampling.top_k else {}),
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
        }

    def _fault(self, error: Any) -> Fault:
        headers = getattr(error.response, "headers", None) or {}
        return self.fault(error.code, error.message, headers, "API key not valid" in str(error.message))


def _reply(done: Any, name: str) -> Reply:
    candidate = done.candidates[0] if done.candidates else None
    reason = str(getattr(candidate.finish_reason, "name", "") or "") if candidate else "no candidate"
    parts = (candidate.content.parts or []) if candidate and candidate.content else []
    withheld = candidate is None or reason in _WITHHELD
    finish: Finish = "error" if withheld else "length" if reason == "MAX_TOKENS" else "stop"
    usage = done.usage_metadata
    thought = (usage.thoughts_token_count or 0) if usage else 0
    return Reply(
        text="".join(part.text or "" for part in parts if not part.thought),
        thinking="".join(part.text or "" for part in parts if part.thought),
        finish=finish,
        error=f"the reply was withheld: {reason}" if withheld else "",
        tokens_in=(usage.prompt_token_count or 0) if usage else 0,
        tokens_out=((usage.candidates_token_count or 0) + thought) if usage else 0,
        model=done.model_version or name,
    )
