"""An exported student answers as in its exam, for whoever loads it and with nothing of ours."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import door

import tutelage
from tutelage.errors import TutelageError
from tutelage.exporting import folder
from tutelage.exporting.checking import Checked
from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt

Finished = Callable[[str, str, bool], Path]
KINDS = [
    ("finetune_cot", "base", False),
    ("finetune_cot", "chat", True),
    ("tailored", "base", True),
    ("tailored", "chat", False),
]
# What the model card tells its reader to do, one question after the other.
PLAIN = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
for folder in sys.argv[2:]:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    said = []
    for text in json.load(open(sys.argv[1])):
        messages = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        reply = model.generate(**prompt)
        said.append(tokenizer.decode(reply[0, prompt["input_ids"].shape[1]:], skip_special_tokens=True).strip())
    print(json.dumps([str(model.dtype), said]))
assert not [name for name in sys.modules if name.startswith("tutelage")]
"""


def in_a_fresh_process(tmp_path: Path, texts: list[str], *folders: Path) -> list[tuple[str, list[str]]]:
    (tmp_path / "asked.json").write_text(json.dumps(texts))
    words = [sys.executable, "-c", PLAIN, str(tmp_path / "asked.json"), *map(str, folders)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def exam_of(run: Path) -> dict[str, str]:
    """Question -> what the awarded student answered in the final exam."""
    awarded = json.loads((run / "student" / "facts.json").read_text()).get("why", "")
    step = f"{awarded.split()[1].rstrip(',')}-test" if awarded else "finetune_cot"
    return {one.question: one.text for one in records.read_records(run / step / "records.jsonl", Attempt)}


def test_plain_transformers_gives_the_answers_of_the_exam(finished: Finished, tmp_path: Path) -> None:
    questions = {question.id: question for question in find_task("coin_flip?size=100").load("test")}
    folders, expected = [], []
    for place, kind in enumerate(KINDS):
        run = finished(*kind)
        told: list[str] = []
        made = tutelage.export(run, tmp_path / str(place), check=5, tell=told.append)
        assert made.checked is not None
        assert (made.checked.questions, made.checked.of, made.checked.texts, made.checked.own) == (5, 12, 5, 5)
        assert any("5 of 5 answers are the exam's to the letter" in line for line in told)
        assert not list(made.path.glob("adapter*"))
        folders.append(made.path)
        expected.append(exam_of(run))
    asked = list(expected[0])
    assert all(set(answers) == set(asked) for answers in expected)
    replies = in_a_fresh_process(tmp_path, [questions[name].text for name in asked], *folders)
    for kind, (dtype, said), answers in zip(KINDS, replies, expected, strict=True):
        assert dtype == "torch.float32"
        assert said == [answers[name] for name in asked], kind
        assert len(set(said)) > 3 or kind[0] == "tailored", "students that always say the same would pass any check"


def test_other_weights_are_found_out(finished: Finished, tmp_path: Path) -> None:
    """The check compares with what was recorded: a run whose student was changed behind its back is seen."""
    run = shutil.copytree(finished("finetune_cot", "base", False), tmp_path / "run")
    shutil.copy(finished("tailored", "base", False) / "1-student" / "model.safetensors", run / "student")
    made = tutelage.export(run, tmp_path / "out", check=12)
    assert made.checked is not None
    assert made.checked.texts < 6
    assert any("either student/ was changed after the exam" in line for line in made.checked.lines())
    assert f"{made.checked.texts} of 12 answers are the exam's to the letter" in (made.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((50, 50, 30, 30, 0, 50), ""),
        ((49, 49, 30, 31, 0, 50), "what differs is the rounding of other batches"),
        ((40, 42, 22, 30, 1, 50), "rounding does not explain it"),  # 1 fixed, 9 broken
        ((20, 45, 30, 30, 2, 50), "rounding does not explain it"),
        ((49, 49, 30, 30, 0, 48), "writes only 48 of 50 the same: these weights are rounded otherwise"),
    ],
)
def test_what_differs_is_explained(numbers: tuple[int, ...], says: str) -> None:
    texts, answers, right, right_then, fixed, own = numbers
    counts = {"texts": texts, "answers": answers, "right": right, "right_then": right_then, "fixed": fixed, "own": own}
    first, *more = Checked(questions=50, of=200, attempts=50, **counts).lines()
    assert first.startswith(f"{texts} of 50 answers are the exam's to the letter, {answers} of 50 in what is read")
    assert [says in line for line in more] == ([True] if says else [])


def test_a_dtype_that_rounds_is_said_to(finished: Finished, tmp_path: Path) -> None:
    told: list[str] = []
    made = tutelage.export(finished("finetune_cot", "chat", True), tmp_path / "out", "bfloat16", 12, tell=told.append)
    from safetensors import safe_open

    with safe_open(made.path / "model.safetensors", framework="pt") as weights:
        assert {weights.get_slice(key).get_dtype() for key in weights.keys()} == {"BF16"}  # noqa: SIM118
    assert made.checked is not None
    assert (made.checked.own < 12) == any("rounded otherwise than in the exam" in line for line in told)


