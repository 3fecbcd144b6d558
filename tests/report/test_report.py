"""What a report says of a run, read from its directory alone."""

import base64
import gzip
import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import door
from tests.report.runs import Made, attempt, story

from tutelage.errors import RunError
from tutelage.report import figures, questions, status, watching, writing
from tutelage.runs import history
from tutelage.runs.history import ExamView
from tutelage.types import Label, Part, Question

NO_ROUNDS: dict[str, Any] = {"rounds": None, "baselines": None}  # an exam has none
HOSTILE = "</script><script>alert(1)</script></div>\"'<img src=x onerror=alert(2)> | `code` | שלום עולם"


def data_of(page: str) -> dict[str, Any]:
    """The lesson book as the page's script reads it."""
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed
    loaded: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return loaded


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return story(tmp_path / "it").end()


def test_the_answer_comes_first_with_intervals_and_the_paired_test(finished: Path) -> None:
    page = writing.write_report([finished]).read_text()
    text = (finished / "report.md").read_text()
    for words in ("zero-shot | 0.0% | 0.0% to 39.0%", "tailored, round 2 | 83.3%", "95 % interval", "Finished."):
        assert words in text
    assert re.search(r"tailored, round 1 -\\> tailored, round 2 \| 83.3% \| 83.3% \| \+0.0 .* \| 1 \| 1 \|", text)
    assert text.index("What the student can do") < text.index("Round by round") < text.index("How it was made")
    assert page.count("<svg") >= 5
    assert "tutelage run" in page
    assert "reader" not in json.dumps(data_of(page))


def test_the_lesson_book_leads_from_a_mistake_to_the_lesson_and_the_request(finished: Path) -> None:
    (run,) = data_of(writing.write_report([finished]).read_text())["runs"]
    page = next(page for page in run["questions"] if page["id"] == "train-0")
    assert page["outcome"] == "fixed"
    assert [run["exams"][answer["exam"]]["step"] for answer in page["answers"]] == ["2-exam", "2-review"]
    (said,) = page["said"]
    assert said["place"] == "2-feedback/records.jsonl:1"
    assert said["prompt"].startswith("Please look.")
    corrected = next(lesson for lesson in page["lessons"] if lesson["kind"] == "feedback")
    assert corrected["key"] == said["key"] == "k2"
    assert corrected["attempts"] == said["attempts"] == ["2-exam/train-0#0"]
    plain = next(lesson for lesson in page["lessons"] if lesson["kind"] == "rationale")
    assert "step by step" in plain["request"]


def test_what_objectives_tell_is_shown_by_its_name(tmp_path: Path) -> None:
    """As it is noted today, and as version 0.1 noted the one objective that it knew."""
    made = story(tmp_path / "it")
    told = {"numbers": {"margin_gap": [-0.5, -0.25]}, "active": {"likelihood": 1.0, "prefer": 0.25}}
    facts = {
        "lessons": 4,
        "steps": 2,
        "losses": [2.0, 1.0],
        "first_loss": 2.0,
        "last_loss": 1.0,
        "tokens": 9,
        "seconds": 1.0,
    }
    made.run.artifact("own-student", lambda folder: {**facts, **told}, {}, Label(kind="training"))
    page = writing.write_report([made.end()])
    text = (page.parent / "report.md").read_text().replace("\\_", "_")
    heads = "| last loss | last reflection | last margin_gap | reflection active | likelihood active | prefer active |"
    assert heads in text
    assert "| 1-student | 4 | 3 | 2.000 | 0.500 | 0.050 |  | 50% | off | off |" in text
    assert "| own-student | 4 | 2 | 2.000 | 1.000 |  | -0.250 | off | 100% | 25% |" in text
    for caption in ("Loss", "Reflection", "Margin_gap"):
        assert f"{caption} at each training step" in page.read_text()


def test_a_curve_may_lie_below_nothing() -> None:
    drawn = figures.curves([figures.Curve("it", [(1, -2.0), (2, 1.0)])], "a figure", ("step", "it"))
    heights = [float(point.split(",")[1]) for point in re.findall(r'points="([^"]+)"', drawn)[0].split()]
    assert heights == [
        pytest.approx(14 + 230 * (1 - 0.1 / 3.15), abs=0.1),
        pytest.approx(14 + 230 * 0.05 / 3.15, abs=0.1),
    ]
    assert ">-2<" in drawn


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ({0: "wrong", 1: "wrong", 2: "right"}, "fixed"),
        ({1: "right", 2: "wrong"}, "broken"),
        ({0: "right", 1: "wrong", 2: "wrong"}, "wrong"),  # the student as it came counts only if nothing else can
        ({0: "wrong", 1: "right"}, "fixed"),
        ({1: "right", 2: "right"}, "right"),
        ({1: "right", 2: "unread"}, "unread"),
        ({2: "wrong"}, "once"),
        ({}, "untold"),
    ],
)
def test_what_became_of_a_question(verdicts: dict[int, Any], told: str) -> None:
    sat = [
        ExamView(step=str(n), label=Label(round=n), whole=True, attempts=[attempt("q", verdict, "")])
        for n, verdict in verdicts.items()
    ]
    assert questions.outcome(sat, [(place, one.attempts[0]) for place, one in enumerate(sat)]) == told


