"""After SERT with scripted models: which of a student's own answers it learns first, by which rule the others die, and what is told."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, know

from tutelage import runner
from tutelage.errors import ConfigError, LessonError
from tutelage.lessons.paths import FormRules, keep_paths
from tutelage.tasks.catalog import find_task
from tutelage.types import Attempt, Chat, JsonObject

ME = f"scripted:{__name__}:"
PATH = "The coin is heads up and nobody flips it, so it is still heads up. The answer is {}."


def raw(chat: Chat, sample: int) -> str:
    """A student that reasons in the answers 1, 2 and 5 alone; the last two are alike but for spaces."""
    answer = ANSWERS.get(chat.question, "yes")
    said = [
        "yes",
        PATH.format(answer),
        "Therefore the coin, since it was turned once by somebody here, lies otherwise. The answer is maybe.",
        "So it lies. " * 14,
        chat.text or "x",
        " ".join(PATH.format(answer).split(" ")),
        "I like the weather because it is warm in summer and my dog likes warm weather too.",
    ]
    return said[sample % len(said)] if chat.sample == 0 else said[0]


def raised(chat: Chat, sample: int) -> str:
    return PATH.format(ANSWERS[chat.question])


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"{ME}{'raised' if job.step == 'self-student' else 'raw'}")


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "sert",
        "task": "coin_flip?size=60",
        "teacher": "worked:",
        "student": f"{ME}raw",
        "paths": {"n": 7},
        "baselines": ["zero_shot"],
        **more,
    }


def run(folder: Path, fitted: Noting, **more: Any) -> list[str]:
    """Run it; what was said of its steps."""
    told: list[JsonObject] = []
    runner.run(config(**more), folder, launcher=fitted, listener=told.append)
    return [f"{one['step']}: {one['line']}" for one in told if one["event"] == "note"]


def test_the_student_learns_its_own_paths_first_and_the_teacher_s_rationales_from_there(
    tmp_path: Path, fitted: Noting
) -> None:
    notes = run(tmp_path / "run", fitted)
    assert [(one.step, one.who.rpartition(":")[2]) for one in fitted] == [
        ("self-student", "raw"),
        ("plain-student", "raw"),
        ("student", "raised"),
    ]
    own, plain, taught = (one.lessons for one in fitted)
    assert {one.kind for one in own} == {"path"}
    assert [one.completion for one in plain] == [one.completion for one in taught]
    # The prompt is the zero-shot exam's own.
    assert all(re.fullmatch(r"Q: .*\n\nA:", one.prompt, re.DOTALL) for one in own)
    by_question: dict[str, list[int]] = {}
    for one in own:
        by_question.setdefault(one.question, []).append(one.sample)
    assert set(map(tuple, by_question.values())) == {(1, 2)}
    said = next(line for line in notes if line.startswith("paths-lessons: ") and "from" in line)
    each = len(by_question)
    for reason in ("too short", "repeating themselves", "off the topic", "repeated"):
        assert f"{each} {reason}" in said
    told = next(line for line in notes if "was not asked of them" in line)
    assert told == f"paths-lessons: {each} of the {2 * each} paths end in the right answer, which was not asked of them"


def test_how_often_it_reasons_unled_is_told_before_and_after(tmp_path: Path, fitted: Noting) -> None:
    notes = run(tmp_path / "run", fitted)
    (line,) = [line for line in notes if line.startswith("self_zero_shot: looks like reasoning")]
    assert re.search(r"unled: 0\.0% \[0\.0%, .*\] as it came, 100\.0% \[.*, 100\.0%\] now", line)


def test_the_table_has_fine_tune_cot_beside_it(tmp_path: Path, fitted: Noting) -> None:
    scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["zero-shot", "zero-shot, self-trained", "Fine-tune-CoT", "after SERT"]
    alone = runner.run(config(beside=False), tmp_path / "alone", launcher=fitted)
    assert list(alone) == ["zero-shot", "zero-shot, self-trained", "after SERT"]


def test_right_answers_alone_where_they_are_asked_for(tmp_path: Path, fitted: Noting) -> None:
    run(tmp_path / "run", fitted, paths={"n": 7, "rules": {"right": True}})
    assert {one.sample for one in fitted[0].lessons} == {1}


def test_rules_that_drop_everything_say_which(tmp_path: Path, fitted: Noting) -> None:
    with pytest.raises(
        LessonError, match=r"none of the student's answers looks like reasoning: 0 lessons from \d+ paths .*too short"
    ):
        run(tmp_path / "run", fitted, paths={"n": 7, "rules": {"min_words": 500}})
    assert not fitted


def test_a_rule_that_is_unknown_is_said_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="min_words"):
        runner.run(config(paths={"rules": {"min_word": 3}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


QUESTION = "A coin is heads up. Maya flips the coin. Is the coin still heads up?"
SOUND = "Maya flips the coin once, so it is tails up now and not heads."


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SOUND, ""),
        ("Maya flips it, so no.", "too short"),
        (" ".join(f"so w{place}" for place in range(150)), "too long"),
        ("Maya flips the coin once and it is tails up now and not heads.", "without a connective"),
        ("So the coin flips " * 6, "repeating themselves"),
        ("A coin is heads up. Maya flips the coin. Is the coin still heads up? So", "copies of the question"),
        ("My dog likes warm summers because then he sleeps all day long outside.", "off the topic"),
        ("Sociable Maya flips the coin once and it is tails up now and not heads.", "without a connective"),
    ],
)
def test_each_rule_by_an_example(text: str, why: str) -> None:
    assert FormRules().why_not(text, QUESTION) == why


def test_a_rule_may_be_switched_off() -> None:
    rules = FormRules(min_words=None, connectives=(), on_topic=None, copied=None, distinct=None, max_words=None)
    assert rules.why_not("", QUESTION) == ""


def test_no_more_than_asked_for_a_question() -> None:
    task = find_task("coin_flip?size=60")
    question = task.load("train")[0]
    said = [f"{SOUND} Number {place} says so." for place in range(5)]
    attempts = [Attempt(question=question.id, sample=place, text=text) for place, text in enumerate(said)]
    attempts.append(Attempt(question=question.id, sample=5, text=SOUND, truncated=True))
    kept = keep_paths(attempts, task, {question.id: question}, FormRules(on_topic=None), 3)
    assert [one.sample for one in kept.lessons] == [0, 1, 2]
    assert kept.line() == "3 lessons from 6 paths (dropped: 2 beyond 3 a question, 1 cut off)"
