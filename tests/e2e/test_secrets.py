"""A secret goes to the server that needs it, and nowhere else: every door it may come in by, and every place it could be left."""

import base64
import html
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2
import pytest
import yaml
from tests import door
from tests.server import Teacher, completion, teaching

KEY = "sk-proj-4f/Xy+0Qw7=Tz19LmQk28"  # as issuers make them, with what is written otherwise in a URL and in base64
PASSWORD = 'p4ss"w/rd+Ö 77'
ISSUED = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t"  # one that nobody has named as a key
OPAQUE = "Zx81kdQ9mWv3LpTy70cc"
TASK = "coin_flip?size=20"


def forms(secret: str) -> set[str]:
    """How a secret could be written."""
    raw = secret.encode()
    plain = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret), repr(secret)[1:-1]}
    plain |= {
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }
    coded = {encode(raw).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return plain | coded | {raw.hex(), raw.hex().upper()}


def hunt(folder: Path, done: list[subprocess.CompletedProcess[str]], *secrets: str) -> None:
    """No secret in any form in any file, but for the config that the user wrote, nor in anything that was printed."""
    needles = {form.rstrip("=") for secret in secrets for form in forms(secret)}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "c.yaml"]
    texts = {str(path): path.read_bytes().decode("utf-8", "surrogateescape") for path in files}
    for number, one in enumerate(done):
        texts |= {f"stdout {number}": one.stdout, f"stderr {number}": one.stderr}
    found = {where: form for where, text in texts.items() for form in needles if form in text}
    assert not found
    parts = {secret[:12] for secret in secrets if len(secret) > 16}  # nor a part of one
    assert not {where: part for where, text in texts.items() for part in parts if part in text}


def cli(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "COLUMNS": "100", **variables}
    return door.tutelage(*words, env=environment, cwd=folder)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "MY_KEY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def write(folder: Path, teacher: Teacher, **more: Any) -> None:
    spec = {
        "kind": "openai",
        "name": "m",
        "base_url": teacher.url,
        "tries": 2,
        "price": {"input": 1, "output": 1},
        **more,
    }
    raw = {"recipe": "exam", "model": spec, "task": TASK, "limit": 3}
    (folder / "c.yaml").write_text(yaml.safe_dump(raw, allow_unicode=True))


def with_user(url: str) -> str:
    return url.replace("://", f"://user:{quote(PASSWORD, safe='')}@")


def basic() -> str:
    return "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()


def looked_at(folder: Path, **variables: str) -> list[subprocess.CompletedProcess[str]]:
    """Everything that shows a run and the replies."""
    words = ["status run", "report run --into rep", "cache stats", "cache ls", "cache export all.jsonl", "plan c.yaml"]
    return [cli(folder, *one.split(), **variables) for one in words]


def test_a_key_of_the_environment(tmp_path: Path) -> None:
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher)
        done = [cli(tmp_path, "run", "c.yaml", "seed=5", "--into", "unnamed", OPENAI_API_KEY=KEY)]
        assert done[0].returncode == 0, done[0].stderr
        assert KEY not in str(teacher.headers)  # it is another's
        teacher.headers.clear()
        words = ["run", "c.yaml", "model.key=OPENAI_API_KEY", "model.system=Be brief.", "--into", "run"]
        done.append(cli(tmp_path, *words, OPENAI_API_KEY=KEY))
        assert done[1].returncode == 0, done[1].stderr
        done.append(cli(tmp_path, "run", "c.yaml", "model.key=MY_KEY", "--into", "other", "--json", MY_KEY=KEY))
        done += looked_at(tmp_path, OPENAI_API_KEY=KEY)
        assert all(headers["authorization"] == f"Bearer {KEY}" for headers in teacher.headers)
    hunt(tmp_path, done, KEY)
    assert (tmp_path / "run" / "report.html").exists()


