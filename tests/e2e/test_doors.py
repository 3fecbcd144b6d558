"""The command line as a user types it, with a tiny real student."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import door

import tutelage
from tutelage.runs import records
from tutelage.types import Attempt


def cli(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as wide as a terminal."""
    environment = {**os.environ, "COLUMNS": "200", **options.pop("env", {})}
    return door.tutelage(
        *words, env=environment, cwd=options.pop("cwd", None), text=options.pop("input", ""), **options
    )


def config(student: Path, **more: Any) -> dict[str, Any]:
    return {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=80",
        "student": f"hf:{student}",
        "baselines": ["zero_shot", "fine_tune", "teacher"],
        "questions": {"test_limit": 8},
        "training": {"epochs": 2, "batch": 8, "learning_rate": 0.001},
        "exam": {"max_tokens": 12, "chunk": 4},
        **more,
    }


def write(path: Path, raw: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.fixture(scope="module")
def finished(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole run through the command line, into a relative folder as people type it."""
    folder = tmp_path_factory.mktemp("finished")
    cache = {"TUTELAGE_CACHE": str(folder / "cache")}
    write(folder / "c.yaml", config(base_student))
    done = cli("run", "c.yaml", "--into", "runs/it", env=cache, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "runs" / "stdout").write_text(done.stdout)
    return folder / "runs" / "it"


def test_a_run_prints_a_line_a_step_and_a_table_with_intervals(finished: Path) -> None:
    printed = (finished.parent / "stdout").read_text()
    for words in ("rationales", "lessons", "student", "Fine-tune-CoT", "zero-shot", "95 % interval", "unread", "loss"):
        assert words in printed
    assert "56 lessons from 56 rationales" in printed


def test_a_run_leaves_steps_that_can_be_read(finished: Path) -> None:
    assert {path.parent.name for path in finished.glob("*/step.json")} == {
        "rationales", "lessons", "teacher", "zero_shot", "answers-student", "fine_tune", "student", "finetune_cot",
    }  # fmt: skip
    attempts = records.read_records(finished / "finetune_cot" / "records.jsonl", Attempt)
    assert len(attempts) == 8
    teacher = records.read_records(finished / "teacher" / "records.jsonl", Attempt)
    assert all(attempt.verdict == "right" for attempt in teacher)
    facts = json.loads((finished / "run.json").read_text())
    assert facts["versions"]["torch"].startswith("2.")
    assert not (finished / "student" / "trainer").exists()
    assert (finished / "student" / "model.safetensors").exists()


def test_the_saved_config_is_the_same_run(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/*")}
    done = cli("run", str(finished / "config.yaml"), env={"TUTELAGE_CACHE": str(finished.parent / "cache")})
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*/*")} == before


def test_two_runs_repeat_to_the_bit(finished: Path, base_student: Path, tmp_path: Path) -> None:
    tutelage.run(config(base_student), tmp_path / "again")
    for step in ("zero_shot", "fine_tune", "finetune_cot"):
        assert (tmp_path / "again" / step / "records.jsonl").read_bytes() == (
            finished / step / "records.jsonl"
        ).read_bytes()
    for student in ("student", "answers-student"):
        name = f"{student}/model.safetensors"
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes()


def test_an_exam_of_a_trained_student_asks_as_it_was_taught(finished: Path, tmp_path: Path) -> None:
    words = [
        "exam",
        f"hf:{finished}/student",
        "--task",
        "coin_flip?size=80",
        "--limit",
        "8",
        "--into",
        f"{tmp_path}/exam",
    ]
    done = cli(*words, "exam.max_tokens=12", "exam.chunk=4")
    assert done.returncode == 0, done.stderr
    mine = records.read_records(tmp_path / "exam" / "exam" / "records.jsonl", Attempt)
    assert mine == records.read_records(finished / "finetune_cot" / "records.jsonl", Attempt)


def test_avg_at_k_through_the_door(base_student: Path, tmp_path: Path) -> None:
    words = ["exam", f"hf:{base_student}", "--task", "coin_flip?size=80", "--limit", "5", "-n", "3", "--into"]
    done = cli(*words, f"{tmp_path}/exam", "exam.temperature=1", "exam.max_tokens=6", "form=zero_shot")
    assert done.returncode == 0, done.stderr
    assert "5 x 3" in done.stdout
    assert len(records.read_records(tmp_path / "exam" / "exam" / "records.jsonl", Attempt)) == 15


@pytest.mark.parametrize("student", ["base_student", "chat_student"])
def test_lora_and_micro_batches_train_too(student: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    raw = config(request.getfixturevalue(student), baselines=[])
    raw["training"] |= {"lora": {"r": 4}, "micro_batch": 3}
    scores = tutelage.run(raw, tmp_path / "run")
    assert scores["Fine-tune-CoT"].questions == 8
    assert (tmp_path / "run" / "student" / "adapter_model.safetensors").exists()


KILL_AT = ["rationales.draft", "answers-student.draft", "fine_tune", "student.draft", "finetune_cot.draft"]


@pytest.mark.parametrize("moment", KILL_AT)
def test_kill_9_then_the_same_command_ends_alike(
    finished: Path, base_student: Path, tmp_path: Path, moment: str
) -> None:
    words = ["run", str(write(tmp_path / "c.yaml", config(base_student))), "--into", str(tmp_path / "run")]
    with subprocess.Popen([sys.executable, "-m", "tutelage", *words], stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "run" / moment).exists() and process.poll() is None:
            time.sleep(0.0005)
        process.kill()
    kept = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/step.json") if "draft" not in str(path)
    }
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for step in ("zero_shot", "fine_tune", "finetune_cot"):
        assert records.read_records(tmp_path / "run" / step / "records.jsonl", Attempt) == records.read_records(
            finished / step / "records.jsonl", Attempt
        )


def test_ctrl_c_keeps_the_training_and_goes_on(finished: Path, base_student: Path, tmp_path: Path) -> None:
    words = ["run", str(write(tmp_path / "c.yaml", config(base_student))), "--into", str(tmp_path / "run")]
    process = subprocess.Popen(
        [sys.executable, "-m", "tutelage", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "student.draft").exists():
        time.sleep(0.0005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "go on" in err.lower()
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert records.read_records(tmp_path / "run" / "finetune_cot" / "records.jsonl", Attempt) == records.read_records(
        finished / "finetune_cot" / "records.jsonl", Attempt
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "none.yaml"], "cannot read none.yaml"),
        (["run", "c.yaml", "exma.n=3"], "unknown key 'exma'; did you mean 'exam'"),
        (["run", "c.yaml", "task=coin_flop"], "unknown task 'coin_flop'; did you mean 'coin_flip'"),
        (["run", "c.yaml", "student=hf:/nowhere"], "no model at /nowhere"),
        (["run", "c.yaml", "--into", "."], "is not a run"),
        (["exam", "hg:x", "--task", "coin_flip", "--into", "e"], "unknown model kind 'hg'"),
        (["exam", "worked:", "--task", "coin_flip", "--split", "tset", "--into", "e"], "did you mean 'test'"),
        (["exam", "worked:", "--task", "coin_flip", "--limit", "0", "--into", "e"], "greater than or equal to 1"),
        (["show", "finetune"], "unknown recipe 'finetune'; did you mean 'finetune_cot'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    tmp_path: Path, words: list[str], says: str, base_student: Path
) -> None:
    write(tmp_path / "c.yaml", config(base_student))
    done = cli(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("**/records.jsonl"))


BAD_FILES = [
    ('{"question": "1+1?", "answer": "2"}\n{oops', "q.jsonl:2"),
    ('{"question": "1+1?"}', "q.jsonl:1"),
    ('{"id": 1, "question": "1+1?", "answer": "2"}\n{"id": 1, "question": "1+2?", "answer": "3"}', "q.jsonl:2"),
    ('{"question": "1+1?", "answer": "two apples"}', "q.jsonl:1"),
    ("", "q.jsonl"),
]


@pytest.mark.parametrize(("content", "place"), BAD_FILES)
def test_a_bad_file_of_questions_is_named_by_line(tmp_path: Path, content: str, place: str) -> None:
    (tmp_path / "q.jsonl").write_text(content)
    words = ["exam", "recorded:r.jsonl", "--task", "local?path=q.jsonl&kind=number", "--split", "all", "--into", "e"]
    done = cli(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert place in done.stderr
    assert "Traceback" not in done.stderr


def test_no_room_on_the_disk_is_said_and_nothing_is_half_written(base_student: Path, tmp_path: Path) -> None:
    raw = config(base_student, baselines=[])
    words = ["run", str(write(tmp_path / "c.yaml", raw)), "--into", str(tmp_path / "run")]
    command = shlex.join([sys.executable, "-m", "tutelage", *words])
    # A limit on the size of a file stands for a full disk: records fit, the student's weights do not.
    done = subprocess.run(["bash", "-c", f"ulimit -f 40; {command}"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "run the same command again" in done.stderr
    assert not (tmp_path / "run" / "student").exists()
    assert (tmp_path / "run" / "lessons").exists()
    again = cli(*words)
    assert again.returncode == 0, again.stderr


def test_two_exams_and_two_runs_are_compared(finished: Path) -> None:
    steps = cli("compare", str(finished / "zero_shot"), str(finished / "finetune_cot"))
    assert steps.returncode == 0, steps.stderr
    assert "n=8, p = " in steps.stdout
    runs = cli("compare", str(finished), str(finished))
    assert "Fine-tune-CoT: " in runs.stdout
    assert "+0.0 points [-32.4, +32.4]" in runs.stdout
    assert "(Holm)" in runs.stdout
    assert "is not a run" in cli("compare", str(finished.parent), str(finished)).stderr


def test_lists_and_options_are_printed() -> None:
    assert "word_problems" in cli("tasks").stdout
    assert "finetune_cot" in cli("recipes").stdout
    shown = cli("show", "finetune_cot").stdout
    assert re.search(r"option +house +paper +about", shown)
    assert re.search(r"training.learning_rate +0.0002 +0.0003 .*paper: Ho et al. 2022, appendix", shown)


def test_markup_in_model_output_is_text(tmp_path: Path) -> None:
    rows = [{"id": f"test-{i}", "rationale": "[red]<script>[/nope].", "answer_reply": "[/bold]"} for i in range(80)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["exam", f"recorded:{tmp_path}/r.jsonl", "--task", "coin_flip?size=80", "--limit", "3", "--into"]
    done = cli(*words, f"{tmp_path}/[exam]")
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout  # unread


def test_a_contest_is_sat_sixteen_times_unless_one_answer_is_asked_for(base_student: Path, tmp_path: Path) -> None:
    rows = [{"id": str(n), "question": f"What is {n} + {n}?", "answer": 2 * n} for n in (1, 2)]
    (tmp_path / "aime24.test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("exam", f"hf:{base_student}", "--task", "aime24", "--data", str(tmp_path), "exam.max_tokens=4")
    done = cli(*words, "--into", str(tmp_path / "many"))
    assert done.returncode == 0, done.stderr
    assert "avg@16" in done.stderr
    assert "maj@16" in done.stdout
    done = cli(*words, "-n", "1", "--into", str(tmp_path / "one"))
    assert done.returncode == 0, done.stderr
    assert "avg@" not in done.stdout + done.stderr


def test_where_there_is_no_gpu_that_is_said(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHON": sys.executable}
    words = [str(root / "scripts" / "gpu"), "--into", str(tmp_path / "gpu.json")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"nothing measured: PyTorch \S+ sees no GPU here", done.stdout)
    assert json.loads((tmp_path / "gpu.json").read_text())["parts"] == {}
