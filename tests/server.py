"""A teacher behind real HTTP on loopback, for tests: answers chat completions, misbehaves on demand, counts everything.

Asynchronous and bare, so that thousands of requests a second cost little beside the client that is tested.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

Script = Callable[[list[dict[str, str]]], str]
# A fault for the n-th request (counted from 0) with this body, or "" to answer well.
Faults = Callable[[int, dict[str, Any]], str]
# A whole answer of another server: status, body and header lines; None to answer as this one does.
Odd = Callable[["Teacher"], tuple[int, bytes, list[str]] | None]

# What another batch service answers, by method and path, beside what this one would: status, body and header lines;
# status 0 for an answer that is lost, None for this one's.
Service = Callable[["Teacher", str, bytes], tuple[int, bytes, list[str]] | None]

# "429 after 2" is a 429 with Retry-After: 2.
FAULTS = ("429", "429 after", "429 date", "500", "503 after", "hang", "drip", "half", "garbage", "no choices", "closed")
PERMANENT = ("400", "context", "filter")
FATAL = ("401", "404", "quota")


def reasoning(number: int, body: dict[str, Any]) -> str:
    """The faults of a reasoning model of OpenAI's: it refuses how others are drawn from, one field after another."""
    if "max_tokens" in body:
        return "use max_completion_tokens"
    if body.get("temperature", 1) != 1:
        return (
            f"400 says Unsupported value: 'temperature' does not support {body['temperature']} with this model. "
            "Only the default (1) value is supported."
        )
    return next((f"unsupported {field}" for field in ("top_p", "seed", "stop") if field in body), "")


