"""A committee with scripted teachers: who is asked what, which solutions pass verdict and peers, and what is learned of them."""

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, know

from tutelage import runner
from tutelage.errors import ConfigError, LessonError, ModelError
from tutelage.grading.verdicts import judge
from tutelage.lessons.committee import LONGEST, Reviewed, account, read_score, remark_of, review
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Feedback, JsonObject, Question

ME = f"scripted:{__name__}:"
ASKED: list[tuple[str, Chat]] = []


def place(chat: Chat) -> int:
    return int(chat.question.rpartition("-")[2])


def teacher(name: str, score: Any, wrong_on: int = 99) -> Any:
    """A teacher that is wrong on questions whose number ends in `wrong_on`; `score` is what it says of others' solutions."""

    def answer(chat: Chat, sample: int) -> str:
        ASKED.append((name, chat))
        if chat.purpose == "explain":
            return f"{name} says that a flip was missed."
        if chat.purpose == "review":
            said = score(chat)
            return f"It is sound. [{said}]" if said is not None else "Well, it is fine."
        right = ANSWERS[chat.question]
        shown = {"yes": "no", "no": "yes"}[right] if place(chat) % 10 == wrong_on else right
        return f"{name} reasons about it. The answer is {shown}."

    return answer


kind = teacher("Kind", lambda chat: 5)
strict = teacher("Strict", lambda chat: 1 if "Kind reasons" in chat.messages[-1].content else 4, wrong_on=3)
prose = teacher("Prose", lambda chat: None)
over = teacher("Over", lambda chat: 9)


def broken(chat: Chat, sample: int) -> str:
    raise ModelError("the server does not know this key")


def student(chat: Chat, sample: int) -> str:
    """Wrong on every second question."""
    answer = ANSWERS[chat.question]
    shown = answer if place(chat) % 2 == 0 else {"yes": "no", "no": "yes"}[answer]
    return f"I think so. The answer is {shown}."


@pytest.fixture
def fitted() -> Noting:
    know()
    ASKED.clear()
    return Noting(lambda job: f"{ME}student")


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "committee",
        "task": "coin_flip?size=200",
        "teacher": f"{ME}kind",
        "peers": [f"{ME}strict"],
        "student": f"{ME}student",
        "mistakes": {"n": 1, "temperature": 0},
        "baselines": [],
        **more,
    }


def run(folder: Path, fitted: Noting, **more: Any) -> list[str]:
    """Run it; what was said."""
    told: list[JsonObject] = []
    runner.run(config(**more), folder, launcher=fitted, listener=told.append)
    return [str(one["line"]) for one in told if one["event"] in ("note", "warning")]


def test_a_lesson_needs_the_verdict_and_the_peers(tmp_path: Path, fitted: Noting) -> None:
    lines = run(tmp_path / "run", fitted)
    (taught,) = fitted
    # Strict's peer Kind finds all of it sound, but where Strict is wrong the verdict stops it; Strict lets nothing of Kind through.
    assert {one.teacher for one in taught.lessons} == {f"{ME}strict"}
    assert {int(one.question.rpartition("-")[2]) % 2 for one in taught.lessons} == {1}
    assert 3 not in {int(one.question.rpartition("-")[2]) % 10 for one in taught.lessons}
    assert all(one.completion == f"Strict reasons about it. --> {ANSWERS[one.question]}" for one in taught.lessons)
    assert set(Counter(one.feedback.partition(" ")[0] for one in taught.lessons)) == {"Kind", "Strict"}
    assert all(one.wrong[0].startswith("I think so. --> ") for one in taught.lessons)
    assert [one.name for one in taught.training.choices()] == ["likelihood", "critique"]
    assert [one.weight for one in taught.training.choices()] == [0.5, 0.5]
    said = "\n".join(lines)
    assert re.search(r"teacher 1 \(.*kind\): (\d+) of \1 solutions right, peers' mean 1\.00, 0 accepted", said)
    assert "0 of these are not right and go no further" in said


def test_every_solution_is_scored_where_that_is_asked_for(tmp_path: Path, fitted: Noting) -> None:
    lines = run(tmp_path / "run", fitted, review={"every": True})
    many = sum(name == "Kind" and chat.purpose == "review" for name, chat in ASKED)
    missed = {chat.question for _, chat in ASKED if chat.purpose == "explain"}
    wrong = sum(int(one.rpartition("-")[2]) % 10 == 3 for one in missed)
    assert many == len(missed)
    assert any(f"{wrong} of these are not right and go no further" in line for line in lines)


