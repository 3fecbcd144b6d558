"""Distillation from probabilities with scripted models: whose texts are learned, what the student writes itself, and who is asked about it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting
from tests.recipes.test_tailored import ANSWERS, know

from tutelage import runner
from tutelage.errors import ConfigError, LessonError
from tutelage.recipes.catalog import check_config
from tutelage.types import Chat, JsonObject, Reply, Sampling, TokenScores

ME = f"scripted:{__name__}:"


class White:
    """A teacher that knows the answers to two questions of three, and tells how likely it finds texts."""

    name = "white"

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        for index, chat in enumerate(chats):
            knows = int(chat.question.rpartition("-")[2]) % 3
            text = f"White has counted. --> {ANSWERS[chat.question] if knows else 'maybe'}"
            yield index, [Reply(text=text, finish="eos", model=self.name)] * sampling.n

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        raise AssertionError("nothing is trained here")

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class Letters(White):
    """A student whose tokens are letters."""

    def count_tokens(self, text: str) -> int:
        return len(text)


def untaught(chat: Chat, sample: int) -> str:
    return "x --> no"


def taught(chat: Chat, sample: int) -> str:
    return f"Answer {sample}. --> no" if sample else "   "


def silent(chat: Chat, sample: int) -> str:
    return " "


@pytest.fixture
def fitted() -> Noting:
    know()
    return Noting(lambda job: f"{ME}taught")


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "distil",
        "task": "coin_flip?size=60",
        "scorer": {"kind": f"{__name__}:White"},
        "student": f"{ME}untaught",
        "questions": {"train_limit": 30, "test_limit": 4},
        "rollouts": {"n": 3},
        "rounds": 2,
        "baselines": [],
        **more,
    }


def test_the_scorer_s_texts_come_first_and_then_rounds_of_the_student_s_own(tmp_path: Path, fitted: Noting) -> None:
    told: list[JsonObject] = []
    scores = runner.run(config(), tmp_path / "run", launcher=fitted, listener=told.append)
    assert list(scores) == ["taught its texts", "distilled, 2 rounds", "the scorer"]
    assert [one.step for one in fitted] == ["texts-student", "1-distilled", "2-distilled"]
    assert [one.who.rpartition(":")[2] for one in fitted] == ["untaught", "taught", "taught"]
    texts, *rounds = fitted
    assert [one.name for one in texts.training.choices()] == ["likelihood"]
    assert all(one.completion.startswith("White has counted") for one in texts.lessons)
    assert all(int(one.question.rpartition("-")[2]) % 3 for one in texts.lessons)
    for one in rounds:
        own = [lesson for lesson in one.lessons if lesson.kind == "rollout"]
        others = [lesson for lesson in one.lessons if lesson.kind != "rollout"]
        assert len({lesson.question for lesson in own}) == 15  # half of the questions
        assert {lesson.completion for lesson in own} == {"Answer 1. --> no", "Answer 2. --> no"}  # right or wrong
        assert {lesson.completion for lesson in others} <= {lesson.completion for lesson in texts.lessons}
        assert not {lesson.question for lesson in own} & {lesson.question for lesson in others}
        (choice,) = one.training.choices()
        assert choice.name == "imitate"
        kept = {"share": 1.0, "beta": 0.5, "top": 32, "rollouts": False, "scorer": {"kind": f"{__name__}:White"}}
        assert choice.options == kept
    first, second = ({lesson.question for lesson in one.lessons if lesson.kind == "rollout"} for one in rounds)
    assert first != second
    assert any(
        "30 lessons from 45 answers of the student's own (dropped: 15 empty)" in str(one.get("line")) for one in told
    )


@pytest.mark.parametrize(("share", "own"), [(0, 0), (1, 30)])
def test_a_round_may_be_wholly_on_policy_or_not_at_all(tmp_path: Path, fitted: Noting, share: float, own: int) -> None:
    runner.run(config(on_policy=share, rounds=1), tmp_path / "run", launcher=fitted)
    rolled = {lesson.question for lesson in fitted[1].lessons if lesson.kind == "rollout"}
    assert len(rolled) == own
    assert len(fitted[1].lessons) == (2 * own or len(fitted[0].lessons))


def test_another_teacher_may_write_the_texts(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(texts="teacher", teacher="worked:", rounds=1), tmp_path / "run", launcher=fitted)
    assert len(fitted[0].lessons) == 30
    assert not any(one.completion.startswith("White") for one in fitted[0].lessons)
    beside = "\n".join(runner.plan_run(config(baselines=["teacher"], rationales={"calls": 2})))
    assert "the teacher's own exam, reasoning: 4 calls" in beside
    assert "the teacher's own exam, answers: 4 calls" in beside
    assert "rationales" not in beside
    assert "rationales: 30 calls" in "\n".join(runner.plan_run(config(texts="teacher")))


def test_rounds_draw_some_of_the_questions(tmp_path: Path, fitted: Noting) -> None:
    more = {"rollouts": {"n": 2, "questions": 5}, "on_policy": 1.0}
    runner.run(config(**more), tmp_path / "run", launcher=fitted)
    assert [len(one.lessons) for one in fitted[1:]] == [5, 5]
    runner.run(config(**more), tmp_path / "run", launcher=fitted)  # nothing is made again
    assert len(fitted) == 3


def test_adapters_are_trained_on_as_they_are(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(training={"lora": {"r": 3}}, rounds=1), tmp_path / "run", launcher=fitted)
    assert [one.training.lora.r for one in fitted if one.training.lora] == [3, 3]


def test_its_presets_are_two_papers() -> None:
    both = {name: check_config(config(preset=name, rounds=7), "test").model_dump() for name in ("gkd", "on_policy")}
    assert [one["beta"] for one in both.values()] == [0.5, 1.0]
    assert both["gkd"]["distilling"]["learning_rate"] == 3e-4
    assert both["on_policy"]["training"]["lora"]["r"] == 128
    assert both["on_policy"]["rounds"] == 7  # what is set wins
    assert both["on_policy"]["rollouts"] == {"questions": 512, "n": 3, "temperature": 1.0, "max_tokens": None}
    with pytest.raises(ConfigError, match="preset: paper: known: gkd, house, on_policy"):
        check_config(config(preset="paper"), "test")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scorer": f"{ME}taught"}, "does not tell how likely a text is"),
        ({"student": {"kind": f"{__name__}:Letters"}}, "cuts texts into other tokens than the student"),
        ({"distilling": {"objective": "likelihood", "reflection": {}}}, "here it is imitate"),
        ({"rollouts": {"n": 2, "temperature": 0}}, "would all be the same"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, fitted: Noting, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        runner.run(config(**more), tmp_path / "run", launcher=fitted)
    assert not fitted


def test_a_student_that_says_nothing_has_nothing_to_be_told_about(tmp_path: Path) -> None:
    know()
    mute = Noting(lambda job: f"{ME}silent")
    with pytest.raises(LessonError, match="round 1 has nothing to learn on"):
        runner.run(config(on_policy=1.0), tmp_path / "run", launcher=mute)
