"""What a user pays for, through the command line: plan, lessons, budget, cache, and a key that is nowhere."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import door
from tests.server import Teacher, completion, reasoning, teaching

from tutelage.runs import records
from tutelage.tasks.catalog import find_task
from tutelage.types import Lesson

SECRET = "sk-very-secret-key-0001"
TASK = "coin_flip?size=40"
ANSWERS = {q.text: q.answer for split in ("train", "test") for q in find_task(TASK).load(split)}


def say(messages: list[dict[str, str]]) -> str:
    answer = next(answer for question, answer in ANSWERS.items() if question in messages[0]["content"])
    return f"{answer}." if len(messages) > 1 else "Count the flips."


def config(teacher: Teacher, **more: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {"kind": "openai", "name": "teacher-1", "base_url": teacher.url, "key": "OPENAI_API_KEY"}
    spec["price"] = {"input": 1, "output": 2}
    two = {"calls": 2}  # the script reasons in one call and answers in another
    return {"recipe": "finetune_cot", "task": TASK, "teacher": spec, "rationales": two, "baselines": [], **more}


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TUTELAGE_CACHE": str(folder / "cache"), "OPENAI_API_KEY": SECRET, "COLUMNS": "200"}
    return door.tutelage(*words, env=environment, cwd=folder)


def write(folder: Path, raw: dict[str, Any]) -> None:
    (folder / "c.yaml").write_text(yaml.safe_dump(raw))


def test_the_plan_is_kept(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher))
        planned = cli(tmp_path, "plan", "c.yaml")
        assert planned.returncode == 0, planned.stderr
        assert "in all: 56 calls" in planned.stdout
        assert "price: $0.01 to $0.05 (the config)" in planned.stdout
        assert not teacher.requests
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        assert len(teacher.requests) == 56


def test_a_plan_may_ask_a_few_questions_and_a_run_pays_for_them_once(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher))
        planned = cli(tmp_path, "plan", "c.yaml", "--sample", "3")
        assert planned.returncode == 0, planned.stderr
        assert "from 3 rationales that were asked for: 20 tokens in and 4 out each, so 560 + 112" in planned.stdout
        assert len(teacher.requests) == 6
        cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert len(teacher.requests) == 56


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_drains_and_twice_stops_now(tmp_path: Path, times: int, how: signal.Signals) -> None:
    seconds = {1: 2.0, 2: 30.0}[times]
    with teaching(say, seconds=seconds) as teacher:
        raw = config(teacher)
        raw["teacher"]["concurrency"] = 4
        write(tmp_path, raw)
        environment = {**os.environ, "TUTELAGE_CACHE": str(tmp_path / "cache"), "OPENAI_API_KEY": SECRET}
        words = [sys.executable, "-m", "tutelage", "lessons", "c.yaml", "--into", "run"]
        process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while len(teacher.requests) < 4:
            time.sleep(0.02)
        begun = time.monotonic()
        for _ in range(times):
            process.send_signal(how)
            time.sleep(0.3)
        process.communicate(timeout=30)
        assert process.returncode == 130
        assert len(teacher.requests) == 4
        if times == 2:
            assert time.monotonic() - begun < 0.7 * seconds  # before the replies came
            return
    assert "4 replies" in cli(tmp_path, "cache", "stats").stdout


def test_lessons_alone_need_no_student_and_no_torch(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher, student="hf:no/such-student"))
        (tmp_path / "torch.py").write_text("raise RuntimeError('torch was imported')")
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        assert "run/lessons/records.jsonl" in done.stdout
        assert "56 calls, 560 + 112 tokens, $0.0008" in done.stdout
        made = records.read_records(tmp_path / "run" / "lessons" / "records.jsonl", Lesson)
        assert len(made) == 28
        assert all(lesson.key and lesson.completion.startswith("Count the flips. --> ") for lesson in made)
        cli(tmp_path, "lessons", "c.yaml", "--into", "again")
        assert len(teacher.requests) == 56


def test_at_the_cap_it_stops_keeps_and_goes_on(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher, budget={"calls": 20}))
        stopped = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert stopped.returncode == 3, stopped.stderr
        assert "budget.calls=20" in stopped.stderr
        assert len(teacher.requests) == 20
        more = cli(tmp_path, "lessons", "c.yaml", "budget.calls=100", "--into", "run")
        assert more.returncode == 0, more.stderr
        assert len(teacher.requests) == 56  # nothing was paid for twice
        assert "56 calls" in more.stdout  # the run's spending over both sessions


def test_a_reasoning_model_teaches_and_what_it_does_not_take_is_said_once(tmp_path: Path) -> None:
    """It refuses four fields and a name, one after another; it is asked without them, and from then on at once."""

    def runs_on(messages: list[dict[str, str]]) -> str:
        return say(messages) + "\nQ: And if nobody flips it?"

    with teaching(runs_on, faults=reasoning) as teacher:
        raw = config(teacher)
        raw["teacher"]["tries"] = 2
        write(tmp_path, raw)
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        for field in ("temperature", "top_p", "seed", "stop"):
            assert (done.stdout + done.stderr).count(f"does not take {field}: it is left out") == 1
        assert len(teacher.answered) == 56
        rows = [json.loads(line) for line in (tmp_path / "run" / "calls.jsonl").read_text().splitlines()]
        assert sum(row.get("calls", 0) for row in rows) == len(teacher.requests)
        made = records.read_records(tmp_path / "run" / "lessons" / "records.jsonl", Lesson)
        assert len(made) == 28
        assert all("nobody" not in lesson.completion for lesson in made)  # cut here at the stop it was not sent
        assert "max_completion_tokens" in teacher.requests[-1]

        again = cli(tmp_path, "lessons", "c.yaml", "--into", "again")
        assert again.returncode == 0, again.stderr
        assert "does not take temperature" in again.stdout + again.stderr
        assert len(teacher.answered) == 56
        before = len(teacher.requests)
        more = cli(tmp_path, "lessons", "c.yaml", "teacher.price.input=2", "seed=1", "--into", "more")
        assert more.returncode == 0, more.stderr
        assert len(teacher.requests) - before == len(teacher.answered) - 56 > 0  # nothing is refused first
    cli(tmp_path, "cache", "export", "all.jsonl")
    kept = [json.loads(line)["request"] for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {tuple(request["left_out"]) for request in kept} == {("seed", "stop", "temperature", "top_p")}


def test_a_server_that_counts_wrongly_gets_nobody_past_a_cap(tmp_path: Path) -> None:
    lie = {"prompt_tokens": -1_000_000, "completion_tokens": 1}
    with teaching(odd=lambda teacher: (200, completion("Count the flips. --> yes", lie), [])) as teacher:
        write(tmp_path, config(teacher, rationales={"calls": 1, "max_tokens": 64}, budget={"tokens": 2_000}))
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
    assert done.returncode == 3, done.stderr
    assert 1 < len(teacher.requests) < 20
    assert "-1000000 tokens read, which cannot be right" in done.stdout
    assert not re.search(r"(?<!or )-\d+ tokens(?! read)|calls, -", done.stdout + done.stderr)
    rows = [json.loads(line) for line in (tmp_path / "run" / "calls.jsonl").read_text().splitlines()]
    assert 0 < sum(row.get("tokens_in", 0) + row.get("tokens_out", 0) for row in rows) <= 2_000


def test_the_cap_counts_earlier_sessions(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher, budget={"calls": 20}))
        for _ in range(2):
            assert cli(tmp_path, "lessons", "c.yaml", "--into", "run").returncode == 3
        assert len(teacher.requests) == 20


def test_the_key_is_in_no_file_and_no_message(tmp_path: Path) -> None:
    faults = iter(["500", "429"])
    with teaching(say, faults=lambda number, body: next(faults, "")) as teacher:
        write(tmp_path, config(teacher))
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
    with teaching(say, faults=lambda number, body: "401") as teacher:
        write(tmp_path, config(teacher))
        refused = cli(tmp_path, "lessons", "c.yaml", "--into", "refused")
        assert refused.returncode == 2
        assert "check the key (OPENAI_API_KEY)" in refused.stderr
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in done.stdout + done.stderr + refused.stdout + refused.stderr


def test_the_cache_is_listed_counted_exported_and_pruned(tmp_path: Path) -> None:
    assert "no file of replies" in cli(tmp_path, "cache", "stats").stderr
    with teaching(say) as teacher:
        write(tmp_path, config(teacher))
        cli(tmp_path, "lessons", "c.yaml", "--into", "run")
    assert "56 replies, 672 tokens, 0 cut off" in cli(tmp_path, "cache", "stats").stdout
    assert len(cli(tmp_path, "cache", "ls", "--limit", "5").stdout.splitlines()) == 5
    assert "56 replies in all.jsonl" in cli(tmp_path, "cache", "export", "all.jsonl").stdout
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {row["reply"]["model"] for row in rows} == {"teacher-1"}
    assert all(json.loads(row["raw"])["choices"] for row in rows)
    assert cli(tmp_path, "cache", "export", "all.jsonl").returncode == 2
    assert "say which" in cli(tmp_path, "cache", "prune").stderr
    assert "0 replies would" in cli(tmp_path, "cache", "prune", "--model", "other").stdout
    assert "56 replies would" in cli(tmp_path, "cache", "prune", "--model", "teacher-1").stdout
    assert "56 replies forgotten" in cli(tmp_path, "cache", "prune", "--model", "teacher-1", "--yes").stdout
    assert "0 replies in" in cli(tmp_path, "cache", "stats").stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": {"dollar": 1}}, "unknown key 'budget.dollar'; did you mean 'budget.dollars'"),
        ({"budget": {"calls": 0}}, "budget.calls = 0"),
        (
            {"teacher": {"kind": "openai", "name": "x", "concurency": 3}},
            "no option 'concurency'; did you mean 'concurrency'",
        ),
        ({"teacher": {"kind": "openai", "name": "x", "concurrency": 0}}, "concurrency must be a number above 0"),
        ({"teacher": {"kind": "openai", "name": "x", "price": 3}}, "price must be {input: …, output: …}"),
        (
            {"teacher": {"kind": "openai", "name": "x", "price": {"input": -1, "output": 1}}},
            "neither below 0 nor above",
        ),
        (
            {"teacher": {"kind": "openai", "name": "x", "batch": True, "poll": -1}},
            "poll must be seconds between two looks",
        ),
        ({"teacher": {"kind": "openai", "name": "x"}, "budget": {"dollars": 1}}, "the price of 'x' is not known"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write(tmp_path, {"recipe": "finetune_cot", "task": TASK, **change})
    done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
    assert done.returncode == 2
    assert says in done.stderr


def test_calls_of_all_sessions_count_retries_included(tmp_path: Path) -> None:
    """A budget of calls holds over sessions, whatever the server refuses: its own count says so."""
    refused = {"count": 0}

    def busy(number: int, body: dict[str, Any]) -> str:
        refused["count"] += number % 2
        return "500" if number % 2 else ""

    with teaching(say, faults=busy) as teacher:
        write(tmp_path, config(teacher))
        for calls in (8, 15, 21):
            done = cli(tmp_path, "lessons", "c.yaml", f"budget.calls={calls}", "--into", "run")
            assert done.returncode == 3, done.stderr
            assert len(teacher.requests) <= calls
            rows = [json.loads(line) for line in (tmp_path / "run" / "calls.jsonl").read_text().splitlines()]
            assert sum(row.get("calls", 0) for row in rows) == len(teacher.requests)
        assert refused["count"] > 5


def test_a_folder_is_bound_by_its_first_step_not_by_a_typo(tmp_path: Path) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher))
        wrong = cli(tmp_path, "lessons", "c.yaml", "teacher.nam=x", "--into", "run")
        assert wrong.returncode == 2
        assert "no option 'nam'; did you mean 'name'" in wrong.stderr
        assert "no option 'nam'" in cli(tmp_path, "plan", "c.yaml", "teacher.nam=x").stderr
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        later = cli(tmp_path, "lessons", "c.yaml", "teacher.system=Be brief.", "--into", "run")
        assert later.returncode == 2
        assert "was started with another config: teacher.system" in later.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("teacher.key=MY_KEY", "needs a key in the environment variable MY_KEY"),
        ("teacher.extra=low", "extra must hold keys and values, and is 'low'"),
        ("teacher.base_url=5", "base_url must be text, and is 5"),
        ("teacher.base_url=127.0.0.1:8000/v1", "base_url must begin with http:// or https://"),
        ("teacher.system=5", "system must be text, and is 5"),
        ("teacher.batch=maybe", "batch must be true or false, and is 'maybe'"),
        ("teacher.args=5", "no option 'args'"),
    ],
)
def test_what_a_teacher_cannot_be_is_one_sentence(tmp_path: Path, change: str, says: str) -> None:
    with teaching(say) as teacher:
        write(tmp_path, config(teacher))
        done = cli(tmp_path, "lessons", "c.yaml", change, "--into", "run")
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr
        assert "kwargs" not in done.stderr
        assert not teacher.requests


def test_a_batch_service_that_answers_anything_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    """The key comes back in a batch's name, HTML in the place of a batch; then it answers as it should, and nothing was lost."""
    with teaching(say) as teacher:
        raw = config(teacher)
        raw["teacher"] |= {"batch": True, "poll": 0.1, "tries": 2}
        write(tmp_path, raw)
        named = json.dumps({"id": f"batch-{SECRET}", "status": "in_progress"}).encode()
        for where, answer in (("/batches", named), ("GET /v1/batches", b"null"), ("/batches/batch-0", b"<html>")):

            def odd(
                seen: Teacher, asked: str, well: bytes, where: str = where, answer: bytes = answer
            ) -> tuple[int, bytes, list[str]] | None:
                return (200, answer, []) if where in asked else None

            teacher.service = odd
            done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
            assert done.returncode == 2, done.stderr
            assert "the batch service says" in done.stderr
            assert "Traceback" not in done.stderr + done.stdout
            for path in (path for path in tmp_path.rglob("*") if path.is_file()):
                assert SECRET.encode() not in path.read_bytes(), path
        teacher.service = lambda *asked: None
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        assert sum(len(teacher.files[file].splitlines()) for _, file in teacher.batches.values()) == 56  # each once
        assert teacher.requests == []


def test_a_fleet_may_lose_and_gain_servers_and_pays_nothing_twice(tmp_path: Path) -> None:
    with teaching(say, seconds=0.02) as one, teaching(say, seconds=0.02) as two:
        raw = config(one)
        raw["teacher"]["base_url"] = [one.url, "http://127.0.0.1:9/v1"]
        write(tmp_path, raw)
        stopped = cli(tmp_path, "lessons", "c.yaml", "budget.calls=20", "--into", "run")
        assert stopped.returncode == 3, stopped.stderr
        assert "http://127.0.0.1:9/v1 is left out until it answers again" in stopped.stdout
        raw["teacher"]["base_url"] = [one.url, two.url]
        write(tmp_path, raw)
        done = cli(tmp_path, "lessons", "c.yaml", "--into", "run")
        assert done.returncode == 0, done.stderr
        asked = [json.dumps(body["messages"]) for body in (*one.answered, *two.answered)]
        assert len(asked) == len(set(asked)) == 56
        assert len(two.answered) > 5
        listed = cli(tmp_path, "lessons", "c.yaml", f"teacher.base_url=[{two.url}, {two.url}]", "--into", "other")
        assert listed.returncode == 2
        assert "base_url must be an address, or a list of different ones" in listed.stderr