def test_right_solutions_alone_are_paid_to_be_scored(tmp_path: Path, fitted: Noting) -> None:
    run(tmp_path / "run", fitted)
    reviewed = {chat.question for name, chat in ASKED if name == "Kind" and chat.purpose == "review"}
    assert 3 not in {int(one.rpartition("-")[2]) % 10 for one in reviewed}


def test_who_reviews_sees_no_name_and_the_right_answer_unless_blind() -> None:
    know()
    task = find_task("coin_flip?size=200")
    question = task.load("train")[0]
    told = review(task, question, 'It is so.\n"> [5]"', blind=False).messages[-1].content
    assert f"The right answer is: {question.answer}" in told
    assert '> It is so.\n> "> [5]"' in told
    assert "The right answer" not in review(task, question, "x", blind=True).messages[-1].content


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("[4]", 4.0),
        ("Out of [5] I give [ 3.5 ]", 3.5),
        ("[0]", None),
        ("[6]", None),
        ("[-3]", None),
        ("4", None),
        ("", None),
        ("[four]", None),
        ("[" * 5000 + "9" * 5000 + "]" * 5000, None),
    ],
)
def test_scores_are_read_or_ignored(text: str, score: float | None) -> None:
    assert read_score(text) == score


def test_scores_that_are_none_let_nothing_through(tmp_path: Path, fitted: Noting) -> None:
    lines = run(tmp_path / "run", fitted, teacher=f"{ME}prose", peers=[f"{ME}kind", f"{ME}over"])
    said = "\n".join(lines)
    assert re.search(r"teacher 2 \(.*kind\): .*, no score, 0 accepted", said)
    # Prose's and Over's own solutions have one score, Kind's; every score is 5.
    assert "every score is 5: the peers tell nothing apart" in said
    assert {one.teacher.rpartition(":")[2] for one in fitted[0].lessons} == {"prose", "over"}


def test_a_teacher_that_fails_is_left_out_and_said_and_stays_so(tmp_path: Path, fitted: Noting) -> None:
    given = {"peers": [f"{ME}strict", f"{ME}broken"]}
    lines = run(tmp_path / "run", fitted, **given)
    assert any("teacher 3 " in line and "is left out of the committee" in line for line in lines)
    assert not [one for one in (tmp_path / "run").glob("*-3*") if one.suffix != ".draft"]
    before = len(ASKED)
    run(tmp_path / "run", fitted, **given)
    assert len(ASKED) == before


def test_a_committee_of_which_one_is_left_is_none(
    tmp_path: Path, fitted: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ModelError, match="of the committee 1 teacher answers, and two are needed: .*does not know this key"
    ):
        run(tmp_path / "run", fitted, peers=[f"{ME}broken"])
    assert not fitted
    # Nobody is left out for good by that: whoever answers when the same command is given again is of the committee.
    monkeypatch.setattr(sys.modules[__name__], "broken", strict)
    run(tmp_path / "run", fitted, peers=[f"{ME}broken"])
    assert len(fitted) == 1