def test_a_base_models_own_way_of_drawing_is_left_behind(finished: Finished, tmp_path: Path) -> None:
    """Exams know no repetition penalty, so an export that kept the base model's would answer otherwise."""
    run = shutil.copytree(finished("finetune_cot", "chat", False), tmp_path / "run")
    file = run / "student" / "generation_config.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps(before | {"do_sample": True, "temperature": 0.7, "repetition_penalty": 3.0}))
    made = tutelage.export(run, tmp_path / "out", check=0)
    after = json.loads((made.path / "generation_config.json").read_text())
    assert after["eos_token_id"] == before["eos_token_id"]
    assert (after["do_sample"], after["max_new_tokens"]) == (False, 40)
    assert not {"temperature", "repetition_penalty"} & after.keys()


def test_an_export_is_asked_as_it_was_taught(finished: Finished, tmp_path: Path) -> None:
    made = tutelage.export(finished("finetune_cot", "base", False), tmp_path / "out", check=0)
    raw = {
        "recipe": "exam",
        "model": {"kind": "hf", "name": str(made.path), "dtype": "float32"},
        "task": "coin_flip?size=100",
        "limit": 12,
        "exam": {"max_tokens": 40},
    }
    tutelage.run(raw, tmp_path / "exam")
    again = records.read_records(tmp_path / "exam" / "exam" / "records.jsonl", Attempt)
    assert {one.question: one.text for one in again} == exam_of(finished("finetune_cot", "base", False))


def cli(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return door.tutelage("export", *words)


def test_the_command_writes_everything_and_replaces_its_own(finished: Finished, tmp_path: Path) -> None:
    run, out = finished("tailored", "chat", False), tmp_path / "my student"
    done = cli(run, "--to", out, "--gguf", "q8_0", "--check", "3")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 answers are the exam's to the letter" in done.stdout
    first = {path.name for path in out.rglob("*")}
    assert first >= {
        "model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "README.md", "my-student.q8_0.gguf", "Modelfile", "prompt_completion.jsonl",
        "chat.jsonl", "preference.jsonl", "export.json",
    }  # fmt: skip
    tutelage.export(run, out, check=0)
    assert {path.name for path in out.rglob("*")} == first - {"my-student.q8_0.gguf", "Modelfile"}
    assert "Not checked" in (out / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["my student"]


def test_no_path_of_this_machine_is_handed_on(finished: Finished, tmp_path: Path) -> None:
    run = finished("tailored", "base", True)
    made = tutelage.export(run, tmp_path / "out", check=0)
    for file in made.path.rglob("*"):
        if file.suffix in (".json", ".md", ".jsonl", ".jinja"):
            assert str(run.parents[2]) not in file.read_text(), file


def without(run: Path, *steps: str) -> Callable[[Path], Path]:
    def made(tmp_path: Path) -> Path:
        copy = shutil.copytree(run, tmp_path / "run")
        for step in steps:
            shutil.rmtree(copy / step)
        return copy

    return made


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        (("student",), "its student is missing. Go on with: tutelage run "),
        (("finetune_cot",), "the final exam of its student is missing. Go on with: tutelage run "),
    ],
)
def test_an_unfinished_run_says_what_is_missing(
    finished: Finished, tmp_path: Path, missing: tuple[str, ...], says: str
) -> None:
    run = without(finished("finetune_cot", "base", False), *missing)(tmp_path)
    with pytest.raises(TutelageError, match="is not finished: ") as error:
        folder.export(run, tmp_path / "out")
    assert says in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_is_no_run_is_said(finished: Finished, tmp_path: Path) -> None:
    run = finished("finetune_cot", "base", False)
    with pytest.raises(TutelageError, match="is not a run: it holds no config.yaml$"):
        folder.export(tmp_path, tmp_path / "out")
    with pytest.raises(TutelageError, match=f"is not a run: it holds no config.yaml; its run is {run}$"):
        folder.export(run / "student", tmp_path / "out")
    raw = {"recipe": "exam", "model": "worked:", "task": "coin_flip?size=20"}
    tutelage.run(raw, tmp_path / "exam")
    with pytest.raises(TutelageError, match="recipe 'exam', which trains no student"):
        folder.export(tmp_path / "exam", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"gguf": "q4_0"}, "--gguf q4_0: did you mean 'q8_0'"),
        ({"dtype": "bf16"}, "--dtype bf16: "),
        ({"check": -1}, "--check -1: "),
    ],
)
def test_bad_options_are_named_before_anything_is_done(
    finished: Finished, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(TutelageError, match=says):
        folder.export(finished("finetune_cot", "base", False), tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_export_is_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = cli(finished("finetune_cot", "base", False), "--to", tmp_path / "mine")
    assert done.returncode == 2
    assert "is not empty and no earlier export; choose another --to" in done.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(TutelageError, match="is a file"):
        folder.export(finished("finetune_cot", "base", False), tmp_path / "mine" / "thesis.txt")


def test_an_export_that_fails_leaves_the_earlier_one(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished("finetune_cot", "base", False)
    tutelage.export(run, tmp_path / "out", check=0)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir())

    def full(*anything: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tutelage.exporting.lessons.write_lessons", full)
    with pytest.raises(OSError, match="No space"):
        folder.export(run, tmp_path / "out", check=0)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
