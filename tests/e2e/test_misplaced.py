"""A secret where none belongs: refused before anything is written, in a sentence that does not repeat it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tutelage.cli.main import main
from tutelage.runs.replies import ReplyCache
from tutelage.types import Reply

ISSUED = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8t"
OPAQUE = "Zx81kdQ9mWv3LpTy70cc"
DIGITS = "918273645546372819"
PHRASE = "correcthorsebatterystaple"
KEYS = [ISSUED, OPAQUE]


def tutelage(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TUTELAGE_CACHE", str(folder / "cache"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", ["tutelage", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out + said.err


def nothing_left(folder: Path, said: str, *secrets: str) -> None:
    texts = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "c.yaml"}
    for secret in secrets:
        assert secret not in said
        assert not [name for name, text in texts.items() if secret.encode() in text]


MISPLACED: dict[str, Any] = {
    "the name of a field": lambda key: {"extra": {key: 1}},
    "the name of a field inside": lambda key: {"extra": {"more": [{key: 1}]}},
    "the name of an option": lambda key: {key: 1},
    "the host": lambda key: {"base_url": f"https://{key}/v1"},
    "behind a #": lambda key: {"base_url": f"https://host/v1#{key}"},
    "no scheme": lambda key: {"base_url": f"host/{key}"},
    "extra": lambda key: {"extra": key},
    "a list": lambda key: {"extra": [key]},
    "a time": lambda key: {"timeout": key},
    "tries": lambda key: {"tries": [key]},
    "a price": lambda key: {"price": {"input": key, "output": 1}},
    "all of the price": lambda key: {"price": key},
    "batch": lambda key: {"batch": key},
    "poll": lambda key: {"poll": {key: 1}},
    "the kind": lambda key: {"kind": key},
    "the system prompt": lambda key: {"system": [key]},
    "the name": lambda key: {"name": [key]},
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("place", MISPLACED)
def test_in_a_config(
    place: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"kind": "openai", "name": "m", "base_url": "http://127.0.0.1:9/v1", **MISPLACED[place](key)}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"recipe": "exam", "model": spec, "task": "coin_flip?size=20"}))
    given = [f"model={json.dumps(spec)}"]
    (tmp_path / "d.yaml").write_text("recipe: exam\ntask: coin_flip?size=20\nmodel: 'worked:'\n")
    for words in (["run", "c.yaml", "--into", "run"], ["run", "d.yaml", *given, "--into", "run"]):
        code, said = tutelage(tmp_path, monkeypatch, capsys, *words)
        assert code == 2, said
        assert "error: " in said
        assert "Traceback" not in said
        nothing_left(tmp_path, said, key)
    assert not (tmp_path / "run").exists()


WORDS = [
    "run c.yaml student=hf:smollm2?token={digits}",
    "run c.yaml student.api_key={digits}",
    "run c.yaml student.{key}=1",
    "run c.yaml teacher=[openai,{{api_key:{key}}}]",
    "run c.yaml teacher=[openai,{{api_key:{phrase}}}]",
    "run c.yaml teacher.extra={{api_key:{key}",
    "run c.yaml teacher.extra={{api_key:\u00a0{phrase}",
    "run c.yaml teacher.extra=*{key}",
    "run c.yaml teacher.extra=!{key}\u00a05",
    "run c.yaml teacher=openai:m?{key}",
    "run c.yaml teacher=openai:m?{phrase}",
    "run c.yaml teacher=openai:m?timeout=[{key}",
    "run c.yaml teacher={key}",
    "run c.yaml teacher={phrase}",
    "run c.yaml {key}",
    "run c.yaml {phrase}",
    "run c.yaml seed={key}",
    "run c.yaml training={key}",
    "run c.yaml training.epochs={key}",
    "run {key}",
    "tasks {key}",
    "chat openai:m {key}",
    "chat {key}",
    "status {key}",
    "cache ls --limit {key}",
    "{key}",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("words", WORDS)
def test_on_the_command_line(
    words: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(
        "recipe: finetune_cot\ntask: coin_flip?size=20\nteacher: openai:m\nbaselines: []\n"
    )
    given = words.format(key=key, digits=DIGITS, phrase=PHRASE).split(" ")
    more = ["--into", "run"] if given[0] == "run" else []
    code, said = tutelage(tmp_path, monkeypatch, capsys, *(word.replace("\u00a0", " ") for word in given), *more)
    assert code == 2, said
    assert "Traceback" not in said
    nothing_left(tmp_path, said, key, DIGITS, PHRASE)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["v1/{key}/chat", "v1?subscription={key}", "v1?tenant={key}", "v1?code=hunter22"])
def test_in_an_address_it_is_sent_and_kept_nowhere(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:9/{where.format(key=OPAQUE)}"
    (tmp_path / "c.yaml").write_text("recipe: exam\ntask: coin_flip?size=20\nlimit: 2\nmodel: 'worked:'\n")
    spec = json.dumps({"kind": "openai", "name": "m", "base_url": url, "tries": 1, "key": "MY_KEY"})
    monkeypatch.setenv("MY_KEY", "anything")
    code, said = tutelage(tmp_path, monkeypatch, capsys, "run", "c.yaml", f"model={spec}", "--into", "run")
    assert code == 2, said
    assert "hidden-" in (tmp_path / "run" / "config.yaml").read_text()
    nothing_left(tmp_path, said, OPAQUE, "hunter22")


ODD = {
    "!!timestamp zz": "c.yaml:3 is not YAML",
    "!!bool zz": "a value is not what its tag says it is",
    "!!binary aGk=": "c.yaml:3 is not YAML",
    "!!set {a, b}": "c.yaml:3 is not YAML",
    "{kind: openai, name: m, timeout: .nan}": "timeout must be a number above 0, and is nan",
    "{kind: openai, name: m, extra: {a: [.nan]}}": "extra holds a number without an end",
    "{kind: openai, name: m, extra: {a: .inf}}": "extra holds a number without an end",
    "'worked:'\ncache: \"a\\0b\"": "c.yaml:4 is not YAML: a text with a NUL in it",
    "'hf:smollm2'\nseed: !!int ''": "a value is not what its tag says it is",
}


@pytest.mark.parametrize("value", ODD)
def test_a_value_that_no_config_means(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(f"recipe: exam\ntask: coin_flip?size=20\nmodel: {value}\n")
    code, said = tutelage(tmp_path, monkeypatch, capsys, "run", "c.yaml", "--into", "run")
    assert code == 2, said
    assert said.startswith("error: ")
    assert ODD[value] in said
    assert not (tmp_path / "run").exists()


def test_the_numbers_of_cache_may_be_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ReplyCache(tmp_path / "r.sqlite").put("k", b'{"model": "m", "messages": [["user", "?"]]}', Reply(text="yes"))
    for words, says in (
        ("ls --limit 0", ""),
        ("ls", "| yes"),
        ("prune --older-than-days 9999999", "0 replies would be forgotten"),
        ("prune --older-than-days 1e300", "0 replies would be forgotten"),
        ("prune --older-than-days 0", "1 replies would be forgotten"),
    ):
        code, said = tutelage(tmp_path, monkeypatch, capsys, "cache", *words.split(), "--file", "r.sqlite")
        assert code == 0, said
        assert (says in said) if says else not said