def test_a_single_teacher_at_as_many_lessons(tmp_path: Path, fitted: Noting) -> None:
    run(tmp_path / "one", fitted, teacher=f"{ME}strict", peers=[f"{ME}kind"], single=1, most=20)
    assert len(fitted[0].lessons) == 20
    assert {one.feedback.partition(" ")[0] for one in fitted[0].lessons} == {"Strict"}
    with pytest.raises(
        ConfigError, match=r"most=200: the committee let only \d+ lessons through; set most=\d+ for every arm"
    ):
        run(tmp_path / "more", fitted, most=200)
    with pytest.raises(
        LessonError, match="0 lessons from 70 missed questions .dropped: 70 without an accepted solution"
    ):
        run(tmp_path / "none", fitted, single=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"peers": []}, "a committee of one has nobody to score it"),
        ({"peers": [f"{ME}kind"]}, "the same teacher stands there twice"),
        ({"single": 3}, "single=3: the committee has 2 teachers"),
        ({"training": {"objective": "repair"}}, "alpha weighs them"),
        ({"baselines": ["fine_tune"]}, "need lessons on all training questions"),
        ({"alpha": 1}, "alpha"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    know()
    with pytest.raises(ConfigError, match=said):
        runner.run(config(**given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_remarks_there_is_one_part(tmp_path: Path, fitted: Noting) -> None:
    run(tmp_path / "run", fitted, alpha=0)
    assert [one.name for one in fitted[0].training.choices()] == ["likelihood"]


def test_a_plan_counts_each_teacher_s_calls() -> None:
    lines = "\n".join(runner.plan_run(config(questions={"train_limit": 30}, peers=[f"{ME}strict", f"{ME}over"])))
    assert "teacher 1: solutions, at the most: 30 calls of scripted:" in lines
    assert "teacher 3: reviews, at the most: 60 calls of scripted:" in lines
    assert "in all: 360 calls" in lines  # 12 a question for three teachers, as in the paper


def test_a_remark_that_cannot_be_used_is_none() -> None:
    assert remark_of(Feedback(question="1", text="  A step\n is wrong. ")) == "A step\nis wrong."
    for bad in ({"text": "x" * (LONGEST + 1)}, {"text": "cut", "truncated": True}, {"error": "down"}, {"text": " "}):
        assert remark_of(Feedback(question="1", **bad)) == ""  # type: ignore[arg-type]


def test_the_account_counts_both_gates() -> None:
    found = [
        Reviewed(question="1", author=1, verdict="right", scores=(5.0, 2.0)),
        Reviewed(question="2", author=1, verdict="right", scores=(3.0, 3.0)),
        Reviewed(question="3", author=1, verdict="wrong", scores=(4.0,), ignored=1),
    ]
    teacher_line, whole = account(found, {1: "openai:one"}, 3.0)
    assert teacher_line == "teacher 1 (openai:one): 2 of 3 solutions right, peers' mean 3.50, 1 accepted"
    assert whole == (
        "of 3 solutions that peers scored, 2 are above 3: 1 of these are not right and go no further; 1 right ones are not above it. "
        "1 reviews held no score from 1 to 5"
    )


DATA = os.environ.get("TUTELAGE_DATA", "")
RECORDED = Path(DATA).parent / "recorded" / "committee" / "svamp.rationale.jsonl"  # beside the data sets


@pytest.mark.skipif(
    not DATA or not RECORDED.exists(),
    reason="set TUTELAGE_DATA to the folder of the data sets, beside which `recorded` lies",
)
def test_the_recorded_committee_accepts_as_its_authors_counted_and_the_verdict_stops_one_in_five() -> None:
    task = find_task("word_problems")  # whose numbers are read as any task's are
    found: list[Reviewed] = []
    for row in map(json.loads, RECORDED.read_text().splitlines()):
        question = Question(id=str(row["id"]), text=row["question"], answer=str(row["gold_answer"]), split="train")
        for number, who in enumerate(("gpt", "gemini", "mistral"), 1):
            text, *said = row[f"{who}_rationale"]
            scores = [read_score(f"[{score}]") for score in said]
            valid = tuple(score for score in scores if score is not None)
            found.append(
                Reviewed(question=question.id, author=number, verdict=judge(task, question, text)[1], scores=valid)
            )
    accepted = Counter(one.question for one in found if one.is_accepted(3.0))
    assert Counter(accepted[name] for name in {one.question for one in found}) == {3: 167, 2: 127, 1: 71, 0: 22}
    verdicts = Counter((one.is_accepted(3.0), one.verdict == "right") for one in found)
    assert verdicts == {(True, True): 661, (True, False): 165, (False, True): 65, (False, False): 270}


@pytest.mark.skipif(
    not DATA or not RECORDED.exists(),
    reason="set TUTELAGE_DATA to the folder of the data sets, beside which `recorded` lies",
)
def test_the_recorded_teachers_run_the_recipe_as_models_of_one_s_own(tmp_path: Path) -> None:
    recorded, svamp = str(Path(DATA).parent / "recorded"), Path(DATA) / "svamp.jsonl"
    members = [
        {"kind": "studies.recorded_committee:Member", "who": who, "folder": recorded}
        for who in ("gpt", "gemini", "mistral")
    ]
    raw = {
        "recipe": "committee",
        "task": {"name": "studies.recorded_committee:questions", "folder": recorded, "svamp": str(svamp)},
        "teacher": members[0],
        "peers": members[1:],
        "student": f"{ME}stranger",
        "mistakes": {"n": 1, "temperature": 0},
        "questions": {"test_limit": 5},
        "review": {"every": True},
        "alpha": 0,
        "baselines": [],
    }
    told: list[JsonObject] = []
    taught = Noting(lambda job: f"{ME}stranger")
    runner.run(raw, tmp_path / "run", launcher=taught, listener=told.append)
    said = "\n".join(str(one["line"]) for one in told if one["event"] == "note")
    for line in (
        "194 of 272 solutions right",
        "183 accepted",
        "143 accepted",
        "140 accepted",
        "110 of these are not right",
    ):
        assert line in said
    assert len(taught[0].lessons) == 229
    assert {one.teacher for one in taught[0].lessons} == {"recorded-gpt", "recorded-gemini", "recorded-mistral"}


def stranger(chat: Chat, sample: int) -> str:
    """A student that is wrong everywhere."""
    return "Perhaps. The answer is 123456."