@dataclass
class Teacher:
    """A running server and what it has seen."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)  # bodies that were given a good reply
    most_at_once: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, list[Any]] = field(default_factory=dict)  # looks until it is over, input file
    batch_looks: int = 2
    marks: dict[str, dict[str, str]] = field(default_factory=dict)  # batch -> its metadata
    asked: list[str] = field(default_factory=list)  # of the batch service: method and path
    service: Service = lambda teacher, asked, answer: None
    odd: Odd = lambda teacher: None  # asked after a request was noted


class _Server:
    def __init__(self, script: Script, faults: Faults, seconds: float, teacher: Teacher) -> None:
        self.script, self.faults, self.seconds, self.teacher = script, faults, seconds, teacher
        self.open = 0
        self.waiting: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.waiting.add(task)
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self.one(head, reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.waiting.discard(task)
            writer.close()

    async def one(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines if line)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        path, seen = first.split(" ")[1], self.teacher
        if "/files" in path or "/batches" in path:
            asked = f"{first.split(' ')[0]} {path.partition('?')[0]}"
            seen.asked.append(asked)
            answer = self.batch_service(asked, content)
            status, answer, more = seen.service(seen, asked, answer) or (200, answer, [])
            if status == 0:
                return False
            lines = [f"HTTP/1.1 {status} X", "content-type: application/json", *more]
            lines += [] if "connection: close" in more else [f"content-length: {len(answer)}"]
            writer.write("\r\n".join([*lines, "", ""]).encode() + answer)
            while "x-drip: yes" in more:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
            await writer.drain()
            return "connection: close" not in more
        body = json.loads(content or b"{}")
        number = len(seen.requests)
        seen.requests.append(body)
        seen.paths.append(path)
        seen.headers.append(headers)
        self.open += 1
        seen.most_at_once = max(seen.most_at_once, self.open)
        await asyncio.sleep(self.seconds)
        fault = self.faults(number, body)
        if fault == "hang":
            self.open -= 1
            await asyncio.sleep(3600)
        status, content, more = seen.odd(seen) or self.reply(body, fault, seen.paths[-1])
        self.open -= 1
        if fault == "closed":
            return False
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(content)}"]
        named = {line.partition(":")[0] for line in more}
        named |= {"content-length"} if "transfer-encoding" in named else set()
        lines = [*(line for line in lines if line.partition(":")[0] not in named), *more]
        writer.write(
            "\r\n".join([*lines, "", ""]).encode()
            + (content[: len(content) // 2] if fault in ("half", "drip") else content)
        )
        if fault == "drip":  # the rest comes a byte at a time, for ever
            for byte in content[len(content) // 2 :]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
        await writer.drain()
        return fault != "half"

    def batch_service(self, asked: str, content: bytes) -> bytes:
        """Files and batches: a batch is over after `batch_looks` looks; faults are asked for each of its rows."""
        seen, (method, _, path) = self.teacher, asked.partition(" ")
        if path.endswith("/files"):
            rows = [line for line in content.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"{")]
            seen.files[f"file-{len(seen.files)}"] = b"\n".join(rows)
            return json.dumps({"id": f"file-{len(seen.files) - 1}", "object": "file"}).encode()
        if path.endswith("/content"):
            return seen.files.get(path.split("/")[-2], b"")
        if method == "GET" and path.endswith("/batches"):
            listed = [{"id": batch, "metadata": mark} for batch, mark in seen.marks.items()]
            return json.dumps({"object": "list", "data": listed, "has_more": False}).encode()
        if path.endswith("/batches"):
            batch = f"batch-{len(seen.batches)}"
            made = json.loads(content)
            seen.batches[batch], seen.marks[batch] = [seen.batch_looks, made["input_file_id"]], made.get("metadata", {})
            return json.dumps({"id": batch, "object": "batch", "status": "validating"}).encode()
        batch = path.rpartition("/")[2]
        if batch not in seen.batches:
            return b"{}"
        seen.batches[batch][0] -= 1
        if seen.batches[batch][0] >= 0:
            return json.dumps({"id": batch, "object": "batch", "status": "in_progress"}).encode()
        out = []
        for number, line in enumerate(seen.files[seen.batches[batch][1]].splitlines()):
            row = json.loads(line)
            fault = self.faults(-1 - number, row["body"])
            status, answer, _ = seen.odd(seen) or self.reply(row["body"], fault, "/chat/completions")
            response = {"status_code": status, "body": json.loads(answer)}
            out.append(json.dumps({"custom_id": row["custom_id"], "response": response}))
        seen.files[f"out-{batch}"] = "\n".join(out).encode()
        return json.dumps(
            {"id": batch, "object": "batch", "status": "completed", "output_file_id": f"out-{batch}"}
        ).encode()

    def reply(self, body: dict[str, Any], fault: str, path: str) -> tuple[int, bytes, list[str]]:
        if fault in ("garbage", "no choices"):
            return 200, b"<html>busy</html>" if fault == "garbage" else b'{"choices": []}', []
        if fault == "use max_completion_tokens":
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return 400, json.dumps({"error": {"message": message}}).encode(), []
        if fault.startswith("unsupported "):
            error = {"param": fault.split()[1], "code": "unsupported_parameter", "type": "invalid_request_error"}
            message = f"Unsupported parameter: '{error['param']}' is not supported with this model."
            return 400, json.dumps({"error": {"message": message, **error}}).encode(), []
        status, says, message = fault.partition(" says ")
        if says:
            return int(status), json.dumps({"error": {"message": message}}).encode(), []
        codes = {
            "context": ("context_length_exceeded", 400),
            "filter": ("content_filter", 400),
            "quota": ("insufficient_quota", 429),
        }
        if fault in codes:
            code, status = codes[fault]
            return status, json.dumps({"error": {"message": f"{code} happened", "code": code}}).encode(), []
        if fault and fault.split(" ", maxsplit=1)[0].isdigit():
            status, how, seconds = [*fault.split(), "", ""][:3]  # "429 after 2" asks for two seconds
            later = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
            more = {"after": [f"retry-after: {seconds or 0.3}"], "date": [f"retry-after: {later}"]}.get(how, [])
            return int(status), json.dumps({"error": {"message": "not now"}}).encode(), more
        if fault not in ("half", "closed", "drip"):
            self.teacher.answered.append(body)
        shape = _anthropic if path.endswith("/messages") else _google if ":generateContent" in path else _openai
        return 200, json.dumps(shape(self.script(_messages(body)), fault)).encode(), []


def _messages(body: dict[str, Any]) -> list[dict[str, str]]:
    if "contents" not in body:
        return list(body["messages"])
    return [{"role": turn["role"], "content": turn["parts"][0]["text"]} for turn in body["contents"]]


def _openai(text: str, fault: str) -> dict[str, Any]:
    words = len(text.split())
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "length" if fault == "length" else "stop", "message": message}
    usage = {"prompt_tokens": 10, "completion_tokens": words, "total_tokens": 10 + words}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "teacher-1",
        "usage": usage,
        "choices": [choice],
    }


def completion(text: Any, usage: Any = None, **more: Any) -> bytes:
    """A chat completion of any kind of text, as JSON in ASCII."""
    body = _openai("", "")
    body["choices"][0]["message"]["content"] = text
    return json.dumps({**body, **({} if usage is None else {"usage": usage}), **more}).encode()


def _anthropic(text: str, fault: str) -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": text}]
    reason = {"length": "max_tokens", "refusal": "refusal"}.get(fault, "end_turn")
    usage = {"input_tokens": 10, "output_tokens": len(text.split())}
    return {"id": "x", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
            "stop_reason": reason, "stop_sequence": None, "usage": usage}  # fmt: skip


def _google(text: str, fault: str) -> dict[str, Any]:
    parts = [{"text": "Hm.", "thought": True}, {"text": text}]
    reason = {"length": "MAX_TOKENS", "refusal": "SAFETY"}.get(fault, "STOP")
    usage = {"promptTokenCount": 10, "candidatesTokenCount": len(text.split()), "thoughtsTokenCount": 2}
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason}],
            "usageMetadata": usage, "modelVersion": "gemini-x"}  # fmt: skip


@contextmanager
def teaching(
    script: Script = lambda messages: f"re: {messages[-1]['content']}",
    faults: Faults = lambda number, body: "",
    seconds: float = 0.0,
    odd: Odd = lambda teacher: None,
) -> Iterator[Teacher]:
    """A server that answers with `script(messages)` after `seconds`, unless `faults` or `odd` says otherwise."""
    teacher = Teacher(odd=odd)
    server = _Server(script, faults, seconds, teacher)
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=4096)
        teacher.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await stopped.wait()
        listening.close()
        for task in list(server.waiting):
            task.cancel()
        await asyncio.gather(*server.waiting, return_exceptions=True)

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield teacher
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(5)


@contextmanager
def serve(script: Script, seconds: float = 0.0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A well-behaved server: yields its base URL and the growing list of request bodies."""
    with teaching(script, seconds=seconds) as teacher:
        yield teacher.url, teacher.requests


