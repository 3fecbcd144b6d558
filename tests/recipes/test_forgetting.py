"""An exam on another task before any training and after each, which nothing else of a run takes for its own."""

from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, config, good, know

from tutelage import runner
from tutelage.errors import ConfigError
from tutelage.report.writing import write_report
from tutelage.runs import history
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat

OTHER = "last_letter_concatenation?size=100"
KNOWN = {question.text: question.answer for question in find_task(OTHER).load("test")}


def worked(chat: Chat, sample: int) -> str:
    return good(chat, sample)


def said(chat: Chat, forgotten: int) -> str:
    text = chat.messages[-1].content
    for place, (question, answer) in enumerate(KNOWN.items()):
        if question in text:
            return f"The answer is {answer if place % 10 >= forgotten else 'zz'}."
    even = int(chat.question.rpartition("-")[2]) % 2
    answer = ANSWERS[chat.question]
    return f"It is. --> {answer if even else {'yes': 'no', 'no': 'yes'}[answer]}"


def untuned(chat: Chat, sample: int) -> str:
    return said(chat, 0)


def after_1(chat: Chat, sample: int) -> str:
    return said(chat, 2)


def after_2(chat: Chat, sample: int) -> str:
    return said(chat, 5)


def settings(**more: Any) -> dict[str, Any]:
    return config(
        preset="house",
        teacher=f"scripted:{__name__}:worked",
        student=f"scripted:{__name__}:untuned",
        baselines=[],
        **more,
    )


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"scripted:{__name__}:{'after_2' if job.step.startswith('2') else 'after_1'}")


@pytest.mark.parametrize("recipe", ["tailored", "finetune_cot"])
def test_what_is_forgotten_is_in_the_report(recipe: str, tmp_path: Path, fitted: Noting) -> None:
    asked = settings(forgetting={"task": OTHER, "questions": 20})
    if recipe == "finetune_cot":
        asked = {key: asked[key] for key in ("task", "teacher", "student", "baselines", "rationales", "forgetting")} | {
            "recipe": recipe
        }
    else:
        asked |= {"rounds": 2, "review": 0, "patience": None}
    scores = runner.run(asked, tmp_path / "run", launcher=fitted)
    run = history.open_run(tmp_path / "run")
    taught = 1 if recipe == "finetune_cot" else 2
    assert [view.step for view in run.elsewhere] == [f"{number}-forgetting" for number in range(taught + 1)]
    assert not any("forgetting" in view.step for view in run.exam_views)
    assert len(scores) == taught  # no row of the final table
    assert {question.text for question in run.questions.values()}.isdisjoint(KNOWN)
    right = [sum(one.verdict == "right" for one in view.attempts) for view in run.elsewhere]
    assert right[0] == 20 > right[1]
    write_report([tmp_path / "run"])
    markdown = (tmp_path / "run" / "report.md").read_text()
    markdown = markdown.replace("\\", "")
    assert "last_letter_concatenation, as it came" in markdown
    assert f"last_letter_concatenation, after round {taught}" in markdown
    assert f"{5 * right[-1] - 100:.1f} [" in markdown  # the paired difference


def test_without_it_nothing_is_asked_and_a_run_is_the_same_run(tmp_path: Path, fitted: Noting) -> None:
    runner.run(settings(rounds=1), tmp_path / "run", launcher=fitted)
    runner.run(settings(rounds=1, forgetting=None), tmp_path / "run", launcher=fitted)
    assert not history.open_run(tmp_path / "run").elsewhere


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"task": "no_such"}, "no_such"),
        ({"task": OTHER, "split": "exam"}, "exam"),
        ({"task": OTHER, "form": "taught"}, "form"),
        ({"questions": 20}, "task"),
        ({"task": "coin_flip?size=50"}, "is the task that is taught"),
    ],
)
def test_bad_settings_are_said_before_anything_is_asked(
    given: dict[str, Any], says: str, tmp_path: Path, fitted: Noting
) -> None:
    with pytest.raises(ConfigError, match=says):
        runner.run(settings(forgetting=given), tmp_path / "run", launcher=fitted)
    assert not (tmp_path / "run" / "rationales").exists()
