"""A teacher behind a real HTTP server on loopback."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tutelage.errors import ModelError
from tutelage.models import open_model
from tutelage.store.cache import ReplyCache
from tutelage.types import Chat, Message, Sampling

SECRET = "sk-very-secret-key-0001"


class Teacher(BaseHTTPRequestHandler):
    """Answers chat completions; what the last message says decides how it misbehaves."""

    requests: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append({**body, "authorization": self.headers["Authorization"]})
        text = body["messages"][-1]["content"]
        status = {"locked": 401, "unknown": 404, "broken": 400}.get(text, 200)
        finish = "length" if text == "long" else "stop"
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": f"re: {text}"}}
        usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        reply = {"id": "x", "object": "chat.completion", "created": 0, "model": "teacher-1", "usage": usage}
        payload = {**reply, "choices": [choice]} if status == 200 else {"error": {"message": f"no {SECRET}"}}
        content = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    handler = type("Handler", (Teacher,), {"requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/v1", handler.requests  # type: ignore[attr-defined]
        httpd.shutdown()


def chats(*texts: str) -> list[Chat]:
    return [Chat(messages=(Message("user", text),), question=str(i)) for i, text in enumerate(texts)]


def test_replies_with_usage_and_finish(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, requests = server
    model = open_model({"kind": "openai", "name": "t", "base_url": url, "system": "Be brief."})
    replies = dict(model.answer(chats("a", "long"), Sampling(n=2, temperature=0.7, max_tokens=9, seed=3)))
    assert [reply.text for reply in replies[0]] == ["re: a", "re: a"]
    assert (replies[0][0].tokens_in, replies[0][0].tokens_out, replies[0][0].model) == (3, 4, "teacher-1")
    assert (replies[0][0].finish, replies[1][0].finish) == ("stop", "length")
    assert sorted(request["seed"] for request in requests) == [3, 3, 4, 4]
    assert requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (requests[0]["temperature"], requests[0]["max_tokens"]) == (0.7, 9)


def test_the_cache_pays_once_and_holds_no_key(server: tuple[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    url, requests = server
    store = ReplyCache(tmp_path / "replies.sqlite")
    spec = {"kind": "openai", "name": "t", "base_url": url}
    for _ in range(2):
        dict(open_model(spec, cache=store).answer(chats("a", "b"), Sampling()))
    assert len(requests) == 2
    dict(open_model({**spec, "system": "Other."}, cache=store).answer(chats("a"), Sampling()))
    assert len(requests) == 3
    store.close()
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("text", ["locked", "unknown"])
def test_what_fails_for_every_call_ends_the_run(server: tuple[str, list[dict[str, Any]]], text: str) -> None:
    url, _ = server
    with pytest.raises(ModelError, match="check the key, base_url and model name") as caught:
        dict(open_model({"kind": "openai", "name": "t", "base_url": url}).answer(chats(text), Sampling()))
    assert SECRET not in str(caught.value)


def test_one_bad_row_is_recorded_and_the_rest_goes_on(server: tuple[str, list[dict[str, Any]]]) -> None:
    url, _ = server
    model = open_model({"kind": "openai", "name": "t", "base_url": url})
    replies = dict(model.answer(chats("a", "broken", "b"), Sampling()))
    assert [replies[i][0].finish for i in range(3)] == ["stop", "error", "stop"]
    assert replies[1][0].error == "BadRequestError"