def callbacks() -> dict[str, Any]:
    """What is needed to reach a server, by where it stands: the spec's change, and whether a request brought it."""
    return {
        "user": (lambda url: {"base_url": with_user(url)}, lambda one: one["headers"]["authorization"] == basic()),
        "query": (
            lambda url: {"base_url": f"{url}?api_key={quote(KEY, safe='')}&api-version=2024-02-01"},
            lambda one: f"api_key={quote(KEY, safe='')}" in one["path"] and "api-version=2024-02-01" in one["path"],
        ),
        "extra": (
            lambda url: {"extra": {"api_key": KEY, "extra_headers": {"X-Gate": OPAQUE}, "reasoning_effort": "low"}},
            lambda one: (
                (one["body"]["api_key"], one["body"]["extra_headers"], one["body"]["reasoning_effort"])
                == (KEY, {"X-Gate": OPAQUE}, "low")
            ),
        ),
    }


def requests(teacher: Teacher) -> Iterator[dict[str, Any]]:
    for headers, path, body in zip(teacher.headers, teacher.paths, teacher.requests, strict=True):
        yield {"headers": headers, "path": path, "body": body}


@pytest.mark.parametrize("door", callbacks())
@pytest.mark.parametrize("how", ["config", "command"])
def test_what_a_server_needs_is_sent_and_kept_nowhere(door: str, how: str, tmp_path: Path) -> None:
    change, brought = callbacks()[door]
    with teaching(lambda messages: "yes") as teacher:
        spec = change(teacher.url)
        write(tmp_path, teacher, **(spec if how == "config" else {}))
        words = [] if how == "config" else [f"model.{name}={json.dumps(value)}" for name, value in spec.items()]
        done = [cli(tmp_path, "run", "c.yaml", *words, "--into", "run")]
        assert done[0].returncode == 0, done[0].stderr
        assert len(teacher.requests) == 3
        assert all(brought(one) for one in requests(teacher))
        assert "written nowhere" in done[0].stdout
        again = cli(tmp_path, "run", "c.yaml", *words, "--into", "run", "--json")
        elsewhere = cli(tmp_path, "run", "c.yaml", *words, "--into", "other")
        assert (again.returncode, elsewhere.returncode) == (0, 0), again.stderr + elsewhere.stderr
        assert len(teacher.requests) == 3  # the same server, and nothing is paid twice
        done += [again, elsewhere, *looked_at(tmp_path)]
    hunt(tmp_path, done, KEY, PASSWORD, f"user:{PASSWORD}", OPAQUE)


def test_two_passwords_are_two_servers_and_a_variable_is_one(tmp_path: Path) -> None:
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher)
        where = teacher.url.removeprefix("http://")
        for count, user in ((3, "u:first-pass-1"), (6, "u:second-pass-2"), (9, "u:${MY_KEY}"), (9, "u:${MY_KEY}")):
            words = ["run", "c.yaml", f"model.base_url=http://{user}@{where}", "--into", f"run{count}{user[2]}"]
            done = cli(tmp_path, *words, MY_KEY="changes-1" if count == 9 else "changes-2")
            assert done.returncode == 0, done.stderr
            assert len(teacher.requests) == count
        assert teacher.headers[-1]["authorization"] == "Basic " + base64.b64encode(b"u:changes-1").decode()
    hunt(tmp_path, [done], "first-pass-1", "second-pass-2", "changes-1", "u:first-pass-1")


def test_a_run_that_goes_on_from_its_own_config_says_what_it_lacks(tmp_path: Path) -> None:
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher, base_url=with_user(teacher.url))
        assert cli(tmp_path, "run", "c.yaml", "budget.calls=1", "--into", "run").returncode == 3
        done = cli(tmp_path, "run", "run/config.yaml", "budget.calls=9")
        assert done.returncode == 2
        assert "a secret was taken out when the config was kept. Name the config that it came from" in done.stderr
        assert len(teacher.requests) == 1
        done = cli(tmp_path, "run", "c.yaml", "budget.calls=9", "--into", "run")
        assert done.returncode == 0, done.stderr