def test_samples_are_one_verdict_by_their_majority() -> None:
    rows = [attempt("q", "right", ""), attempt("q", "wrong", "", sample=1)]
    exam = ExamView(step="1", label=Label(round=1), whole=True, attempts=rows)
    later = ExamView(step="2", label=Label(round=2), whole=True, attempts=[rows[0]])
    assert questions.outcome([exam, later], [(0, rows[0]), (0, rows[1]), (1, rows[0])]) == "fixed"


def test_what_models_write_is_data(tmp_path: Path) -> None:
    made = story(tmp_path / "it", text=HOSTILE)
    page = writing.write_report([made.end()]).read_text()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script") == 2
    (run,) = data_of(page)["runs"]
    assert run["questions"][0]["text"].endswith(HOSTILE)  # nothing is lost on the way either
    assert "<img" not in (made.path / "report.md").read_text().replace(r"\<", "")


def test_a_killed_run_is_reported_as_far_as_it_came(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    made.exam("zero_shot", [attempt("test-0", "wrong", "Hm.")])
    draft = tmp_path / "it" / "1-test.draft"
    draft.mkdir()
    (draft / "step.json").write_text(json.dumps({"step": "1-test", "inputs": {"paper": {}}}))
    (draft / "records.jsonl").write_text('{"question":"test-0","text":"one","verdict":"right"}\n{"question":"te')
    made.run.close()
    opened = history.open_run(made.path)
    assert opened.state == "stopped"
    assert opened.missing() == ["tailored, round 1", "tailored, round 2"]
    text = writing.write_report([made.path]).with_suffix(".md").read_text()
    assert "Not there yet: tailored, round 1, tailored, round 2." in text
    assert "tailored, round 1 (unfinished) | 1 | 0 | 0 |" in text
    assert (draft / "records.jsonl").read_text().endswith('{"question":"te')  # nothing of the run was touched


def test_an_empty_run_has_a_report_too(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [])
    made.run.close()
    assert "No exam is finished yet." in writing.write_report([made.path]).read_text()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it holds no config\.yaml"):
        writing.write_report([tmp_path])


def test_two_runs_stand_side_by_side(finished: Path, tmp_path: Path) -> None:
    other = story(tmp_path / "other", seed=1).end()
    text = writing.write_report([finished, other], tmp_path / "both").with_suffix(".md").read_text()
    assert "tailored, round 2 (it)" in text
    assert "tailored, round 2 (other)" in text
    assert r"tailored, round 2: it -\> other | 83.3% | 83.3%" in text
    runs = data_of((tmp_path / "both" / "report.html").read_text())["runs"]
    assert [run["name"] for run in runs] == ["it", "other"]
    assert not (finished / "report.html").exists()


def test_runs_whose_ids_stand_for_other_questions_are_not_compared(finished: Path, tmp_path: Path) -> None:
    other = story(tmp_path / "other", text="Say it.", seed=1).end()
    text = writing.write_report([finished, other], tmp_path / "both").with_suffix(".md").read_text()
    assert r"tailored, round 2: it -\> other: not on the same questions, so they are not compared." in text
    done = door.tutelage("compare", finished, other)
    assert done.returncode == 2
    assert "6 ids stand for another question in each, such as test-0." in done.stderr


def test_ten_thousand_attempts_are_less_than_five_megabytes(tmp_path: Path) -> None:
    made = story(tmp_path / "it", count=5_000)
    words = [f"{i} times {i % 7} is {i * (i % 7)}" for i in range(5_000)]
    long = [attempt(f"test-{i}", "right", " and ".join(words[i % 4_000 : i % 4_000 + 12])) for i in range(5_000)]
    made.exam("extra", long)
    assert writing.write_report([made.end()]).stat().st_size < 5_000_000


def test_a_very_long_line_is_cut_and_says_so(tmp_path: Path) -> None:
    page = writing.write_report([story(tmp_path / "it", count=2, text="x" * 1_000_000).end()])
    assert page.stat().st_size < 5_000_000
    (run,) = data_of(page.read_text())["runs"]
    assert "characters more in the run's folder" in run["questions"][0]["text"]


def test_status_of_a_working_run_says_how_far_it_is(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    seen = []

    def work(kept: list[Any]) -> Iterator[Any]:
        made.run.show(event="progress", step="1-test", done=3, of=8, right=2, unread=0)
        seen.append(status.status_facts(history.open_run(made.path)))
        yield attempt("test-0", "right", "one")

    made.run.records("1-test", type(attempt("q", "right", "")), work, {"paper": {}})
    made.run.close()
    assert seen[0]["state"] == "running"
    assert seen[0]["now"].startswith("Running: 1-test, 3 of 8, 67% right, ")
    assert history.open_run(made.path).state == "stopped"
    assert "tutelage run" in status.now(history.open_run(made.path))


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [])
    made.run.say(event="failed", error="the teacher is gone")
    made.run.close()
    assert status.now(history.open_run(made.path)).startswith("Failed: the teacher is gone.")


@contextmanager
def watched(run: Path) -> Iterator[str]:
    """The live page's address."""
    found: list[str] = []
    threading.Thread(target=watching.watch_runs, args=([run], 0, found.append), daemon=True).start()
    while not found:
        time.sleep(0.01)
    yield found[0]


def get(address: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_live_page_grows_and_answers_to_its_own_name_only(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    with watched(made.path) as address:
        assert address.startswith("http://127.0.0.1:")
        _, before = get(address + "stamp")
        assert 'data-live="running"' in get(address)[1]
        made.exam("1-test", [attempt("test-0", "right", "one")])
        _, after = get(address + "stamp")
        assert after.splitlines()[0] != before.splitlines()[0]
        assert "tailored, round 1" in get(address)[1]
        assert get(address, Host="evil.example:80")[0] == 403
        assert get(address + "../config.yaml")[0] == 404
    made.run.close()


def test_who_leaves_or_says_nothing_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watching, "SECONDS", 1)
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")])
    before = threading.active_count()
    with watched(made.path) as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        assert get(address + "stamp")[0] == 200
        for _ in range(20):
            gone = socket.create_connection(("127.0.0.1", port))
            gone.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an end
            gone.close()
        for one in idle:
            one.settimeout(30)
            assert one.recv(1) == b""
            one.close()
        while threading.active_count() > before + 1:
            time.sleep(0.05)
    made.run.close()
    assert "Traceback" not in capfd.readouterr().err


def test_the_first_exam_of_a_run_is_in_its_book(tmp_path: Path) -> None:
    made = Made(tmp_path / "it", [Question(id="test-0", text="Heads?", answer="no", split="test")], recipe="exam", model="worked:", **NO_ROUNDS)  # fmt: skip
    made.exam("exam", [attempt("test-0", "right", "one"), attempt("test-0", "wrong", "two", sample=1)])
    (run,) = data_of(writing.write_report([made.end()]).read_text())["runs"]
    assert [(one["exam"], one["sample"], one["text"]) for one in run["questions"][0]["answers"]] == [(0, 0, "one"), (0, 1, "two")]  # fmt: skip


def test_runs_of_one_name_go_by_their_paths(tmp_path: Path) -> None:
    runs = [story(tmp_path / place / "mine").end() for place in ("a", "b")]
    text = writing.write_report(runs, tmp_path / "both").with_suffix(".md").read_text()
    assert "a/mine" in text
    assert "b/mine" in text


def test_a_folder_that_cannot_be_made_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "in"):
        with pytest.raises(RunError, match="choose another --into"):
            writing.write_report([finished], place)
    with pytest.raises(RunError, match="choose another --port"):
        watching.watch_runs([finished], 99_999, print)


def test_the_book_opens_with_what_was_examined(tmp_path: Path) -> None:
    """The first lessons come before any exam, and are about questions that may never be in one."""
    pages = questions.pages(history.open_run(story(tmp_path / "it", rationales=True).end()))
    outcomes = [page["outcome"] for page in pages["questions"]]
    assert outcomes.count("untold") == 5
    assert "untold" not in outcomes[:-5]


def test_whose_words_a_solvers_answers_are_stands_under_the_exams(tmp_path: Path) -> None:
    made = story(tmp_path / "it", baselines=["zero_shot", "zero_shot_cot"])
    names = ("small", "large", "small", "small")
    parts = [tuple(Part(model=name, chosen=name == said) for name in ("small", "large")) for said in names]
    made.exam("zero_shot_cot", [attempt(f"test-{i}", "right", "", parts=own) for i, own in enumerate(parts)])
    page = writing.write_report([made.end()]).read_text()
    said = "zero-shot-CoT: answered by small 75%, large 25%."
    assert said in page
    text = (tmp_path / "it" / "report.md").read_text().partition("Round by round")[0]
    assert said in text.replace("\\", "")
    assert text.count("answered by") == 1
