"""LEMA with scripted models: whose wrong chains are corrected, what a correction says, and mixtures of equal size."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, ASKED, good, know

from tutelage import runner
from tutelage.errors import ConfigError
from tutelage.lessons.correcting import corrections, repeated
from tutelage.types import Attempt, Chat, Lesson


def corrector(chat: Chat, sample: int) -> str:
    """Lets the first step stand and goes on rightly; on every fourth question it keeps what is wrong, and then writes a whole solution."""
    if chat.purpose != "scribe":
        return good(chat, sample)
    ASKED.append(chat)
    if int(chat.question.rpartition("-")[2]) % 4 == 0:
        return json.dumps({"keep": 9, "continuation": "x"})
    told = {
        "keep": 1,
        "continuation": f"It turns. The answer is {ANSWERS[chat.question]}.",
        "diagnosis": "A flip was missed.",
    }
    return json.dumps(told)


def writer(places: int) -> Any:
    """A model that is wrong on questions whose number ends in less than `places`; its first step stands."""

    def answer(chat: Chat, sample: int) -> str:
        right = ANSWERS[chat.question]
        wrong = {"yes": "no", "no": "yes"}[right]
        shown = wrong if int(chat.question.rpartition("-")[2]) % 10 < places else right
        return f"The coin lies there. It stays {places}. --> {shown}"

    return answer


three, five, none = writer(3), writer(5), writer(0)
ME = f"scripted:{__name__}:"


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"{ME}three")


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "lema",
        "task": "coin_flip?size=200",
        "teacher": f"{ME}corrector",
        "student": f"{ME}five",
        "rationales": {"calls": 2},
        "mistakes": {"n": 1, "temperature": 0},
        "baselines": [],
        **more,
    }


def test_the_student_s_own_wrong_chains_are_corrected_and_learned_beside_the_chains(
    tmp_path: Path, fitted: Noting
) -> None:
    scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["Fine-tune-CoT", "LEMA"]
    assert [(one.step, one.who.rpartition(":")[2]) for one in fitted] == [
        ("chains-student", "five"),
        ("student", "five"),
    ]
    chains = fitted[0].lessons
    taught = fitted[1].lessons
    assert [one.completion for one in taught[: len(chains)]] == [one.completion for one in chains]
    corrected = taught[len(chains) :]
    assert {one.kind for one in corrected} == {"correction"}
    # The student that learned the chains errs on three of ten, and every wrong chain has one correction.
    asked = {one.question for one in chains}
    assert Counter(one.question for one in corrected) == {
        name: 1 for name in asked if int(name.rpartition("-")[2]) % 10 < 3
    }
    assert len(corrected) > 20


def test_a_correction_names_the_step_says_why_and_goes_on_from_there(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(), tmp_path / "run", launcher=fitted)
    by_question = {one.question: one for one in fitted[1].lessons if one.kind == "correction"}
    repair = by_question["train-1"]
    answer = ANSWERS["train-1"]
    wrong = {"yes": "no", "no": "yes"}[answer]
    assert repair.completion == f"Wrong step: It stays 3.\nWhy: A flip was missed.\nRightly: It turns. --> {answer}"
    assert repair.prompt.endswith(
        f"A solution to this, which is wrong:\nThe coin lies there. It stays 3. --> {wrong}\n\n"
        "Which step is the first wrong one, why, and how does it go on rightly from there?"
    )
    assert repair.attempts == ("1-exam/train-1#0",)
    # What the scribe could not do was asked for as a whole solution, which names no step.
    whole = next(one for name, one in by_question.items() if int(name.rpartition("-")[2]) % 4 == 0)
    assert whole.completion.startswith("Why: The second flip was missed.\nRightly: Way 0 of round 1. --> ")


def test_exams_ask_for_chains_alone(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(), tmp_path / "run", launcher=fitted)
    step = json.loads((tmp_path / "run" / "lema" / "step.json").read_text())
    assert step["inputs"]["paper"]["form"] == "taught"


def test_several_writers_each_with_an_exam_of_their_own(tmp_path: Path, fitted: Noting) -> None:
    scores = runner.run(config(writers=[f"{ME}three", f"{ME}five"]), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["LEMA"]
    assert [one.step for one in fitted] == ["student"]
    corrected = [one for one in fitted[0].lessons if one.kind == "correction"]
    assert {one.round for one in corrected} == {1, 2}
    ends = {
        number: {int(one.question.rpartition("-")[2]) % 10 for one in corrected if one.round == number}
        for number in (1, 2)
    }
    assert ends == {1: {0, 1, 2}, 2: {0, 1, 2, 3, 4}}
    # Who was not taught the format is shown worked examples.
    step = json.loads((tmp_path / "run" / "2-exam" / "step.json").read_text())
    assert step["inputs"]["paper"]["form"] == "few_shot_cot"
    assert len(step["inputs"]["paper"]["exemplars"]) == 8


@pytest.mark.parametrize("mix", ["chains", "corrections"])
def test_ablations_have_as_many_tokens_as_both(mix: str, tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(), tmp_path / "both", launcher=fitted)
    both = fitted[-1].lessons
    runner.run(config(mix=mix), tmp_path / mix, launcher=fitted)
    alone = fitted[-1].lessons
    assert {one.kind for one in alone} == ({"rationale"} if mix == "chains" else {"correction"})
    sizes = [sum(len(one.completion) // 4 + 9 for one in lessons) for lessons in (both, alone)]
    longest = max(len(one.completion) // 4 + 9 for one in alone)
    assert abs(sizes[0] - sizes[1]) <= longest / 2
    counts = Counter(one.completion + one.prompt for one in alone).values()
    assert max(counts) - min(counts) <= 1


def test_writers_that_never_err_leave_nothing_to_correct(tmp_path: Path, fitted: Noting) -> None:
    with pytest.raises(ConfigError, match="there is not one correction to learn from"):
        runner.run(config(writers=[f"{ME}none"]), tmp_path / "run", launcher=fitted)
    assert not fitted


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"writers": [f"{ME}three", f"{ME}three"]}, "the same model stands there twice"),
        ({"feedback": {"shown": 2}}, "shown"),
        ({"feedback": {"practice": 1}}, "practice"),
        ({"mix": "cot"}, "mix"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    know()
    with pytest.raises(ConfigError, match=said):
        runner.run(config(**given), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_plan_counts_writers_and_corrector(tmp_path: Path) -> None:
    given = config(writers=[f"{ME}three"], corrector=f"{ME}none", questions={"train_limit": 40})
    lines = runner.plan_run(given)
    said = "\n".join(lines)
    assert "chains of writer 1: 40 calls of scripted:" in said
    assert "repairs, at the most: 40 calls of scripted:" in said
    assert "none" in said


def test_an_end_that_is_wrong_is_no_step() -> None:
    lesson = Lesson(
        question="1",
        prompt="Q",
        completion="One. Two. --> 3",
        kind="repair",
        kept=9,
        mistaken="One. Two. --> 4",
        feedback="Read it.",
    )
    made = corrections([lesson], {"1": Attempt(question="1", text="One. Two. --> 4")}, 1).lessons[0]
    assert made.completion == "Wrong step: none, what follows is missing or wrong\nWhy: Read it.\nRightly: --> 3"


def test_nothing_is_repeated_to_no_size() -> None:
    assert repeated([], lambda lesson: 1, 10, "0") == []