REFUSED = {
    "the key as the name of its variable": ("key", KEY),
    "a hexadecimal one": ("key", "0f" * 16),
    "an opaque one": ("key", OPAQUE),
    "a password": ("key", "correcthorsebatterystaple"),
    "api_key": ("api_key", KEY),
    "token": ("token", OPAQUE),
    "headers": ("headers", {"Authorization": f"Bearer {OPAQUE}"}),
    "a misspelt option": ("kye", OPAQUE),
    "the system prompt": ("system", f"Use {ISSUED}."),
    "what is no address": ("base_url", f"user:{OPAQUE}@host/v1"),
    "a password that is not encoded": ("base_url", f"http://user:{OPAQUE}/x@host/v1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_where_none_belongs_is_refused_and_not_shown(name: str, tmp_path: Path) -> None:
    option, value = REFUSED[name]
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher, **{option: value})
        done = [cli(tmp_path, "run", "c.yaml", "--into", "run"), cli(tmp_path, "plan", "c.yaml")]
        write(tmp_path, teacher)
        done.append(cli(tmp_path, "run", "c.yaml", f"model.{option}={json.dumps(value)}", "--into", "run", "--json"))
        given = {"base_url": teacher.url, option: value}
        spec = "openai:m?" + "&".join(f"{name}={quote(json.dumps(one))}" for name, one in given.items())
        done.append(cli(tmp_path, "exam", spec, "--task", TASK, "--into", "run", "--limit", "2"))
        done.append(cli(tmp_path, "chat", spec))
        assert teacher.requests == []
    for one in (done[0], done[2], done[3], done[4]):
        assert one.returncode == 2, one.stderr
        assert re.search(r"export NAME=…|no option 'kye'|base_url (must begin|is no address)", one.stderr)
    secret = value if isinstance(value, str) else OPAQUE
    hunt(tmp_path, done, KEY, OPAQUE, ISSUED, *([secret] if option == "key" else []))
    assert not (tmp_path / "run").exists()


def test_a_key_in_another_place_of_the_command_is_not_shown(tmp_path: Path) -> None:
    words = [
        ["run", "c.yaml", ISSUED],
        ["chat", "openai:m", ISSUED],
        ["run", "c.yaml", f"--api-key={ISSUED}"],
        ["tasks", ISSUED],
    ]
    words += [
        ["serve", "openai:m", "--key-env", ISSUED],
        [ISSUED],
        ["run", "c.yaml", f"modl.key={ISSUED}"],
        ["cache", "ls", ISSUED],
    ]
    with teaching() as teacher:
        write(tmp_path, teacher)
        done = [cli(tmp_path, *one) for one in words]
    assert all(one.returncode == 2 for one in done), [one.stderr for one in done if one.returncode != 2]
    hunt(tmp_path, done, ISSUED)


def echo(teacher: Teacher, status: int) -> tuple[int, bytes, list[str]]:
    """A server that says all it was told, in many forms, in its body and its headers."""
    headers, path, body = teacher.headers[-1], teacher.paths[-1], teacher.requests[-1]
    bearer = headers.get("authorization", "").partition(" ")[2]
    secrets = [bearer, KEY, PASSWORD, f"user:{PASSWORD}", *([body["api_key"]] if "api_key" in body else [])]
    said = " ".join(form for secret in secrets if secret for form in sorted(forms(secret)))
    said = f"no: {json.dumps(headers)} {path} {json.dumps(body)} {said} yes"
    more = [f"x-echo: {quote(bearer)}", f"www-authenticate: {headers.get('authorization', '')}"]
    if status != 200:
        return status, json.dumps({"error": {"message": said}}).encode(), more
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in bearer)
    return status, completion(said).replace(b'"content": "', f'"content": "{escaped} '.encode(), 1), more


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("door", ["key", "user", "query", "extra"])
def test_what_a_server_sends_back_is_struck_out(status: int, door: str, tmp_path: Path) -> None:
    """It is told key, password and user, each by some door; so each is there to be sent back."""
    with teaching(odd=lambda teacher: echo(teacher, status)) as teacher:
        spec = {} if door == "key" else callbacks()[door][0](teacher.url)
        extra = {**spec.pop("extra", {}), "password": PASSWORD, "login": {"auth": f"user:{PASSWORD}"}}
        write(tmp_path, teacher, concurrency=1, extra=extra, key="OPENAI_API_KEY", **spec)
        words = ["run", "c.yaml", "--into", "run"]
        done = [cli(tmp_path, *words, OPENAI_API_KEY=KEY), cli(tmp_path, *words, "--json", OPENAI_API_KEY=KEY)]
        assert teacher.requests
    done += looked_at(tmp_path)[: 5 if status == 200 else 1]
    if status == 200:
        assert done[0].returncode == 0, done[0].stderr
        assert "sent a key or password back in a reply" in done[0].stdout
    hunt(tmp_path, done, KEY, PASSWORD, f"user:{PASSWORD}")


