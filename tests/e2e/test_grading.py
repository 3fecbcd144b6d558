"""The commands that ask no model, through the command line: grade, audit, contamination."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests import door

from tutelage.runs.run import Run
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt

ROOT = Path(__file__).parents[2]
TASK = "word_problems?size=60"


def cli(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return door.tutelage(*words, cwd=ROOT)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_completions_are_graded_against_a_task(tmp_path: Path) -> None:
    questions = find_task(TASK).load("test")
    says = ["The answer is {}.", "I think {}", "The answer is 123456.", "No idea."]
    rows = [{"id": q.id, "completion": says[i % 4].format(q.answer)} for i, q in enumerate(questions)]
    file, out = write(tmp_path / "c.jsonl", rows), tmp_path / "out.jsonl"
    done = cli("grade", file, "--task", TASK, "--into", out, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    graded = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in graded] == [q.id for q in questions]
    kinds = [("right", "right"), ("right", "unread"), ("wrong", "wrong"), ("unread", "unread")]
    assert [(row["verdict"], row["strict"]) for row in graded] == [kinds[i % 4] for i in range(len(questions))]
    assert graded[0]["read"] == questions[0].answer
    assert summary["rows"] == summary["questions"] == len(questions) == 12
    assert (summary["accuracy"], summary["strict_accuracy"], summary["unread"]) == (0.5, 0.25, 0.25)
    assert summary["low"] < 0.5 < summary["high"]


def test_rows_may_bring_their_own_gold(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "gold": r"\frac{1}{2}", "text": r"So \boxed{0.5}"},
        {"id": "a", "gold": r"\frac{1}{2}", "text": r"So \boxed{0.6}"},
        {"id": "b", "gold": "(1,2)", "text": "The answer is $(1,2)$"},
    ]
    file = write(tmp_path / "c.jsonl", rows)
    done = cli("grade", file, "--kind", "math", "--answer-field", "gold", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["questions"], summary["accuracy"]) == (3, 2, 0.75)
    assert "75.0% [" in cli("grade", file, "--kind", "math", "--answer-field", "gold").stdout


def test_numbers_may_be_read_as_published(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", [{"id": "a", "answer": "5", "text": "The answer is 5 + 2."}])
    for words, right in (((), 0), (("--reading", "published"), 1)):
        done = cli("grade", file, "--kind", "number", "--json", *words)
        assert json.loads(done.stdout)["right"] == right, done.stderr
    refused = cli("grade", file, "--task", "svamp", "--reading", "published")
    assert refused.returncode == 2
    assert "--task 'svamp?reading=published'" in refused.stderr


@pytest.mark.parametrize(
    ("row", "words", "says"),
    [
        ({"id": "x", "completion": "1"}, ["--task", TASK], "c.jsonl:2: 'x' is no question of 'word_problems' (test)"),
        ({"id": "test-0", "complétion": "1"}, ["--task", TASK], "c.jsonl:2: no field 'completion' for the completion"),
        ({"id": "test-0", "completion": 5}, ["--task", TASK], "c.jsonl:2: the field 'completion' is a int"),
        ({"id": "test-0", "completion": "5"}, ["--kind", "number"], "no field 'answer' for the gold answer"),
        ({"id": "test-0", "completion": "5"}, ["--kind", "numbr"], "did you mean 'number'"),
        ({"id": "test-0", "completion": "5"}, [], "give --task"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_written(
    tmp_path: Path, row: dict[str, Any], words: list[str], says: str
) -> None:
    good = {"id": "test-0", "completion": "5", **({} if "number" in words else {"answer": "5"})}
    file = write(tmp_path / "c.jsonl", [good, row])
    done = cli("grade", file, *words, "--into", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert says in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl"]


def test_a_finished_run_is_graded_again_without_a_model(tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cli("exam", "worked:", "--task", TASK, "--into", run)
    assert done.returncode == 0, done.stderr
    file = run / "exam" / "records.jsonl"
    file.write_text(file.read_text().replace('"verdict":"right"', '"verdict":"wrong"'))
    done = cli("grade", run)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("exam: was 0.0%, is 100.0% [")
    assert json.loads(cli("grade", run / "exam", "--json").stdout)["accuracy"] == 1.0


def test_golds_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "1+1?", "answer": "2"}, {"id": "b", "question": "1+2?", "answer": "3 to 4"}]
    file = write(tmp_path / "mine.jsonl", rows)
    done = cli("audit", "--task", f"local?path={file}&kind=number")
    assert done.returncode == 2
    assert f"b ({file}:2): gold '3 to 4' is read as None" in done.stdout
    assert "1 of 2 gold answers" in done.stderr
    assert "all 60 gold answers are read back as right" in cli("audit", "--task", TASK).stdout


def test_contamination_shows_what_is_shared(tmp_path: Path) -> None:
    first, second = find_task(TASK).load("test")[:2]
    changed = "".join("7" if letter.isdigit() else letter for letter in second.text)
    rows = [{"prompt": first.text.upper() + " "}, {"prompt": changed}, {"prompt": "How much is one and one?"}]
    file = write(tmp_path / "lessons.jsonl", rows)
    done = cli("contamination", file, "--task", TASK)
    assert done.returncode == 0, done.stderr
    assert f"lessons.jsonl:1: same as {first.id}: {first.text.upper()}" in done.stdout
    assert f"lessons.jsonl:2: template as {second.id}: " in done.stdout
    assert "3 texts against the held-out questions: 1 the same, 1 the same but for numbers" in done.stdout
    assert "no text in the field 'promt'" in cli("contamination", file, "--task", TASK, "--field", "promt").stderr


def test_training_questions_that_are_test_questions_are_not_taught(tmp_path: Path) -> None:
    questions = [{"id": str(i), "question": f"What is {i} and {i}?", "answer": str(2 * i)} for i in range(10)]
    train, test = write(tmp_path / "train.jsonl", questions), write(tmp_path / "test.jsonl", questions[:3])
    config = {
        "recipe": "finetune_cot",
        "task": {"name": "local", "path": {"train": str(train), "test": str(test)}, "kind": "number"},
        "teacher": "scripted:tests.e2e.test_grading:worked",
    }
    file = tmp_path / "c.json"
    file.write_text(json.dumps(config))  # YAML holds JSON
    done = cli("lessons", file, "--into", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "10 texts against the held-out questions: 3 the same" in done.stdout
    kept = [json.loads(line)["question"] for line in (tmp_path / "run/lessons/records.jsonl").read_text().splitlines()]
    assert kept == [str(i) for i in range(3, 10)]
    done = cli("lessons", file, "questions.copies=keep", "--into", tmp_path / "all")
    assert len((tmp_path / "all/lessons/records.jsonl").read_text().splitlines()) == 10


def worked(chat: Any, sample: int) -> str:
    """The right answer to a question of the last test."""
    answer = 2 * int(chat.question)
    return f"Twice {chat.question} makes it. The answer is {answer}."


def two_files(folder: Path, second: str) -> dict[str, Any]:
    """A task of two files with the same ids; `second` is how the test questions are put."""
    train = write(folder / "a.jsonl", [{"id": i, "question": f"What is {i} and 1?", "answer": i + 1} for i in range(8)])
    test = write(folder / "b.jsonl", [{"id": i, "question": second.format(i), "answer": i + 1} for i in range(8)])
    return {"name": "local", "path": {"train": str(train), "test": str(test)}, "kind": "number"}


def test_an_id_that_stands_for_two_questions_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    config = {"recipe": "finetune_cot", "task": two_files(tmp_path, "What is {} and one?"), "teacher": "worked:"}
    config["teacher"] = "scripted:tests.e2e.test_grading:worked"
    (tmp_path / "c.json").write_text(json.dumps({**config, "baselines": []}))
    done = cli("run", tmp_path / "c.json", "--into", tmp_path / "run")
    assert done.returncode == 2, done.stderr
    for part in (
        "the id '0' stands for two questions",
        f"{tmp_path}/a.jsonl:1",
        f"{tmp_path}/b.jsonl:1",
        "fields: {id:",
    ):
        assert part in done.stderr
    assert not list((tmp_path / "run").glob("*/step.json"))
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    done = cli("audit", "--task", tmp_path / "c.yaml")
    assert done.returncode == 2
    assert "the id '0' stands for two questions" in done.stderr
    (tmp_path / "c.json").write_text(json.dumps({**config, "task": two_files(tmp_path, "What is {} and 1?")}))
    done = cli("lessons", tmp_path / "c.json", "--into", tmp_path / "same")
    assert "stands for two questions" not in done.stderr  # the same question in both is one question


def test_a_run_whose_splits_share_ids_is_graded_by_each_exam_s_own_questions(tmp_path: Path) -> None:
    """Such runs were made before they were refused."""
    task = two_files(tmp_path, "What is {} and 1?")
    config = {"recipe": "exam", "model": "scripted:tests.e2e.test_grading:add", "task": task, "split": "train"}
    (tmp_path / "c.json").write_text(json.dumps(config))
    done = cli("run", tmp_path / "c.json", "--into", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    write(tmp_path / "b.jsonl", [{"id": i, "question": f"How many are {i}?", "answer": 99} for i in range(8)])
    done = cli("grade", tmp_path / "run")
    assert done.stdout.startswith("exam: was 100.0%, is 100.0% ["), done.stdout + done.stderr
    assert "is 100.0%" in cli("grade", tmp_path / "run" / "exam").stdout
    file = tmp_path / "run" / "exam" / "records.jsonl"
    file.write_text(file.read_text().replace('"question":"3"', '"question":"nobody\'s"'))
    done = cli("grade", tmp_path / "run")
    assert done.returncode == 2
    assert 'exam/records.jsonl holds an answer to "nobody\'s"' in done.stderr


def add(chat: Any, sample: int) -> str:
    """The right answer to a question of two_files."""
    return f"The answer is {int(chat.question) + 1}."


def test_completions_are_never_written_over(tmp_path: Path) -> None:
    rows = [{"id": str(i), "answer": "5", "completion": "The answer is 5."} for i in range(3)]
    file = write(tmp_path / "c.jsonl", rows)
    whole = file.read_bytes()
    (tmp_path / "same.jsonl").hardlink_to(file)
    (tmp_path / "link.jsonl").symlink_to(file)
    (tmp_path / "folder").mkdir()
    for into, says in (
        ("c.jsonl", "is the file that is graded"),
        ("same.jsonl", "is the file that is graded"),
        ("link.jsonl", "is the file that is graded"),
        ("folder", "is a folder"),
        ("nowhere/v.jsonl", "there is no folder"),
    ):
        done = cli("grade", file, "--kind", "number", "--into", tmp_path / into)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert file.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "folder", "link.jsonl", "same.jsonl"]


@pytest.mark.parametrize(
    ("name", "second", "says"),
    [
        ("c.jsonl", '{"id": "b", "completion": "5", "answer": null}', "c.jsonl:2: the gold answer (field 'answer') is null"),
        ("c.jsonl", '{"id": "b", "completion": "5", "answer": NaN}', "c.jsonl:2: the gold answer (field 'answer') is NaN"),
        ("c.jsonl", '{"id": "b", "completion": "5", "answer": "5", "answer": "6"}', "c.jsonl:2: not JSON: the key 'answer' stands twice"),
        ("c.csv", "id,completion,answer,answer\na,5,5,6", "c.csv:1: the column 'answer' stands twice"),
    ],
)  # fmt: skip
def test_a_gold_answer_that_is_none_is_refused(tmp_path: Path, name: str, second: str, says: str) -> None:
    first = '{"id": "a", "completion": "The answer is 5.", "answer": "5"}\n' if name == "c.jsonl" else ""
    (tmp_path / name).write_text(f"{first}{second}\n")
    done = cli("grade", tmp_path / name, "--kind", "number")
    assert done.returncode == 2, done.stdout
    assert says in done.stderr


def test_a_gold_answer_of_a_task_may_be_missing_from_no_row_either(tmp_path: Path) -> None:
    for gold in ("NaN", "Infinity"):
        (tmp_path / "q.jsonl").write_text(f'{{"question": "1+1?", "answer": {gold}}}\n')
        done = cli("audit", "--task", f"local?path={tmp_path / 'q.jsonl'}&kind=number")
        assert done.returncode == 2
        assert "q.jsonl:1" in done.stderr


def test_an_id_with_other_choices_is_another_question(tmp_path: Path) -> None:
    """In a run from before they were refused: a letter means what stands behind it."""
    rows = [
        {"id": "0", "question": "Which?", "choices": choices, "answer": "A"} for choices in (["x", "y"], ["y", "x"])
    ]
    task = {"name": "local", "kind": "choice", "path": {}}
    for split, row in zip(("train", "test"), rows, strict=True):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
        task["path"][split] = str(tmp_path / f"{split}.jsonl")  # type: ignore[index]
    config = {"recipe": "exam", "model": "scripted:tests.e2e.test_grading:worked", "task": task, "split": "train"}
    run = Run.start(tmp_path / "run", config, {"promised": {"exam": {"title": "exam"}}})
    run.records("exam", Attempt, lambda kept: [Attempt(question="0", text="(A)", verdict="right")], {"paper": {}})
    run.close()
    done = cli("grade", tmp_path / "run")
    assert done.returncode == 2
    assert "does not say which of the two questions '0'" in done.stderr
