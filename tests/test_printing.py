"""What is printed is text: no markup in a name is obeyed, and no control character of anybody reaches the terminal."""

import ast
import json
import re
from pathlib import Path

import pytest
from tests.e2e.test_teacher import cli, write
from tests.server import teaching

from tutelage import printing

SOURCE = Path(__file__).parents[1] / "src" / "tutelage"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
SPOKEN_TO_BY_A_PROCESS = ("prover.py", "precision.py")  # programs that answer the process which started them
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")


@pytest.mark.parametrize("name", ["x[/]", "[red]x", ":key:", "x" + ESCAPE, "\u202ex"])
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    rows = [{"id": str(i), "question": "Is it?", "answer": "yes"} for i in range(3)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with teaching(lambda messages: "yes") as teacher:
        spec = {"kind": "openai", "name": "teacher-1", "base_url": teacher.url}
        config = {"recipe": "exam", "model": spec, "task": {"name": "local", "path": "q.jsonl", "kind": "yes_no"}}
        write(tmp_path, {**config, "split": "all"})
        done = cli(tmp_path, "run", "c.yaml", "--into", name)
        assert done.returncode == 0, done.stderr
        assert printing.visible(name) in done.stdout.replace("\n", "")
        status = cli(tmp_path, "status", name)
    for text in (done.stdout, done.stderr, status.stdout, (tmp_path / name / "report.md").read_text()):
        assert not RAW.search(text)


def test_a_servers_words_are_text(tmp_path: Path) -> None:
    """In the line of the error, in `status`, in the report and in the events for programs."""
    with teaching(lambda messages: "yes", lambda number, body: f"401 says no:{ESCAPE}[/][red]") as teacher:
        spec = {"kind": "openai", "name": "teacher-1", "base_url": teacher.url}
        write(tmp_path, {"recipe": "exam", "model": spec, "task": "coin_flip?size=20", "limit": 4})
        failed = cli(tmp_path, "run", "c.yaml", "--into", "run")
        assert failed.returncode == 2
        assert "\\x1b]0;owned" in failed.stderr
        assert "[/][red]" in failed.stderr
        events = cli(tmp_path, "run", "c.yaml", "--into", "run", "--json")
        status = cli(tmp_path, "status", "run")
        cli(tmp_path, "report", "run")
    report = (tmp_path / "run" / "report.md").read_text()
    for text in (failed.stdout, failed.stderr, events.stdout, events.stderr, status.stdout, report):
        assert not RAW.search(text)


def test_ids_in_a_file_are_text(tmp_path: Path) -> None:
    row = {"id": "1", "question": f"Is{ESCAPE} it? [/]", "answer": "yes"}
    (tmp_path / "q.jsonl").write_text(json.dumps({**row, "id": f"i{ESCAPE}"}) + "\n")
    (tmp_path / "texts.jsonl").write_text(json.dumps({"prompt": row["question"]}) + "\n")
    found = cli(tmp_path, "contamination", "texts.jsonl", "--task", "local?path=q.jsonl&kind=yes_no", "--split", "all")
    assert found.returncode == 0, found.stderr
    assert "owned" in found.stdout
    assert not RAW.search(found.stdout)


def test_what_the_cache_shows_is_text(tmp_path: Path) -> None:
    with teaching(lambda messages: f"yes {ESCAPE}[/]") as teacher:
        spec = {"kind": "openai", "name": "teacher-1", "base_url": teacher.url}
        write(tmp_path, {"recipe": "exam", "model": spec, "task": "coin_flip?size=20", "limit": 2})
        assert cli(tmp_path, "run", "c.yaml", "--into", "run").returncode == 0
    listed = cli(tmp_path, "cache", "ls", "--file", "cache/replies.sqlite")
    assert "\\x1b" in listed.stdout
    assert not RAW.search(listed.stdout)


def test_a_lone_half_of_a_character_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    printing.say("a\ud800b [red]:key:")
    assert capsys.readouterr().out == "a\\ud800b [red]:key:\n"


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_else_opens_a_terminal(path: Path) -> None:
    if path.name != "printing.py":
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\bConsole\(|rich\.markup|Text\.(assemble|from_markup)", text)
        if path.name not in SPOKEN_TO_BY_A_PROCESS:
            printed = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
            called = {ast.unparse(node.func) for node in printed}
            assert not called & {"print", "typer.echo", "sys.stdout.write", "sys.stderr.write"}
