"""Users' own files and data sets of the hub: what is read, and what is said when it cannot be."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tutelage.errors import ConfigError, DataError, MissingPackage, TutelageError
from tutelage.tasks.auditing import audit
from tutelage.tasks.catalog import anchored, find_task
from tutelage.tasks.datasets.sources import make_hub, make_local, trained_rows

GOOD = {"question": "1 + 1?", "answer": "2"}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("rows", "kind", "text"),
    [
        ([GOOD, "{"], "number", r"q\.jsonl:2: not JSON"),
        ([GOOD, "[1]"], "number", r"q\.jsonl:2: a list, not a JSON object"),
        ([GOOD, {"qestion": "x", "answer": "1"}], "number", r"q\.jsonl:2: no field 'question'.*did you mean 'qestion'"),
        ([{"question": "x", "anwser": 1}], "number", r"q\.jsonl:1: no field 'answer'.*did you mean 'anwser'"),
        ([GOOD | {"id": 1}, "", GOOD | {"id": "1"}], "number", r"q\.jsonl:3: the id '1' is repeated.*q\.jsonl:1"),
        ([GOOD | {"id": 1}, GOOD], "number", r"q\.jsonl:2: no field 'id'"),
        ([GOOD | {"id": 1}, GOOD | {"id": " "}], "number", r"q\.jsonl:2: the id .*is empty"),
        ([GOOD | {"split": "train"}, GOOD], "number", r"q\.jsonl:2: no field 'split'"),
        ([{"question": "  ", "answer": "1"}], "number", r"q\.jsonl:1: the question .*is empty"),
        ([{"question": None, "answer": "1"}], "number", r"q\.jsonl:1: the question .*is empty"),
        ([{"question": "x", "answer": ""}], "number", r"q\.jsonl:1: the answer .*is empty"),
        ([{"question": "x", "answer": ["1"]}], "number", r"q\.jsonl:1: the field 'answer' is a list"),
        ([{"question": {"a": 1}, "answer": "1"}], "number", r"q\.jsonl:1: the field 'question' is a dict"),
        ([GOOD | {"choices": "a, b"}], "choice", r"q\.jsonl:1: the field 'choices' is not a JSON list"),
        ([GOOD | {"choices": ["a"]}], "choice", r"q\.jsonl:1: the field 'choices' has 1 choices"),
        ([GOOD | {"choices": 3}], "choice", r"q\.jsonl:1: the field 'choices' is a int"),
        ([GOOD | {"choices": {"label": ["A"]}}], "choice", r"q\.jsonl:1: the field 'choices' has no 'text'"),
        ([GOOD | {"choices": {"label": ["A"], "text": ["a", "b"]}}], "choice", "2 choices and 1 labels"),
        ([GOOD | {"choices": ["a", ""]}], "choice", r"q\.jsonl:1: the field 'choices' has an empty choice"),
        (
            [GOOD | {"choices": ["a", "b"], "answer": "C"}],
            "choice",
            r"q\.jsonl:1: the gold answer 'C' is none of .*A, B",
        ),
        ([GOOD | {"choices": ["a", "b"], "answer": "2"}], "choice", r"q\.jsonl:1: the gold answer '2' is none of"),
        ([GOOD | {"answer": "blue"}], "choice", r"q\.jsonl:1: the gold answer 'blue' is no letter"),
        ([], "number", "holds no rows"),
        ([GOOD], "numbr", "unknown kind of answer 'numbr'; did you mean 'number'"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, rows: list[Any], kind: str, text: str) -> None:
    path = write(tmp_path / "q.jsonl", rows)
    with pytest.raises(TutelageError, match=text):
        make_local(path, kind)


def test_fields_are_renamed_and_filled(tmp_path: Path) -> None:
    row = {"q": "1 + 1?", "a": 2, "key": 7, "part": "dev", "kind": "sum", "why": "1 and 1"}
    fields = {"question": "q", "answer": "a", "id": "key", "split": "part", "template": "kind", "rationale": "why"}
    task = make_local(write(tmp_path / "q.jsonl", [row]), "number", fields)
    [question] = task.load("dev")
    assert (question.id, question.text, question.answer, question.template) == ("7", "1 + 1?", "2", "sum")
    assert question.rationale == "1 and 1"
    assert question.source.endswith("q.jsonl:1")


def test_unknown_field_and_missing_column(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", [GOOD])
    with pytest.raises(ConfigError, match="'quesion'; did you mean 'question'"):
        make_local(path, "number", {"quesion": "q"})
    with pytest.raises(DataError, match="no field 'why' for the rationale"):
        make_local(path, "number", {"rationale": "why"})


@pytest.mark.parametrize(
    ("choices", "answer", "texts", "letter"),
    [
        (["a", "b"], "B", ("a", "b"), "B"),
        (["a", "b"], "(B)", ("a", "b"), "B"),
        (["a", "b"], "b", ("a", "b"), "B"),
        (["red", "blue"], "blue", ("red", "blue"), "B"),
        (["A)21", "B)22"], "B", ("21", "22"), "B"),
        (["(A) x", "(B) y"], "A", ("x", "y"), "A"),
        (["A. x", "y"], "A", ("A. x", "y"), "A"),
        ({"label": ["A", "B"], "text": ["x", "y"]}, "B", ("x", "y"), "B"),
        ({"label": ["1", "2", "3"], "text": ["x", "y", "z"]}, "3", ("x", "y", "z"), "C"),
        ('["x", "y"]', "A", ("x", "y"), "A"),
        ([3, 4], "A", ("3", "4"), "A"),
        (None, "(C)", (), "C"),
    ],
)
def test_choices_and_their_gold(tmp_path: Path, choices: Any, answer: str, texts: tuple[str, ...], letter: str) -> None:
    row = {"question": "Which?", "answer": answer, "choices": choices}
    task = make_local(write(tmp_path / "q.jsonl", [row]), "choice")
    [question] = task.load("all")
    assert (question.choices, question.answer) == (texts, letter)
    audit(task, [question])
    ending = " Answer choices: (A)" if texts else "Which?"
    assert ending in task.ask(question).messages[0].content


def test_true_and_false_are_yes_and_no(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", [{"question": "x", "answer": True}, {"question": "y", "answer": False}])
    assert [question.answer for question in make_local(path, "yes_no").load("all")] == ["yes", "no"]


def test_splits_of_one_file(tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.jsonl", [GOOD] * 10)
    assert make_local(bare, "number").splits == ("all",)
    assert make_local(bare, "number", split="dev").splits == ("dev",)
    ruled = make_local(bare, "number", split_rule=0.7)
    wanted = set(np.random.RandomState(0).permutation(10)[:7].tolist())
    assert {int(question.id) for question in ruled.load("train")} == wanted
    assert len(ruled.load("test")) == 3
    carried = write(tmp_path / "carried.jsonl", [GOOD | {"split": "train"}, GOOD | {"split": "test"}])
    assert make_local(carried, "number").splits == ("train", "test")
    with pytest.raises(ConfigError, match="carry their own split"):
        make_local(carried, "number", split_rule=0.7)
    with pytest.raises(ConfigError, match="not both"):
        make_local(bare, "number", split="dev", split_rule=0.7)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        make_local(bare, "number", split_rule=70)
    with pytest.raises(TutelageError, match="no split 'tset'; did you mean 'test'"):
        ruled.load("tset")


def test_published_sizes_follow_from_the_rule() -> None:
    sizes = {508: 356, 395: 276, 600: 420, 1000: 700, 369: 258, 750: 525, 500: 350, 2290: 1603}
    assert {count: len(trained_rows(count)) for count in sizes} == sizes


def test_one_file_a_split(tmp_path: Path) -> None:
    files = {"train": write(tmp_path / "a.jsonl", [GOOD, GOOD]), "test": str(tmp_path / "missing.jsonl")}
    task = make_local(files, "number")
    assert [question.id for question in task.load("train")] == ["train-0", "train-1"]
    with pytest.raises(DataError, match=r"no file .*missing\.jsonl"):
        task.load("test")
    with pytest.raises(ConfigError, match="leave out split"):
        make_local(files, "number", split="dev")
    with pytest.raises(ConfigError, match="empty mapping"):
        make_local({}, "number")


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text('\ufeffquestion,answer,choices\n"one, two?",b,"[""a"", ""b""]"\n', "utf-8")
    [question] = make_local(str(path), "choice").load("all")
    assert (question.text, question.choices, question.answer) == ("one, two?", ("a", "b"), "B")
    assert question.source.endswith("q.csv:2")
    path.write_text("question,answer\nx,1\ny\n", "utf-8")
    with pytest.raises(DataError, match=r"q\.csv:3: not as many columns"):
        make_local(str(path), "number")
    path.write_text("question,answer\nx,1,2\n", "utf-8")
    with pytest.raises(DataError, match=r"q\.csv:2: not as many columns"):
        make_local(str(path), "number")
    path.write_text('question,answer\n"x,1\n', "utf-8")
    with pytest.raises(DataError, match="not CSV"):
        make_local(str(path), "number")


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    path = tmp_path / "q.parquet"
    choices = {"label": ["1", "2"], "text": ["x", "y"]}
    pyarrow.parquet.write_table(pa.table({"question": ["Which?"], "answer": ["2"], "choices": [choices]}), path)
    [question] = make_local(str(path), "choice").load("all")
    assert (question.answer, question.choices) == ("B", ("x", "y"))
    assert question.source.endswith("q.parquet:row 1")
    path.write_text("no parquet")
    with pytest.raises(DataError, match="not a Parquet file"):
        make_local(str(path), "choice")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path / "questions.jsonl", [GOOD])
    for name, text in [
        ("question.jsonl", "did you mean 'questions.jsonl'"),
        ("nowhere/q.jsonl", "there is no folder"),
        ("q.txt", r"must end in \.jsonl, \.csv, \.parquet"),
    ]:
        with pytest.raises(DataError, match=text):
            make_local(str(tmp_path / name), "number")
    (tmp_path / "latin.jsonl").write_bytes('{"question": "caf\xe9", "answer": "1"}'.encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        make_local(str(tmp_path / "latin.jsonl"), "number")


def test_paths_expand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "q.jsonl", [GOOD])
    monkeypatch.setenv("MY_FOLDER", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("$MY_FOLDER/q.jsonl", "${MY_FOLDER}/q.jsonl", "~/q.jsonl"):
        assert len(make_local(path, "number").load("all")) == 1
    monkeypatch.delenv("MY_FOLDER")
    with pytest.raises(ConfigError, match="environment variable MY_FOLDER, which is not set"):
        make_local("$MY_FOLDER/q.jsonl", "number")


Loader = Callable[..., list[dict[str, Any]]]


def fake_hub(monkeypatch: pytest.MonkeyPatch, loader: Loader) -> None:
    module = ModuleType("datasets")
    module.load_dataset = loader  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        asked.append((arguments, options))
        return [{"q": "x", "answer": 1}, {"q": "y", "answer": 2}]

    fake_hub(monkeypatch, load)
    task = make_hub("me/data", "number", config="main", fields={"question": "q"}, splits={"test": "validation"})
    assert task.splits == ("test",)
    first = task.load("test")
    assert [question.id for question in first] == ["test-0", "test-1"]
    assert first[1].source == "me/data:validation:row 2"
    assert task.load("test") == first
    assert asked == [(("me/data", "main"), {"split": "validation"})]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionError("no route\nto host"), "cannot reach the hub for me/data .test.: no route; .*--data DIR"),
        (ValueError("Unknown split"), "cannot load me/data .test. from the hub: Unknown split"),
        (FileNotFoundError(), "cannot load me/data .test. from the hub: FileNotFoundError"),
    ],
)
def test_hub_errors(monkeypatch: pytest.MonkeyPatch, error: Exception, text: str) -> None:
    def load(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        raise error

    fake_hub(monkeypatch, load)
    with pytest.raises(DataError, match=text):
        make_hub("me/data", "number").load("test")


def test_hub_without_rows_or_package(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, lambda *arguments, **options: [])
    with pytest.raises(DataError, match="holds no rows"):
        make_hub("me/data", "number").load("test")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackage, match="pip install datasets"):
        make_hub("me/data", "number").load("test")


def test_a_config_file_names_its_task(tmp_path: Path) -> None:
    (tmp_path / "farm.yaml").write_text("recipe: tailored\ntask: {name: coin_flip, size: 50}\n")
    assert len(find_task(str(tmp_path / "farm.yaml")).load("train")) == 35
    (tmp_path / "none.yaml").write_text("recipe: tailored\n")
    with pytest.raises(ConfigError, match="names no task"):
        find_task(str(tmp_path / "none.yaml"))


def test_a_run_finds_its_questions_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.yaml").write_text("task: {name: local, path: q.jsonl, kind: number}\n")
    whole = {"name": "local", "path": str(tmp_path / "q.jsonl"), "kind": "number"}
    assert anchored("h.yaml") == anchored("local?path=q.jsonl&kind=number") == whole
    assert anchored(whole) == whole
    assert anchored({"name": "local", "path": {"train": "a.csv", "test": "~/b.csv"}})["path"] == {  # type: ignore[index,call-overload]
        "train": str(tmp_path / "a.csv"),
        "test": "~/b.csv",
    }
    assert anchored("coin_flip?size=50") == "coin_flip?size=50"