def main() -> None:
    """Serve in a process of its own: prints its URL, waits for the end of its input, and says what it has seen."""
    import argparse
    import sys
    import time
    import zlib
    from collections import Counter

    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.05, help="of an answer")
    parser.add_argument("--refuse", type=float, default=0.0, help="share of the requests that are refused at first")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, and as many at once")
    parser.add_argument("--down", type=float, default=0.0, help="seconds from the first request on")
    parser.add_argument("--after", type=float, default=0.0, help="Retry-After of every refusal")
    words = parser.parse_args()
    seen, times = Counter[str](), list[float]()
    since, full = 0.0, words.rate

    def is_refused(body: dict[str, Any], now: float) -> bool:
        nonlocal since, full
        text = str(body["messages"])
        seen[text] += 1
        full, since = min(words.rate, full + (now - since) * words.rate), now
        if (words.rate and full < 1) or now - times[0] < words.down:
            return True
        full -= 1
        return seen[text] == 1 and zlib.crc32(text.encode()) % 1000 < 1000 * words.refuse

    def faults(number: int, body: dict[str, Any]) -> str:
        times.append(time.monotonic())
        if not is_refused(body, times[-1]):
            return ""
        return f"429 after {words.after:g}" if words.after else "429"

    with teaching(lambda messages: f"re: {messages[-1:]}", faults, words.seconds) as teacher:
        print(teacher.url, flush=True)
        sys.stdin.read()
        quarter = max(len(times) // 4, 1)
        rates = (
            [quarter / (part[-1] - part[0] or 1) for part in (times[:quarter], times[-quarter:])] if times else [0, 0]
        )
        print(len(teacher.requests), len(teacher.answered), teacher.most_at_once, *rates, flush=True)


if __name__ == "__main__":
    main()
