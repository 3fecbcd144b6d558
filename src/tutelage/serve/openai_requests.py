"""What clients send: chat completion requests as OpenAI defines them, read strictly; every problem has OpenAI's shape."""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from tutelage.errors import nearest
from tutelage.types import Chat, JsonObject, Message, Role, Sampling


class Problem(Exception):
    """A request that is not answered, and why; `param` names the field at fault."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    @property
    def kind(self) -> str:
        """OpenAI's word for whose fault it is."""
        return {429: "requests"}.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    def body(self) -> bytes:
        """The error as OpenAI shapes it."""
        error = {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


class Terms(NamedTuple):
    """What a server is set to."""

    name: str  # what clients call the model
    max_tokens: int = 512  # of a request that gives none
    system: str = ""  # for a request that brings no system message


class ChatRequest(NamedTuple):
    """A request that can be answered."""

    chat: Chat
    sampling: Sampling
    flexible: bool  # it named no max_tokens: what the model can hold is enough
    stream: bool
    usage: bool  # the stream is to end with the tokens used


class _Part(Struct):
    type: str
    text: str = ""


class _Turn(Struct):
    role: str
    content: str | Annotated[list[_Part], Meta(min_length=1)] | None = None
    tool_calls: Any = None
    function_call: Any = None


class _StreamOptions(Struct):
    include_usage: bool = False


Tokens = Annotated[int, Meta(ge=1)]
Stop = Annotated[str, Meta(min_length=1, max_length=1000)]


class _Request(Struct):
    model: str
    messages: Annotated[list[_Turn], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None  # not OpenAI's; others know it, and -1 is off there
    n: Annotated[int, Meta(ge=1, le=32)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: Stop | Annotated[list[Stop], Meta(max_length=16)] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


# Of a message: what clients send back of an answer, or say of who speaks; the prompt does not know it.
_HARMLESS_TURN = {"name", "refusal", "annotations", "reasoning_content"}
_HARMLESS = {
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "parallel_tool_calls",
}  # fmt: skip
# What is not supported, and the values that ask for nothing; null always does.
_NEUTRAL: dict[str, Sequence[object]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": (),
    "verbosity": (),
}
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def read_request(body: bytes, terms: Terms) -> ChatRequest:
    """A request's body as what is asked; raises Problem."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise Problem(400, f"the body must be a JSON object, and is {type(raw).__name__}")
    _check_fields(raw)
    try:
        request = msgspec.convert(raw, _Request)
    except msgspec.ValidationError as error:
        raise _mismatch(str(error)) from None
    check_model(request.model, terms)
    return ChatRequest(
        chat=Chat(messages=_messages(request.messages, terms.system)),
        sampling=_sampling(request, terms),
        flexible=request.max_tokens is None and request.max_completion_tokens is None,
        stream=bool(request.stream),
        usage=request.stream_options is not None and request.stream_options.include_usage,
    )


def check_model(name: str, terms: Terms) -> None:
    """Refuse every name but the served one."""
    if name != terms.name:
        raise Problem(
            404, f"the model {name!r} is not served here; this server has {terms.name!r}", "model", "model_not_found"
        )


def _check_fields(raw: Mapping[str, object]) -> None:
    """Refuse what would be left undone without a word."""
    known = set(_Request.__struct_fields__)
    _check_parts(raw)
    for field, value in raw.items():
        if field in known | _HARMLESS or (field in _NEUTRAL and (value is None or value in _NEUTRAL[field])):
            continue
        if field in _NEUTRAL:
            raise Problem(400, f"{field} is not supported by this server; leave it out", field, "unsupported_parameter")
        hint = nearest(field, known)
        raise Problem(400, f"the request has an unknown field {field!r}; {hint}", field, "unknown_parameter")


def _check_parts(raw: Mapping[str, object]) -> None:
    """The same inside the stream's options, messages and parts of text; null asks for nothing."""
    turns = [(f"messages[{place}]", turn) for place, turn in enumerate(_list(raw.get("messages")))]
    parts = [
        (f"{at}.content[{i}]", part) for at, turn in turns for i, part in enumerate(_list(_dict(turn).get("content")))
    ]
    texts = [(at, part) for at, part in parts if _dict(part).get("type") == "text"]
    checks = [
        (_StreamOptions, {"include_obfuscation"}, [("stream_options", raw.get("stream_options"))]),
        (_Turn, _HARMLESS_TURN, turns),
        (_Part, set[str](), texts),
    ]
    for kind, harmless, places in checks:
        known = set(kind.__struct_fields__)
        for where, value in places:
            for field in (
                name for name, one in _dict(value).items() if one is not None and name not in known | harmless
            ):
                at = f"{where}.{field}"
                raise Problem(400, f"{at} is unknown; {nearest(field, known)}", at, "unknown_parameter")


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dict(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


_AT = re.compile(r"(.*) - at `\$\.?(.*)`$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(\w+)`")


def _mismatch(said: str) -> Problem:
    """msgspec's words as a problem with the field at fault."""
    found = _AT.match(said)
    what, path = found.groups() if found else (said, "")
    if missing := _MISSING.search(what):
        path = f"{path}.{missing[1]}".lstrip(".")
        return Problem(400, f"{path} is missing", path, "missing_required_parameter")
    plain = what.replace("`", "").replace("Expected", "expected")
    return Problem(400, f"{path}: {plain}", path or None, "invalid_value")


def _sampling(request: _Request, terms: Terms) -> Sampling:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    greedy = not request.temperature
    # Two requests with no seed are two draws; a greedy answer needs none, and shares a batch with its like.
    seed = 0 if greedy else random.getrandbits(31) if request.seed is None else request.seed
    return Sampling(
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None or greedy else request.top_p,
        top_k=0 if request.top_k is None or greedy else max(0, request.top_k),
        max_tokens=request.max_completion_tokens or request.max_tokens or terms.max_tokens,
        n=request.n or 1,
        seed=seed,
        stop=tuple(stop),
    )


def _messages(turns: Sequence[_Turn], system: str) -> tuple[Message, ...]:
    messages = tuple(_message(turn, f"messages[{place}]") for place, turn in enumerate(turns))
    if system and all(message.role != "system" for message in messages):
        messages = (Message("system", system), *messages)
    return messages


def _message(turn: _Turn, where: str) -> Message:
    if turn.role not in _ROLES:
        known = ", ".join(_ROLES)
        raise Problem(400, f"{where}.role {turn.role!r} is not supported; known: {known}", f"{where}.role")
    if turn.tool_calls or turn.function_call:
        raise Problem(400, f"{where}.tool_calls: this server knows no tools", f"{where}.tool_calls")
    return Message(_ROLES[turn.role], _text(turn.content, f"{where}.content"))


def _text(content: str | list[_Part] | None, where: str) -> str:
    if content is None:
        raise Problem(400, f"{where} is missing; it must be text", where, "missing_required_parameter")
    if isinstance(content, str):
        return content
    for place, part in enumerate(content):
        if part.type != "text":
            at = f"{where}[{place}].type"
            raise Problem(400, f"{at} {part.type!r} is not supported; only text is", at, "unsupported_value")
    return "\n".join(part.text for part in content)