def test_what_a_library_says_or_logs_holds_no_secret(tmp_path: Path) -> None:
    odd_keys = [f"{KEY}\n", f"{KEY}\nX-More: 1", f"{KEY}é"]
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher, key="OPENAI_API_KEY")
        words = ["run", "c.yaml", "--into"]
        done = [cli(tmp_path, *words, f"r{i}", f"seed={i}", OPENAI_API_KEY=key) for i, key in enumerate(odd_keys)]
        assert [one.returncode for one in done] == [0, 2, 2], [one.stderr for one in done]
        assert "holds a character that no key has" in done[1].stderr
        where = f"{with_user(teacher.url)}?api_key={quote(KEY, safe='')}"
        logs = {"OPENAI_LOG": "debug", "OPENAI_API_KEY": OPAQUE}
        done.append(cli(tmp_path, "run", "c.yaml", f"model.base_url={where}", "seed=3", "--into", "logged", **logs))
        assert "HTTP" in done[-1].stderr
    gone = where.replace(teacher.url.rpartition(":")[2].partition("/")[0], "9")
    done.append(cli(tmp_path, "run", "c.yaml", f"model.base_url={gone}", "--into", "gone", OPENAI_API_KEY=OPAQUE))
    assert done[-1].returncode == 2
    assert "given up after 2 tries" in done[-1].stderr
    hunt(tmp_path, done, KEY, PASSWORD, f"user:{PASSWORD}", OPAQUE)


def test_a_mistake_of_ours_shows_no_secret_either(tmp_path: Path) -> None:
    """A traceback, a warning and a log of anybody's, with what the environment holds."""
    (tmp_path / "mine.py").write_text(
        "import logging, os, warnings\n"
        "def answer(chat, sample):\n"
        "    key = os.environ['OPENAI_API_KEY']\n"
        "    warnings.warn(f'warned with {key}')\n"
        "    logging.getLogger('mine').error('logged with %s', key)\n"
        "    raise ValueError(f'raised with {key}')\n"
    )
    raw = {"recipe": "exam", "model": "scripted:mine:answer", "task": TASK, "limit": 2}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw))
    done = cli(
        tmp_path,
        "run",
        "c.yaml",
        "--into",
        "run",
        OPENAI_API_KEY=KEY,
        PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    )
    assert done.returncode == 1
    for word in ("warned", "logged", "raised"):
        assert f"{word} with ***" in done.stderr
    hunt(tmp_path, [done], KEY)


def test_a_proxys_password(tmp_path: Path) -> None:
    with teaching(odd=lambda teacher: echo(teacher, 407)) as proxy, teaching() as teacher:
        write(tmp_path, teacher, base_url="http://teacher.invalid/v1", key="OPENAI_API_KEY")
        variables = {"http_proxy": with_user(proxy.url.removesuffix("/v1")), "no_proxy": "", "OPENAI_API_KEY": KEY}
        done = cli(tmp_path, "run", "c.yaml", "--into", "run", **variables)
        assert proxy.requests
    hunt(tmp_path, [done], KEY, PASSWORD, f"user:{PASSWORD}")


