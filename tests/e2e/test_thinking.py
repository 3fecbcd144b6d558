"""What a reasoning teacher thinks, as lessons and in exams, through the command line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.e2e.test_first_replies import ANSWERS, config
from tests.e2e.test_teacher import cli, write
from tests.server import teaching
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tutelage.errors import ModelError
from tutelage.models.local import templates
from tutelage.runs import records
from tutelage.types import Attempt, Lesson, Message

THOUGHT = "Heads up at first.\n\nWait, how often is it flipped? I count again."


def in_marks(messages: list[dict[str, str]]) -> str:
    """As a server without a reasoning parser sends it."""
    answer = next(answer for question, answer in ANSWERS.items() if question in messages[0]["content"])
    return f"<think>\n{THOUGHT}\n</think>\n\nCount the flips, then look. The answer is {answer}."


def lessons_of(folder: Path) -> list[Lesson]:
    return records.read_records(folder / "lessons" / "records.jsonl", Lesson)


def test_what_a_teacher_thinks_is_left_out_or_kept(tmp_path: Path) -> None:
    with teaching(in_marks) as teacher:
        write(tmp_path, config(teacher))
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "without")
        assert done.returncode == 0, done.stderr
        done = cli(tmp_path, "lessons", "c.yaml", "rationales.thinking=keep", "exam.max_tokens=10", "--into", "with")
        assert done.returncode == 0, done.stderr
        assert len(teacher.requests) == 140  # the same replies: what is made of them is asked for nowhere
    assert {one.completion.partition(" --> ")[0] for one in lessons_of(tmp_path / "without")} == {
        "Count the flips, then look."
    }
    made = lessons_of(tmp_path / "with")
    assert {one.completion.partition(" --> ")[0] for one in made} == {
        f"<think>\n{THOUGHT}\n</think>\n\nCount the flips, then look."
    }
    said, words = done.stdout + done.stderr, len(made[0].completion.split())
    assert f"{len(made)} of {len(made)} lessons think first: {words} words, {words} at most" in said
    assert f"{len(made)} of {len(made)} lessons have more words than an exam gives tokens (exam.max_tokens=10)" in said
    assert f"exam.max_tokens={2 * words}" in said


def test_a_server_that_keeps_it_apart_and_one_that_sends_none(tmp_path: Path) -> None:
    def apart(messages: list[dict[str, str]]) -> Any:
        return in_marks(messages).partition("</think>\n\n")[2]

    with teaching(apart) as teacher:
        write(tmp_path, config(teacher))
        done = cli(tmp_path, "lessons", "c.yaml", "rationales.thinking=keep", "--into", "none")
        assert done.returncode == 0, done.stderr
    assert "no lesson holds any thinking" in done.stdout + done.stderr
    assert "<think>" not in lessons_of(tmp_path / "none")[0].completion


def test_recorded_traces_are_thought_too(tmp_path: Path) -> None:
    from tutelage.tasks.catalog import find_task

    rows = [
        {"id": question.id, "reply": in_marks([{"content": question.text}])} for question in find_task("coin_flip?size=40").load("train")
    ]  # fmt: skip
    (tmp_path / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(
        tmp_path,
        {"recipe": "finetune_cot", "task": "coin_flip?size=40", "teacher": "recorded:traces.jsonl", "baselines": []},
    )
    done = cli(tmp_path, "lessons", "c.yaml", "rationales.thinking=keep", "--into", "run")
    assert done.returncode == 0, done.stderr
    assert all(one.completion.startswith(f"<think>\n{THOUGHT}\n</think>") for one in lessons_of(tmp_path / "run"))
    (attempt, *_) = records.read_records(tmp_path / "run" / "rationales" / "records.jsonl", Attempt)
    assert attempt.thinking == THOUGHT
    assert "<think>" not in attempt.text


STRIPS = (  # as templates of some reasoning models do, which forget what was thought in earlier turns
    "{% for m in messages %}{{ m.role }}: {{ m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
OPENS = (  # as others do, whose replies begin inside of it
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
)


@pytest.fixture
def tokenizer(chat_student: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(chat_student)


def test_a_template_that_forgets_what_was_thought_is_refused(tokenizer: Any) -> None:
    asked, lesson = [Message("user", "Heads?")], f"<think>\n{THOUGHT}\n</think>\n\nIt is. --> yes"
    tokenizer.chat_template = STRIPS
    assert templates.completion_text(tokenizer, asked, "It is. --> yes").startswith("It is. --> yes")
    with pytest.raises(ModelError, match=r"leaves out what is thought before an answer.*training.template=paper"):
        templates.completion_text(tokenizer, asked, lesson)
    tokenizer.chat_template = OPENS
    assert templates.completion_text(tokenizer, asked, lesson).startswith(f"{THOUGHT}\n</think>")


def test_a_published_set_is_task_and_teacher(tmp_path: Path) -> None:
    """As one lies on the hub: problems, answers, and several traces of each, in Parquet."""
    rows = [
        {
            "problem": f"Maya has {n} marbles and finds {n} more. How many has she?",
            "answer": str(2 * n),
            "generations": [f"<think>\nTwice {n}.\n</think>\n\nShe has \\boxed{{{2 * n}}}", f"<think>\nI guess.\n</think>\n\n{3 * n + 1}."],
        }
        for n in range(2, 40)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    fields = {"question": "problem", "answer": "answer"}
    task = {"name": "local", "path": "set.parquet", "kind": "number", "fields": fields, "split": "train"}
    teacher = {"kind": "recorded", "path": "set.parquet", "question": "problem", "reply": "generations"}
    write(tmp_path, {"recipe": "finetune_cot", "task": task, "teacher": teacher, "baselines": [], "rationales": {"samples": 2, "thinking": "keep"}})  # fmt: skip
    done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
    assert done.returncode == 0, done.stderr
    made = lessons_of(tmp_path / "run")
    assert len(made) == 38
    assert made[0].completion == "<think>\nTwice 2.\n</think>\n\nShe has \\boxed{4} --> 4"
    assert "38 lessons from 76 rationales (dropped: 38 wrong)" in done.stdout + done.stderr
