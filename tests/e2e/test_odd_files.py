"""Broken and hostile files through the command line: one sentence and exit code 2, in seconds and within a gigabyte or two."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tutelage.config import read_yaml
from tutelage.errors import ConfigError, ModelError
from tutelage.models.opening import open_model
from tutelage.recipes.catalog import check_config
from tutelage.types import Chat, Message, Sampling

BASE = "recipe: finetune_cot\ntask: coin_flip?size=20\nteacher: 'worked:'\nstudent: 'hf:smollm2'\n"


def limited(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))  # of addresses, which are more than memory

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "tutelage", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, preexec_fn=limits, timeout=30, check=False
    )


def refused(done: subprocess.CompletedProcess[str], *says: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for one in says:
        assert one in done.stderr


def doubling(first: str, form: str, count: int = 30) -> str:
    return "\n".join([f"x0: &x0 {first}", *(f"x{i}: &x{i} {form.format(f'*x{i - 1}')}" for i in range(1, count))])


CONFIGS = {
    "alias bomb of mappings": (BASE + doubling("{a: 1}", "{{a: {0}, b: {0}}}"), "more than 100,000 values"),
    "alias bomb of lists": (BASE + doubling("[1]", "[{0}, {0}, {0}]"), "more than 100,000 values"),
    "alias bomb of merges": (BASE + doubling("{a: 1}", "{{<<: [{0}, {0}, {0}]}}"), "more than 100,000 values"),
    "alias of itself": (BASE + "questions: &q {train: *q}", "an alias inside what it stands for"),
    "flow lists": (BASE + "seed: " + "[" * 100_000, "c.yaml:5 is not YAML: nested more than 60 deep"),
    "flow mappings": (BASE + "seed: " + "{a: " * 3000 + "1" + "}" * 3000, "nested more than 60 deep"),
    "block lists": (BASE + "seed:\n" + "".join(" " * i + "-\n" for i in range(1, 3000)), "nested more than 60 deep"),
    "a date for a number": (BASE + "seed: 2024-01-01", "seed = '2024-01-01'"),
    "5,000 digits": (BASE + "seed: " + "9" * 5000, "a whole number of 5000 characters is too large"),
    "400 digits": (BASE + "seed: " + "9" * 400, "too large"),
    "hexadecimal digits": (BASE + "seed: 0x" + "f" * 5000, "too large"),
    "sexagesimal digits": (BASE + "seed: 1" + ":59" * 5000, "too large"),
    "a list as a key": (BASE + "? [a, b]\n: 1", "a key must be a word"),
    "a mapping as a key": (BASE + "? {a: b}\n: 1", "a key must be a word"),
    "a key twice": (BASE + "seed: 1\nseed: 2", "the key 'seed' stands twice"),
    "infinity": (BASE + "training: {learning_rate: .inf}", "training.learning_rate = inf: Input should be a finite"),
    "not a number": (BASE + "exam: {temperature: .nan}", "exam.temperature = nan"),
    "half a character": (BASE + 'data: "\\ud800"', "half of a character"),
    "a control character": (BASE + "seed: \x00", "special characters are not allowed"),
    "an object": (BASE + "seed: !!python/object/apply:os.system ['id']", "could not determine a constructor"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    text, says = CONFIGS[name]
    (tmp_path / "c.yaml").write_text(text)
    begun = time.monotonic()
    with pytest.raises((ConfigError, ModelError)) as error:
        check_config(read_yaml(tmp_path / "c.yaml"), "c.yaml")
    assert time.monotonic() - begun < 5
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_date_is_a_name_somebody_gave(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("task: 2024-01-01\nat: 2024-01-01 10:00:00\n")
    assert read_yaml(tmp_path / "c.yaml") == {"task": "2024-01-01", "at": "2024-01-01 10:00:00"}


@pytest.mark.parametrize("name", ["alias bomb of mappings", "flow lists"])
def test_a_bomb_takes_little_time_and_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIGS[name][0])
    begun = time.monotonic()
    refused(limited(tmp_path, "plan", "c.yaml"), CONFIGS[name][1])
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["seed=1", "seed=1"], "'seed' is given twice"),
        (["training.epochs=1", "training={epochs: 2}"], "would undo 'training.epochs'"),
        (["training.learning_rate=.inf"], "training.learning_rate = inf"),
        (["seed=" + "9" * 5000], "the value of 'seed' is not YAML"),
        (["task=coin_flip?size=" + "9" * 5000], "the value of 'size' cannot be read"),
        (["seed=" + "[" * 50_000], "nested more than 60 deep"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(BASE)
    refused(limited(tmp_path, "plan", "c.yaml", *words), says)


ROWS = {
    "deep.jsonl": ('{"question": ' + "[" * 100_000 + "]" * 100_000 + ', "answer": "yes"}', "deep.jsonl:1: not JSON: nested too deep"),
    "unread.jsonl": ('{"question": "Q", "answer": "yes", "more": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
    "digits.jsonl": ('{"question": "Q", "answer": ' + "9" * 5000 + "}", "a number of more than 4,300 digits"),
    "half.jsonl": ('{"question": "Q \\ud800", "answer": "yes"}', "half.jsonl:1: the field 'question' holds half of a character"),
    "choices.csv": ('question,answer,choices\nQ,A,"' + "[" * 100_000 + '"', "choices.csv:2: the field 'choices' is not a JSON list"),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_cannot_be_read_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(ROWS[name][0] + "\n")
    refused(limited(tmp_path, "audit", "--task", f"local?path={name}&kind=yes_no"), ROWS[name][1])


def test_what_stands_where_a_file_should_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.jsonl").symlink_to("nowhere")
    for name, what in (("folder", "a folder"), ("pipe", "a named pipe"), ("link", "a link to nowhere, which is not")):
        refused(limited(tmp_path, "audit", "--task", f"local?path={name}.jsonl&kind=yes_no"), f"{name}.jsonl is {what}")


def test_long_cells_and_decimals_are_read(tmp_path: Path) -> None:
    (tmp_path / "long.csv").write_text(f'question,answer\n"{"a" * 140_000}",yes\n')
    done = limited(tmp_path, "audit", "--task", "local?path=long.csv&kind=yes_no")
    assert done.returncode == 0, done.stderr
    pa = pytest.importorskip("pyarrow")
    from decimal import Decimal

    import pyarrow.parquet as parquet

    rows = pa.table({"question": ["Q", "R"], "answer": pa.array([Decimal("12.50"), Decimal(-3)], pa.decimal128(9, 2))})
    parquet.write_table(rows, tmp_path / "d.parquet")
    done = limited(tmp_path, "audit", "--task", "local?path=d.parquet&kind=number")
    assert done.returncode == 0, done.stderr
    assert "all 2 gold answers" in done.stdout


def test_half_characters_in_completions_end_no_file(tmp_path: Path) -> None:
    rows = [{"id": "1", "completion": "The answer is 5."}, {"id": "2", "completion": "\ud800 The answer is 5."}]
    (tmp_path / "g.jsonl").write_text("".join(json.dumps({**row, "answer": "5"}) + "\n" for row in rows))
    done = limited(tmp_path, "grade", "g.jsonl", "--kind", "number", "--into", "v.jsonl")
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
    assert "half characters replaced in 1 rows" in done.stdout
    assert len((tmp_path / "v.jsonl").read_text().splitlines()) == 2


def broken(student: Path, folder: Path, file: str, content: bytes) -> Path:
    shutil.copytree(student, folder)
    (folder / file).write_bytes(content)
    return folder


def ask(folder: Path) -> Any:
    model = open_model({"kind": "hf", "name": str(folder), "device": "cpu"})
    return list(model.answer([Chat(messages=(Message("user", "Hi"),))], Sampling(max_tokens=2)))


BROKEN = {
    "half of the weights": ("model.safetensors", None),
    "no weights": ("model.safetensors", b""),
    "a tokenizer that is none": ("tokenizer.json", b'{"model": 5}'),
    "a config that is none": ("config.json", b"[1, 2"),
    "a config of other types": ("config.json", b'{"model_type": "llama", "hidden_size": "many"}'),
    "a template that raises": ("chat_template.jinja", b"{{ 1 + 'a' }}"),
    "a template that is none": ("chat_template.jinja", b"{% for %}"),
    "a template of 10 GB": ("chat_template.jinja", b"{{ 'a' * 10**10 }}"),
    "a template that doubles": (
        "chat_template.jinja",
        b"{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    ),
    "a template without an end": (
        "chat_template.jinja",
        b"{% for i in range(99999) %}{% for j in range(99999) %}{% set x = i * j %}{% endfor %}{% endfor %}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_is_refused(name: str, tmp_path: Path, chat_student: Path) -> None:
    file, content = BROKEN[name]
    whole = (chat_student / "model.safetensors").read_bytes()
    folder = broken(chat_student, tmp_path / "s", file, whole[: len(whole) // 2] if content is None else content)
    begun = time.monotonic()
    with pytest.raises(ModelError) as error:
        ask(folder)
    assert time.monotonic() - begun < 15
    assert "\n" not in str(error.value)


def test_a_broken_adapter_is_refused(tmp_path: Path, chat_student: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(chat_student), LoraConfig(r=2))
    folder = tmp_path / "adapter"
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(chat_student).save_pretrained(folder)
    assert ask(folder)
    weights = load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").write_bytes(b"\x08")
    with pytest.raises(ModelError):
        ask(folder)
    save_file(weights, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="names no base model"):
        ask(folder)


def test_a_torn_event_is_mended_when_the_run_goes_on(tmp_path: Path) -> None:
    words = ["exam", "worked:", "--task", "coin_flip?size=20", "--into", "run", "--limit", "4"]
    assert limited(tmp_path, *words).returncode == 0
    events = tmp_path / "run" / "events.jsonl"
    whole = events.read_bytes()
    for torn in (whole[:-9], whole[:-1]):  # in the middle of its last line, and before its end
        events.write_bytes(torn)
        on = limited(tmp_path, *words)
        assert on.returncode == 0, on.stderr
        assert ("torn" in on.stdout) == (torn == whole[:-9])
        assert "Finished." in limited(tmp_path, "status", "run").stdout
        for line in events.read_bytes().splitlines():
            json.loads(line)


def test_a_broken_file_of_a_run_is_named(tmp_path: Path) -> None:
    words = ["exam", "worked:", "--task", "coin_flip?size=20", "--into", "run", "--limit", "4"]
    assert limited(tmp_path, *words).returncode == 0
    for file in ("run.json", "exam/step.json"):
        whole = (tmp_path / "run" / file).read_bytes()
        for content in (whole[: len(whole) // 2], b"[" * 100_000, b"\xff\xfe"):
            (tmp_path / "run" / file).write_bytes(content)
            refused(limited(tmp_path, *words), f"{file} is broken")
        (tmp_path / "run" / file).write_bytes(whole)
    (tmp_path / "run" / "config.yaml").write_text("a: [")
    refused(limited(tmp_path, *words), "config.yaml")
