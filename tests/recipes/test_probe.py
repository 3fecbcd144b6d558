"""Four exams on missed questions, and what they say of feedback."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, config, good, know

from tutelage import runner
from tutelage.errors import ConfigError, RunError
from tutelage.recipes.probe import _masked
from tutelage.runs import history
from tutelage.types import Chat


def pointing(chat: Chat, sample: int) -> str:
    """A scribe whose line is about its question and no other."""
    if chat.purpose != "scribe":
        return good(chat, sample)
    told = {
        "keep": 0,
        "continuation": f"It is so. The answer is {ANSWERS[chat.question]}.",
        "diagnosis": f"See {chat.question} again.",
    }
    return json.dumps(told)


def untuned(chat: Chat, sample: int) -> str:
    return _said(chat, int(chat.question.rpartition("-")[2]) % 10 < 3)


def heeding(chat: Chat, sample: int) -> str:
    """A student that is right once it is shown what is said of its question, or the solution."""
    text = chat.messages[-1].content
    knows = f"See {chat.question} again." in text or "A solution" in text
    return _said(chat, knows or int(chat.question.rpartition("-")[2]) % 10 < 3)


def deaf(chat: Chat, sample: int) -> str:
    return untuned(chat, sample)


def _said(chat: Chat, right: bool) -> str:
    answer = ANSWERS[chat.question]
    return f"I think. --> {answer if right else {'yes': 'no', 'no': 'yes'}[answer]}"


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Noting]:
    know()
    fitted = Noting(lambda job: f"scripted:{__name__}:{request.param}")
    settings = config(
        preset="house",
        teacher=f"scripted:{__name__}:pointing",
        student=f"scripted:{__name__}:untuned",
        rounds=2,
        feedback={"form": "scribe"},
        review=0,
    )
    runner.run(settings, tmp_path / "run", launcher=fitted)
    return tmp_path / "run", fitted


def probed(run: tuple[Path, Noting], into: Path, **more: Any) -> Any:
    raw = {"recipe": "probe", "run": str(run[0]), "task": "coin_flip?size=200", "questions": 40, **more}
    return runner.run(raw, into, launcher=run[1])


@pytest.mark.parametrize("run", ["heeding"], indirect=True)
def test_a_student_that_heeds_its_feedback_is_a_go(run: tuple[Path, Noting], tmp_path: Path) -> None:
    scores = probed(run, tmp_path / "probe")
    found = {title: round(score.accuracy, 2) for title, score in scores.items()}
    assert found == {
        "the student alone": 0.0,  # only what it missed is asked again
        "shown the feedback on its mistake": 1.0,
        "shown the feedback on another mistake": 0.0,
        "shown the solution without its result": 1.0,
    }
    assert all(score.questions == 40 for score in scores.values())
    (line,) = history.open_run(tmp_path / "probe").notes("probe")
    assert line.startswith("GO: ")
    assert "+100.0 points" in line
    again = probed(run, tmp_path / "probe")  # nothing is asked twice
    assert again == scores


@pytest.mark.parametrize("run", ["deaf"], indirect=True)
def test_a_student_that_heeds_nothing_is_no_go(run: tuple[Path, Noting], tmp_path: Path) -> None:
    probed(run, tmp_path / "probe")
    (line,) = history.open_run(tmp_path / "probe").notes("probe")
    assert line.startswith("NO GO: ")


@pytest.mark.parametrize("run", ["deaf"], indirect=True)
def test_what_cannot_be_probed_says_why(run: tuple[Path, Noting], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="round=3: .* has feedback of round 2"):
        probed(run, tmp_path / "probe", round=3)
    plain = config(rounds=1, student=f"scripted:{__name__}:untuned", teacher=f"scripted:{__name__}:pointing")
    runner.run(plain, tmp_path / "plain", launcher=run[1])
    with pytest.raises(RunError, match="holds no feedback on mistakes"):
        probed((tmp_path / "plain", run[1]), tmp_path / "probe2")


@pytest.mark.parametrize(
    ("completion", "masked"),
    [
        ("3 + 4 = 7. Then 7 - 2 = 5. --> 5", "3 + 4 = 7. Then 7 - 2 = …."),
        ("15 + 5 = 20. 5.5 is not 5. --> 5", "15 + … = 20. 5.5 is not …."),
        ("So yes it is. --> yes", "So … it is."),
    ],
)
def test_the_answer_is_taken_out_of_a_solution(completion: str, masked: str) -> None:
    assert _masked(completion) == masked
