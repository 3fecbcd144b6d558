"""Pushing to a hub: a stand-in on loopback that speaks the few calls the client makes for a small model."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Finished = Callable[[str, str, bool], Path]
TOKEN = "hf_secretsecretsecretsecretsecretse"


class Hub:
    """What arrived."""

    def __init__(self, private: bool = True, refuse: bool = False) -> None:
        self.private, self.refuse, self.url = private, refuse, ""
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.tokens: set[str] = set()

    def answer(self, path: str, body: bytes) -> Any:
        """The reply to one call as JSON, or None for an upload."""
        if path.startswith("/blob/"):
            self.blobs[path.rpartition("/")[2]] = body
            return None
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            return {"url": f"{self.url}/me/coins", "name": "me/coins"}
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            files = [one["path"] for one in json.loads(body)["files"]]
            large = lambda name: "lfs" if name.endswith((".safetensors", ".gguf")) else "regular"  # noqa: E731
            return {"files": [{"path": f, "uploadMode": large(f), "shouldIgnore": False} for f in files]}
        if path.endswith("/info/lfs/objects/batch"):
            oids = [(one["oid"], one["size"]) for one in json.loads(body)["objects"]]
            link = lambda oid: {"upload": {"href": f"{self.url}/blob/{oid}"}}  # noqa: E731
            return {"transfer": "basic", "objects": [{"oid": o, "size": s, "actions": link(o)} for o, s in oids]}
        if "/commit/" in path:
            self.commit([json.loads(line) for line in body.splitlines()])
            return {"commitUrl": f"{self.url}/me/coins/commit/1", "commitOid": "1" * 40, "success": True}
        assert path.startswith("/api/models/me/coins"), path
        return {"id": "me/coins", "private": self.private, "tags": [], "siblings": []}

    def commit(self, lines: list[dict[str, Any]]) -> None:
        """Keep the files of one commit."""
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.blobs[value["oid"]]


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            token = self.headers.get("authorization", "")
            hub.tokens |= {token} - {""}
            reply = {"error": f"no right to write with {token}"} if hub.refuse else hub.answer(self.path, body)
            content = b"" if reply is None else json.dumps(reply).encode()
            self.send_response(403 if hub.refuse else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()


def push(run: Path, out: Path, url: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    # The newer protocol for large files talks to servers of its own; without it the client speaks git-lfs.
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-m", "tutelage", "export", str(run), "--to", str(out), "--check", "0", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**environment, **more}, check=False)


@pytest.mark.parametrize(("words", "visibility"), [((), "private"), (("--public",), "public")])
def test_every_file_arrives(finished: Finished, tmp_path: Path, words: tuple[str, ...], visibility: str) -> None:
    with serve(Hub()) as hub:
        done = push(finished("finetune_cot", "base", False), tmp_path / "out", hub.url, "--push", "me/coins", *words)
    assert done.returncode == 0, done.stderr
    assert f"pushed: {hub.url}/me/coins" in done.stdout
    here = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert hub.files == {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in here}
    (created,) = hub.created
    assert (created["organization"], created["name"], created.get("visibility")) == ("me", "coins", visibility)
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr


def test_a_public_repository_is_not_taken_for_a_private_one(finished: Finished, tmp_path: Path) -> None:
    with serve(Hub(private=False)) as hub:
        done = push(finished("finetune_cot", "base", False), tmp_path / "out", hub.url, "--push", "me/coins")
    assert done.returncode == 2
    assert "me/coins is there already and public; push with --public" in done.stderr
    assert not hub.files


def test_a_refusal_is_one_sentence_without_the_token(finished: Finished, tmp_path: Path) -> None:
    with serve(Hub(refuse=True)) as hub:
        done = push(finished("finetune_cot", "base", False), tmp_path / "out", hub.url, "--push", "me/coins")
    assert done.returncode == 2
    assert re.search(r"did not take me/coins: status 403: .*no right to write with Bearer \*\*\*", done.stderr)
    assert TOKEN not in done.stdout + done.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("coins", {}, "give the owner too, as in org/name"),
        ("me/co ins", {}, "--push me/co ins: "),
        ("me/coins", {"HF_TOKEN": "", "HF_HOME": "/nowhere"}, "set HF_TOKEN"),
        ("me/coins", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_cannot_be_pushed_is_said_before_anything_is_made(
    finished: Finished, tmp_path: Path, name: str, more: dict[str, str], says: str
) -> None:
    done = push(finished("finetune_cot", "base", False), tmp_path / "out", "http://127.0.0.1:9", "--push", name, **more)
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
