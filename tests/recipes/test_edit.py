"""EDIT with scripted and offline teachers: which chains are rectified or corrupted, which pairs are kept, and what is learned when."""

from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import Levenshtein
from tests.pace import seconds_of
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, know

from tutelage import runner
from tutelage.arithmetic import false_sum
from tutelage.errors import LessonError
from tutelage.lessons.dual_chains import corrupt, distance, rectify
from tutelage.lessons.offline_teacher import slipped
from tutelage.recipes.edit import _risen
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, JsonObject

ME = f"scripted:{__name__}:"
OTHER = {"yes": "no", "no": "yes"}
STEPS = "The coin lies there on the table. Somebody comes and turns it once more. Then all of them go home"


def teacher(chat: Chat, sample: int) -> str:
    """Wrong on every fifth question; what it rewrites of every seventh is something else altogether, and of every eleventh it stays right."""
    number, answer = int(chat.question.rpartition("-")[2]), ANSWERS[chat.question]
    if chat.purpose == "rectify":
        return f"{STEPS}, as {number} shows. The answer is {answer}."
    if chat.purpose == "corrupt":
        if number % 7 == 0:
            return f"I would say so without any doubt at all. The answer is {OTHER[answer]}."
        return f"{STEPS}, which {number} shows. The answer is {answer if number % 11 == 0 else OTHER[answer]}."
    said = OTHER[answer] if number % 5 == 0 else answer
    return f"{STEPS}, so {number} shows. The answer is {said}."


def honest(chat: Chat, sample: int) -> str:
    """Will not write what is wrong."""
    return f"{STEPS}. The answer is {ANSWERS[chat.question]}."


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"{ME}honest")


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "edit",
        "task": "coin_flip?size=200",
        "teacher": f"{ME}teacher",
        "student": f"{ME}honest",
        "baselines": [],
        **more,
    }


def number(name: str) -> int:
    return int(name.rpartition("-")[2])


def test_right_chains_first_and_then_where_the_pairs_part(tmp_path: Path, fitted: Noting) -> None:
    scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["right chains", "EDIT"]
    chains, keys = fitted
    assert (chains.step, keys.step) == ("chains-student", "keys-student")
    assert [one.name for one in keys.training.choices()] == ["key_steps"]
    assert keys.training.choices()[0].options == {"plain": 0.0, "key": 1.0, "wrong": 0.025}
    assert {one.kind for one in chains.lessons} == {"rationale", "rectified"}
    by_kind = {kind: [one for one in keys.lessons if one.kind == kind] for kind in ("rectified", "corrupted")}
    assert {number(one.question) % 5 for one in by_kind["rectified"]} == {0}
    assert all(
        number(one.question) % 5 and number(one.question) % 7 and number(one.question) % 11
        for one in by_kind["corrupted"]
    )
    for one in keys.lessons:
        assert one.completion.endswith(f" --> {ANSWERS[one.question]}")
        assert one.mistaken.endswith(f" --> {OTHER[ANSWERS[one.question]]}")
    # Every question has one pair at most, and a rectified one is learned as a chain, too.
    assert len({one.question for one in keys.lessons}) == len(keys.lessons)
    assert {one.completion for one in by_kind["rectified"]} <= {one.completion for one in chains.lessons}


def test_what_becomes_of_the_others_is_said(tmp_path: Path, fitted: Noting) -> None:
    told: list[JsonObject] = []
    runner.run(config(), tmp_path / "run", launcher=fitted, listener=told.append)
    said = "\n".join(str(one["line"]) for one in told if one["event"] == "note")
    assert "not wrong" in said
    assert "further apart than 0.5" in said
    assert "wrong ones of theirs are to be rectified" in said


def test_fewer_chains_are_corrupted_where_fewer_are_asked_for(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(pairs={"corrupt": 0}), tmp_path / "run", launcher=fitted)
    assert {one.kind for one in fitted[1].lessons} == {"rectified"}


def test_a_teacher_that_never_errs_and_will_not_leaves_no_pair(tmp_path: Path, fitted: Noting) -> None:
    with pytest.raises(LessonError, match="there is no pair of a right and a wrong chain"):
        runner.run(config(teacher=f"{ME}honest"), tmp_path / "run", launcher=fitted)
    assert not fitted


def test_the_offline_teacher_slips_in_one_sum_and_goes_on_rightly_from_there(tmp_path: Path, fitted: Noting) -> None:
    given = config(task="word_problems?difficulty=1&size=120", teacher="worked:")
    runner.run({**given, "student": f"{ME}solver"}, tmp_path / "run", launcher=Noting(lambda job: f"{ME}solver"))
    task = find_task("word_problems?difficulty=1&size=120")
    assert task.worked is not None
    for question in task.load("train")[:40]:
        text = slipped(task.worked(question, 0), question.answer, question.id)
        assert not false_sum(text)
        said = text.rpartition("The answer is ")[2].rstrip(".")
        assert said != question.answer or text.startswith(task.worked(question, 0)[:20])


def solver(chat: Chat, sample: int) -> str:
    return "The answer is 1."


def test_requests_hold_the_answer_or_the_chain_as_data() -> None:
    know()
    task = find_task("coin_flip?size=200")
    question = task.load("train")[0]
    hint = rectify(task, question, ["An example. --> yes"]).messages[-1].content
    assert f'End with the sentence "The answer is {question.answer}."' in hint
    assert "> An example. --> yes" in hint
    asked = corrupt(task, question, 'Right.\nIgnore this. --> "yes"', [("a --> 1", "b --> 2")]).messages[-1].content
    assert '> Right.\n> Ignore this. --> "yes"' in asked
    assert "> b --> 2" in asked


def test_two_thousand_words_are_compared_in_no_time() -> None:
    one, other = (" ".join(str((place * step) % 17) for place in range(2000)) for step in (3, 5))
    assert seconds_of(lambda: distance(one, other)) < 1  # it takes some hundredths
    assert seconds_of(lambda: Levenshtein.opcodes(one.split(), other.split())) < 1
    assert 0 < distance(one, other) <= 1


@pytest.mark.parametrize(
    ("losses", "rises"),
    [
        ([1.0] * 8, False),
        ([1.0] * 4 + [2.0] * 4, True),
        ([2.0] * 4 + [1.0] * 4, False),
        ([1.0, 5.0], False),
        ([], False),
    ],
)
def test_right_chains_that_come_to_be_unlikely_are_noticed(losses: list[float], rises: bool) -> None:
    assert bool(_risen({"losses": losses})) == rises


def test_where_they_do_the_student_before_is_kept(
    tmp_path: Path, fitted: Noting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tutelage.recipes.edit._risen", lambda facts: "what the right chains cost rose")
    told: list[JsonObject] = []
    runner.run(config(), tmp_path / "run", launcher=fitted, listener=told.append)
    assert any(one["event"] == "warning" and "the run's student is the one before" in one["line"] for one in told)
