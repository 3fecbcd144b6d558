"""What a run records of the repository it was started in: nothing that is nobody's business, by no foreign program."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutelage.runs.environment import environment_facts

SECRET = "sk-in-a-dot-env-file"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One whose settings name programs wherever git can be told to run one."""
    folder = tmp_path / "strange"
    folder.mkdir()
    git(folder, "init", "-q")
    for name in (".env", "plain.txt", "data.bin"):
        (folder / name).write_text("nothing yet\n")
    (folder / ".gitattributes").write_text("*.bin filter=evil diff=evil\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    program = folder / "evil.sh"
    program.write_text(f"#!/bin/sh\necho ran >> {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    settings = ["diff.external", "core.fsmonitor", "core.pager", "filter.evil.clean", "filter.evil.process"]
    for setting in [*settings, "diff.evil.command", "diff.evil.textconv"]:
        git(folder, "config", setting, str(program))
    git(folder, "config", "core.hooksPath", str(folder))
    git(folder, "config", "filter.evil.required", "true")
    hook = folder / "post-index-change"
    hook.write_text(program.read_text())
    hook.chmod(0o755)
    (folder / ".env").write_text(f"KEY={SECRET}\n")
    (folder / "data.bin").write_text("x" * 100_000)
    (folder / "untracked.txt").write_text(SECRET)
    monkeypatch.chdir(folder)
    return folder


def test_of_local_changes_only_a_digest_is_kept_and_nothing_is_run(repository: Path) -> None:
    found = environment_facts()
    assert found["commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert found["dirty"] is True
    assert len(found["diff_digest"]) == 16
    assert "diff" not in found
    assert SECRET not in json.dumps(found)
    assert len(json.dumps(found)) < 5000
    assert not (repository.parent / "ran").exists()
    (repository / ".env").write_text("KEY=another\n")
    assert environment_facts()["diff_digest"] != found["diff_digest"]


def test_the_changes_of_tracked_files_are_kept_where_they_are_asked_for(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUTELAGE_RECORD_DIFF", "1")
    found = environment_facts()
    assert f"+KEY={SECRET}" in found["diff"]
    assert "untracked" not in found["diff"]
    assert not (repository.parent / "ran").exists()


def test_a_clean_repository_and_none(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "clean"
    other.mkdir()
    git(other, "init", "-q")
    (other / "a").write_text("a")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "first")
    monkeypatch.chdir(other)
    assert environment_facts()["dirty"] is False
    monkeypatch.chdir("/")
    if not any(Path(place, ".git").exists() for place in ("/",)) and "GIT_DIR" not in os.environ:
        found: dict[str, Any] = environment_facts()
        assert (found["commit"], "dirty" in found) == ("", False)


def test_a_run_that_was_started_as_a_module_says_so(tmp_path: Path) -> None:
    words = ["exam", "scripted:textwrap:dedent", "--task", "coin_flip?size=20", "--into", str(tmp_path / "run")]
    subprocess.run([sys.executable, "-m", "tutelage", *words], capture_output=True, text=True, check=False)
    command = json.loads((tmp_path / "run" / "run.json").read_text())["command"]
    assert command.startswith("python -m tutelage exam scripted:textwrap:dedent")