def test_a_token_of_the_hub(tmp_path: Path) -> None:
    token = "hf_abcDEFghiJKLmnoPQR0123456789"

    def hub(teacher: Teacher) -> tuple[int, bytes, list[str]]:
        said = f"no right to read with {teacher.headers[-1].get('authorization')}"
        return 403, json.dumps({"error": said}).encode(), [f"x-error-message: {said}", "x-error-code: GatedRepo"]

    with teaching(odd=hub) as server:
        variables = {"HF_TOKEN": token, "HF_ENDPOINT": server.url.removesuffix("/v1"), "HF_HUB_OFFLINE": "0"}
        variables["HF_HOME"] = str(tmp_path / "hf")
        done = [cli(tmp_path, "exam", "hf:org/name", "--task", TASK, "--into", "run", "--limit", "2", **variables)]
        assert done[0].returncode != 0
        assert any("authorization" in headers for headers in server.headers)
        done.append(cli(tmp_path, "exam", f"hf:org/name?token={token}", "--task", TASK, "--into", "other", **variables))
        assert "holds a key" in done[1].stderr
        assert not (tmp_path / "other").exists()
    hunt(tmp_path, done, token)


def test_the_key_of_a_served_model(tmp_path: Path) -> None:
    with teaching(lambda messages: "yes") as teacher:
        environment = {
            **os.environ,
            "SERVE_WITH": KEY,
            "TUTELAGE_CACHE": str(tmp_path / "cache"),
            "OPENAI_API_KEY": OPAQUE,
        }
        spec = f"openai:m?base_url={quote(with_user(teacher.url))}&key=OPENAI_API_KEY"
        words = [sys.executable, "-m", "tutelage", "serve", spec, "--port", "0", "--key-env", "SERVE_WITH"]
        out, err = (tmp_path / "out").open("w+"), (tmp_path / "err").open("w+")
        with out, err, subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=out, stderr=err) as process:
            until = time.monotonic() + 60
            while not (found := re.search(r"http://\S+/v1", (tmp_path / "out").read_text())):
                assert time.monotonic() < until, (tmp_path / "err").read_text()
                time.sleep(0.1)
            body = {"model": "m", "messages": [{"role": "user", "content": f"Is {KEY} the key?"}]}
            for key in (f"{KEY}x", KEY):
                answer = httpx2.post(
                    f"{found[0]}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30
                )
                assert answer.status_code == (200 if key == KEY else 401)
            process.terminate()
    done = cli(tmp_path, "serve", "openai:m", "--key-env", KEY)
    hunt(tmp_path, [done], KEY, PASSWORD, f"user:{PASSWORD}", OPAQUE)


def test_what_an_earlier_version_kept_is_shown_no_more_and_taken_out_when_it_goes_on(tmp_path: Path) -> None:
    with teaching(lambda messages: "yes") as teacher:
        write(tmp_path, teacher, base_url=with_user(teacher.url))
        old = tmp_path / "old"
        old.mkdir()
        (old / "config.yaml").write_text((tmp_path / "c.yaml").read_text())
        (old / "run.json").write_text(json.dumps({"command": f"tutelage run base_url={with_user(teacher.url)}"}))
        (old / "events.jsonl").write_text(
            json.dumps({"event": "failed", "error": f"no {with_user(teacher.url)}"}) + "\n"
        )
        done = [cli(tmp_path, *words.split()) for words in ("status old", "report old --into rep")]
        assert [one.returncode for one in done] == [0, 0], done[0].stderr + done[1].stderr
        (old / "run.json").write_text("{}")
        (old / "events.jsonl").unlink()
        done.append(cli(tmp_path, "run", "c.yaml", "--into", "old"))
        assert done[-1].returncode == 0, done[-1].stderr
    hunt(tmp_path, done, PASSWORD, f"user:{PASSWORD}")
