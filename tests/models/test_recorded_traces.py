"""Published sets of traces as teachers: several formats, found by the question's text, and never held in memory whole."""

import csv
import json
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tutelage.errors import DataError, ModelError
from tutelage.models.opening import open_model
from tutelage.types import Chat, Message, Reply, Sampling

ROWS: list[dict[str, Any]] = [
    {"problem": f"What is {n} + {n}?\nGive a number.", "solution": f"<think>Twice {n}.</think>\n\nIt is {2 * n}.", "answer": str(2 * n)}
    for n in range(1, 30)
]  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("\ufeff" * (path.suffix == ".jsonl") + "".join(json.dumps(row) + "\n\n" for row in rows))
    return path


def put(text: str, before: str = "", behind: str = "") -> Chat:
    asked = f"{before}{text}{behind}"
    return Chat(messages=(Message("user", asked),), question="7", text=text, purpose="rationale")


def ask(spec: dict[str, Any], *chats: Chat, n: int = 1) -> list[list[Reply]]:
    return [replies for _, replies in sorted(open_model({"kind": "recorded", **spec}).answer(chats, Sampling(n=n)))]


@pytest.mark.parametrize("name", ["set.jsonl", "set.parquet", "set.csv", "set.traces"])
def test_rows_are_found_by_the_text_of_their_question(tmp_path: Path, name: str) -> None:
    spec = {"path": str(write(tmp_path / name, ROWS)), "question": "problem", "reply": "solution"}
    chats = [put(ROWS[n]["problem"], "Q: ", "\nA: Let's think step by step.") for n in (20, 0, 28)]
    chats += [put(ROWS[3]["problem"].replace("\n", "  "), behind=" Answer choices: (A) 8, (B) 9")]
    found = ask(spec, *chats)
    assert [one.text for (one,) in found] == [ROWS[n]["solution"] for n in (20, 0, 28, 3)]
    assert {one.finish for (one,) in found} == {"eos"}
    for other in (
        "What is 1 + 2?",
        f"{ROWS[0]['problem']} And twice that?",
        "What is 1 +",
    ):  # one that begins alike is another
        with pytest.raises(ModelError, match="holds no reply for question '7'"):
            ask(spec, put(other))


def test_a_folder_of_files_is_one_set_and_rows_of_one_question_are_its_samples(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    write(tmp_path / "a.parquet", ROWS[:20])
    write(tmp_path / "more" / "b.jsonl", [*ROWS[20:], {**ROWS[0], "solution": "Another way. It is 2."}])
    (tmp_path / "README.md").write_text("# A set of traces")
    spec = {"path": str(tmp_path), "question": "problem", "reply": "solution"}
    (two, (late, *_)) = ask(spec, put(ROWS[0]["problem"]), n=2)[0], ask(spec, put(ROWS[28]["problem"]))[0]
    assert [one.text for one in two] == [ROWS[0]["solution"], "Another way. It is 2."]
    assert late.text == ROWS[28]["solution"]
    with pytest.raises(ModelError, match=r"holds 1 sample.* of 'solution'"):
        ask(spec, put(ROWS[28]["problem"]), n=2)


def test_turns_are_read_as_published_sets_write_them(tmp_path: Path) -> None:
    said = "<think>\nHm.\n</think>\n\n\\boxed{4}"
    openai = {
        "messages": [
            {"role": "system", "content": "Think."},
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": said},
        ]
    }
    sharegpt = {"conversations": [{"from": "user", "value": "3+3?"}, {"from": "gpt", "value": "So 6."}]}
    ids = {"id": "q-9", "messages": openai["messages"]}
    found = [
        ask({"path": str(write(tmp_path / "one.jsonl", [openai, sharegpt]))}, put("2+2?"), put("3+3?")),
        ask({"path": str(write(tmp_path / "two.parquet", [openai]))}, put("2+2?")),
        ask({"path": str(write(tmp_path / "three.jsonl", [ids]))}, Chat(messages=(Message("user", "x"),), question="q-9")),
    ]  # fmt: skip
    assert [[one.text for (one,) in replies] for replies in found] == [[said, "So 6."], [said], [said]]
    assert found[0][0][0].finish == "eos"


def test_thinking_in_a_column_of_its_own(tmp_path: Path) -> None:
    rows = [{"q": "2+2?", "traces": ["Two, two.", "Four"], "generations": ["It is 4.", "4"]}]
    spec = {"path": str(write(tmp_path / "set.parquet", rows)), "question": "q", "reply": "generations"}
    ((one, two),) = ask({**spec, "thinking": "traces"}, put("2+2?"), n=2)
    assert (one.thinking, one.text, two.thinking, two.finish) == ("Two, two.", "It is 4.", "Four", "eos")
    short = [{"q": "2+2?", "traces": ["Two, two."], "generations": ["It is 4.", "4"]}]
    with pytest.raises(DataError, match=r"2 replies in 'generations' and 1 texts in 'traces'"):
        ask({**spec, "path": str(write(tmp_path / "short.jsonl", short)), "thinking": "traces"}, put("2+2?"))


@pytest.mark.parametrize(
    ("row", "spec", "said"),
    [
        ({"problem": "x", "solution": "y"}, {"question": "problm"}, r":1 has no field 'problm' for the question; did you mean 'problem'"),
        ({"problem": "x", "solution": "y"}, {"question": "problem"}, r":1 needs 'reply', 'messages'"),
        ({"problem": " ", "reply": "y"}, {"question": "problem"}, r":1 has no field 'id', and no question"),
        ({"messages": [{"role": "assistant", "content": "y"}]}, {}, r":1 has no field 'id', and no question"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_traces_is_named_by_line(
    tmp_path: Path, row: dict[str, Any], spec: dict[str, str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        ask({"path": str(write(tmp_path / "set.jsonl", [row])), **spec}, put("x"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file in this folder ends in \.csv, \.jsonl, \.parquet"):
        ask({"path": str(tmp_path / "empty")}, put("x"))
    (tmp_path / "odd.jsonl").write_bytes(b'{"id": 1, "reply": "a"}\n{"id": 2, "reply": "\xff"}\n')
    with pytest.raises(DataError, match=r"odd\.jsonl: not UTF-8 text \(byte 44\)"):
        ask({"path": str(tmp_path / "odd.jsonl")}, put("x"))


@pytest.mark.parametrize("name", ["set.jsonl", "set.parquet"])
def test_a_large_set_is_not_held(tmp_path: Path, name: str) -> None:
    rows = [{"q": f"{n}?", "reply": f"{n} is it. " + "Because I say so. " * 500} for n in range(4000)]  # 36 MB
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)
    else:
        write(path, rows)
    last = rows[-1]["reply"].strip()
    del rows
    tracemalloc.start()
    ((reply,), *_) = ask({"path": str(path), "question": "q"}, put("3999?"), *[put(f"{n}?") for n in range(50)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reply.text == last
    assert peak < 12e6


def test_a_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(id: str, config: str | None, split: str) -> list[dict[str, Any]]:
        asked.append((id, config, split))
        if "none" in id:
            raise ConnectionError("no route")
        return ROWS

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))
    spec = {"hub": "org/traces", "config": "v2", "question": "problem", "reply": "solution"}
    ((reply,),) = ask(spec, put(ROWS[4]["problem"]))
    assert (reply.text, reply.model) == (ROWS[4]["solution"], "recorded:org/traces")
    assert asked == [("org/traces", "v2", "train")]
    with pytest.raises(DataError, match=r"cannot reach the hub for org/none \(test\): no route"):
        ask({"hub": "org/none", "split": "test"}, put("x"))
