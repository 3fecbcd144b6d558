"""How servers say that a model does not take a field: each wording is read, and what is the user's own to hear is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.server import teaching

from tutelage.models.opening import Context, open_model
from tutelage.models.remote.adapting import refusal, refused
from tutelage.runs.replies import ReplyCache
from tutelage.types import Chat, Message, Sampling

SENT = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 0, "stop": ["\nQ:"], "max_tokens": 20}


def openai(message: str, param: str | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None, **more}}


def pydantic(*place: str, wrapped: bool = False) -> Any:
    found = [{"type": "extra_forbidden", "loc": list(place), "msg": "Extra inputs are not permitted", "input": 0}]
    return json.dumps({"detail": found}) if wrapped else found


# Real ones, shortened, some with a field that we send in the place of theirs (SGLang's and the proxy's are put together by
# their forms): of whom, the body, and the field that is to be left out.
REFUSALS: list[tuple[str, Any, str]] = [
    ("OpenAI", openai("Unsupported parameter: 'top_p' is not supported with this model.", "top_p"), "top_p"),
    ("OpenAI", openai("Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.", "temperature", code="unsupported_value"), "temperature"),
    ("OpenAI", openai("Unknown parameter: 'top_k'.", "top_k", code="unknown_parameter"), "top_k"),
    ("OpenAI search", openai("Model incompatible request argument supplied: temperature"), "temperature"),
    ("Azure", openai("Unrecognized request argument supplied: seed"), "seed"),
    ("Azure Mistral", {"detail": pydantic("body", "seed")}, "seed"),
    ("Mistral", {"object": "error", "message": pydantic("body", "seed", wrapped=True), "type": "internal_error_proxy", "param": None, "code": "1000"}, "seed"),
    ("Mistral", {"object": "Error", "message": pydantic("body", "top_k"), "type": "invalid_request_error", "code": 3001}, "top_k"),
    ("Kimi", openai("invalid temperature: only 1 is allowed for this model"), "temperature"),
    ("Kimi", openai("invalid temperature: only 1 is allowed for this model", "temperature"), "temperature"),
    ("Kimi", {"message": "invalid temperature: only 0.6 is allowed for this model", "type": "invalid_request_error"}, "temperature"),
    ("Kimi", openai("invalid top_p: only 0.95 is allowed for this model"), "top_p"),
    ("NIM", {"message": "Validation: 'top_p' is immutable for this model and must be 0.95, got 1", "type": "Bad Request", "code": 400}, "top_p"),
    ("xAI", {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: stop"}, "stop"),
    ("xAI", {"code": "invalid-argument", "error": "Model grok-4 does not support parameter stop."}, "stop"),
    ("Groq", openai("property 'top_k' is unsupported"), "top_k"),
    ("Cerebras", {"message": "body.top_k : property 'body.top_k' is unsupported", "type": "invalid_request_error", "param": "body.top_k", "code": "wrong_api_format"}, "top_k"),
    ("DeepSeek", openai("deepseek-reasoner does not support the parameter `temperature`"), "temperature"),
    ("DeepSeek", openai("deepseek-reasoner does not support the parameter `top_p`"), "top_p"),
    ("LiteLLM", openai("litellm.UnsupportedParamsError: gpt-5 models don't support temperature=0. Only temperature=1 is supported. To drop unsupported params set `litellm.drop_params = True`"), "temperature"),
    ("LiteLLM", openai("litellm.UnsupportedParamsError: anthropic does not support parameters: {'seed': 12345}, for model=claude. To drop these, set `litellm.drop_params=True`"), "seed"),
    ("LiteLLM", openai("litellm.UnsupportedParamsError: ollama does not support parameters: ['top_k'], for model=x."), "top_k"),
    ("LiteLLM", openai('litellm.BadRequestError: BedrockException - {"message":"The model returned the following errors: `temperature` and `top_p` cannot both be specified for this model. Please use only one."}. Received Model Group=x'), "top_p"),
    ("LiteLLM", openai('{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` is deprecated for this model."}}. Received Model Group=x'), "temperature"),
    ("Bedrock", {"message": "This model doesn't support the stopSequences field. Remove stopSequences and try again."}, "stop"),
    ("Bedrock", {"message": "This model doesn't support the temperature field"}, "temperature"),
    ("Bedrock", {"message": "Malformed input request: extraneous key [stop_sequences] is not permitted, please reformat your input"}, "stop"),
    ("Bedrock", {"message": "The model returned the following errors: seed: Extra inputs are not permitted"}, "seed"),
    ("Gemini", [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.', "status": "INVALID_ARGUMENT"}}], "seed"),
    ("Gemini", [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "reasoning": Cannot find field.\nInvalid JSON payload received. Unknown name "top_k": Cannot find field.'}}], "top_k"),
    ("OpenRouter", openai("Provider returned error", code=400, metadata={"raw": json.dumps(openai("Unsupported parameter: 'temperature' is not supported with this model.", "temperature")), "provider_name": "OpenAI"}), "temperature"),
    ("OpenRouter", openai("Provider returned error", code=400, metadata={"raw": '{"code":"x","error":"Argument not supported on this model: stop"}'}), "stop"),
    ("Fireworks", openai("Extra inputs are not permitted, field: 'seed', value: 0"), "seed"),
    ("vLLM", {"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted', 'input': 0}]", "type": "BadRequestError", "param": None, "code": 400}, "seed"),
    ("vLLM on TPU", {"object": "error", "message": "Torch XLA does not support per-request seed.", "type": "BadRequestError", "param": None, "code": 400}, "seed"),
    ("SGLang", {"object": "error", "message": "1 validation error: top_k: Extra inputs are not permitted", "type": "BadRequest", "param": None, "code": 400}, "top_k"),
    ("candle-vllm", {"message": "top_p must be 1 when using greedy sampling (no temperature specified)"}, "top_p"),
    ("Anthropic", {"type": "error", "error": {"type": "invalid_request_error", "message": "`temperature` may only be set to 1 when thinking is enabled."}}, "temperature"),
    ("Anthropic", {"type": "error", "error": {"type": "invalid_request_error", "message": "`top_p` must be unset when thinking is enabled."}}, "top_p"),
    ("a proxy", "temperature is not supported by this model", "temperature"),
    # What is said to the user, whose own number or prompt it is.
    ("OpenAI", openai("Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.", "temperature", code="decimal_above_max_value"), ""),
    ("OpenAI", openai("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.", "stop"), ""),
    ("OpenAI", openai("Unsupported value: 'messages[0].role' does not support 'developer' with this model.", "messages[0].role"), ""),
    ("OpenAI", openai("This model's maximum context length is 4096 tokens", "messages", code="context_length_exceeded"), ""),
    ("Groq", openai("len(stop) > 4 is not supported"), ""),
    ("Groq", openai("'temperature' : value must be a number"), ""),
    ("llama.cpp", {"error": {"code": 400, "message": "Field 'temperature': type must be number", "type": "invalid_request_error"}}, ""),
    ("vLLM", {"object": "error", "message": "temperature must be non-negative, got -1.0.", "type": "BadRequestError", "code": 400}, ""),
    ("SGLang", {"object": "error", "message": "top_p must be in (0, 1], got 1.5.", "type": "BadRequest", "code": 400}, ""),
    ("TGI", {"error": "Input validation error: `temperature` must be strictly positive", "error_type": "validation"}, ""),
    ("TGI", {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0", "error_type": "validation"}, ""),
    ("GigaChat", {"status": 422, "message": "Invalid params: temperature must be in range (0, +inf)"}, ""),
    ("Ollama", openai("model 'qwen' not found"), ""),
    ("a filter", openai("The model was asked to stop: unsupported content in the prompt"), ""),
    ("a filter", openai("Your prompt holds an unsupported request to stop the seed"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("who", "body", "field"), REFUSALS, ids=lambda value: str(value)[:60] if value else "-")
def test_a_wording_is_read(who: str, body: Any, field: str) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert refused(refusal("Error code: 400", raw), SENT) == field, who


def test_a_field_that_does_nothing_may_go_where_its_number_is_out_of_range() -> None:
    """TGI takes no top_p of 1, which is none at all."""
    body = b'{"error": "Input validation error: `top_p` must be > 0.0 and < 1.0", "error_type": "validation"}'
    assert refused(refusal("", body), {**SENT, "top_p": 1.0}) == "top_p"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (openai("invalid temperature: only 1 is allowed for this model", "temperature"), "temperature"),
        ({"code": "x", "error": "Argument not supported on this model: stop"}, "stop"),
        ([{"error": {"code": 400, "message": 'Unknown name "seed": Cannot find field.'}}], "seed"),
    ],
)
def test_a_call_that_is_refused_so_is_put_otherwise(body: Any, field: str, tmp_path: Path) -> None:
    store, said = ReplyCache(tmp_path / "r.sqlite"), list[str]()
    answer = (400, json.dumps(body).encode(), list[str]())
    with teaching(odd=lambda teacher: answer if field in teacher.requests[-1] else None) as teacher:
        spec = {"kind": "openai", "name": "m", "base_url": teacher.url, "concurrency": 1}
        chats = [Chat(messages=(Message("user", f"What is {i} + 2?"),)) for i in range(3)]
        model = open_model(spec, context=Context(store, say=said.append))
        replies = dict(model.answer(chats, Sampling(temperature=0.7, stop=("\nQ:",))))
    assert all(replies[i][0].finish == "stop" for i in range(3))
    assert len(teacher.requests) == 4
    assert [line.partition(": ")[0] for line in said] == [f"openai:m does not take {field}"]
    store.close()


def test_what_a_server_says_is_shown_wherever_it_stands(tmp_path: Path) -> None:
    """Where the SDK shows no more than the status, as for an error that is a text."""
    body = json.dumps({"code": "Client specified an invalid argument", "error": "Incorrect role: developer"}).encode()
    with teaching(odd=lambda teacher: (400, body, [])) as teacher:
        spec = {"kind": "openai", "name": "m", "base_url": teacher.url}
        ((_, (reply,)),) = open_model(spec).answer([Chat(messages=(Message("user", "Why?"),))], Sampling())
    assert "Incorrect role: developer" in reply.error
