"""The recipe through its seams: what is asked, kept, taught and examined, with scripted models."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting

from tutelage import runner
from tutelage.config import read_yaml
from tutelage.errors import ConfigError, LessonError, RunError
from tutelage.recipes import RECIPES
from tutelage.recipes.baselines import exemplars
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.finetune_cot import FinetuneCot
from tutelage.recipes.presets import options
from tutelage.runs import records
from tutelage.tasks.asking import few_shot_cot
from tutelage.tasks.catalog import find_task
from tutelage.training.settings import TrainingConfig
from tutelage.types import Attempt, Chat, Lesson, Message


def teacher(chat: Chat, sample: int) -> str:
    """Right on every other question, in two wordings; its answers come in the second call."""
    number = int(chat.question.rpartition("-")[2])
    if chat.purpose == "answer":
        return "yes." if number % 2 else "no."
    return f"The coin is turned. Wording {sample % 2}."


def student(chat: Chat, sample: int) -> str:
    return "I cannot say."


def config(**more: Any) -> dict[str, Any]:
    return {
        "recipe": "finetune_cot",
        "preset": "paper",
        "task": "coin_flip?size=120",
        "teacher": f"scripted:{__name__}:teacher",
        "student": f"scripted:{__name__}:student",
        "rationales": {"samples": 4},
        "baselines": ["zero_shot", "few_shot_cot", "fine_tune", "teacher"],
        "exam": {"max_tokens": 50},
        **more,
    }


@pytest.fixture
def fitted() -> Noting:
    """Training is replaced by noting what would be taught."""
    return Noting(lambda job: f"scripted:{__name__}:student")


def test_the_whole_recipe(tmp_path: Path, fitted: Noting) -> None:
    scores = runner.run(config(), tmp_path / "run", launcher=fitted)
    assert list(scores) == ["zero-shot", "few-shot-CoT", "fine-tune", "Fine-tune-CoT", "teacher"]
    assert scores["teacher"].questions == 24
    asked = records.read_records(tmp_path / "run" / "rationales" / "records.jsonl", Attempt)
    lessons = records.read_records(tmp_path / "run" / "lessons" / "records.jsonl", Lesson)
    assert len(asked) == 84 * 4
    right = {attempt.question for attempt in asked if attempt.verdict == "right"}
    assert len(lessons) == 2 * len(right)  # four samples, two wordings
    answers, rationales = (lessons for _, _, lessons, _ in fitted)
    assert len(answers) == 84
    assert {lesson.completion for lesson in answers} == {"yes", "no"}
    assert rationales == lessons


def test_worked_solutions_are_no_score(tmp_path: Path, fitted: Noting) -> None:
    runner.run(
        config(teacher="worked:", preset="house", rationales={}, baselines=[]), tmp_path / "run", launcher=fitted
    )
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    notes = {event["step"]: event["line"] for event in events if event["event"] == "note"}
    assert notes["rationales"] == "84 worked solutions"
    assert notes["lessons"] == "84 lessons from 84 rationales"


def test_run_again_makes_nothing_twice(tmp_path: Path, fitted: Noting) -> None:
    first = runner.run(config(), tmp_path / "run", launcher=fitted)
    steps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/step.json")}
    heard: list[str] = []
    assert runner.run(config(), tmp_path / "run", lambda event: heard.append(event["event"]), launcher=fitted) == first
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/step.json")} == steps
    assert "started" not in heard


def test_a_changed_config_is_refused(tmp_path: Path, fitted: Noting) -> None:
    runner.run(config(), tmp_path / "run", launcher=fitted)
    with pytest.raises(RunError, match=r"rationales\.samples: 4 -> 8"):
        runner.run(config(rationales={"samples": 8}), tmp_path / "run", launcher=fitted)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": "finetune_cto"}, "unknown recipe 'finetune_cto'; did you mean 'finetune_cot'"),
        ({"exma": {}}, "unknown key 'exma'; did you mean 'exam'"),
        ({"exam": {"m": 3}}, r"unknown key 'exam\.m'"),
        ({"training": {"lora": {"rank": 3}}}, r"unknown key 'training\.lora\.rank'"),
        ({"training": {"epochs": 0}}, r"training\.epochs = 0: .*greater than or equal to 1"),
        ({"task": "coin_flop"}, "unknown task 'coin_flop'; did you mean 'coin_flip'"),
        ({"task": "coin_flip?flps=3"}, "flps.*did you mean 'flips'"),
        ({"teacher": "opnai:gpt"}, "unknown model kind 'opnai'.*did you mean 'openai'"),
        ({"questions": {"test": "tset"}}, "no split 'tset'; did you mean 'test'"),
        ({"baselines": ["zero_shto"]}, "baselines"),
        ({"exam": {"n": 4}}, "exam: 4 samples at temperature 0 would all be the same"),
        ({"rationales": {"temperature": 0}}, r"rationales\.temperature = 0"),
    ],
)
def test_bad_configs_name_the_key(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        runner.run(config(**change), tmp_path / "run")
    assert not list(tmp_path.glob("run/*/records.jsonl"))


def test_nothing_to_learn_from_is_said(tmp_path: Path, fitted: Noting) -> None:
    with pytest.raises(
        LessonError, match=r"nothing is left to learn from: 0 lessons from 336 rationales \(dropped: 336 unread\)"
    ):
        runner.run(config(teacher=f"scripted:{__name__}:student", baselines=[]), tmp_path / "run", launcher=fitted)


def test_exemplars_come_from_distinct_training_questions() -> None:
    lessons = [
        Lesson(question=str(i // 2), prompt=f"Q{i // 2}", completion=f"Because {i}. --> {i}", kind="rationale")
        for i in range(8)
    ]
    assert exemplars(lessons, 3) == [
        ("Q0", "Because 0. The answer is 0."),
        ("Q1", "Because 2. The answer is 2."),
        ("Q2", "Because 4. The answer is 4."),
    ]


def test_every_option_has_a_default_that_show_prints() -> None:
    rows = {row.key: row for row in options(find_recipe("finetune_cot").settings)}
    assert (rows["training.learning_rate"].default, rows["training.learning_rate"].published) == ("0.0002", "0.0003")
    assert (rows["training.epochs"].default, rows["training.epochs"].published) == ("3", "20")
    assert "Ho et al. 2022" in rows["training.epochs"].source
    assert (rows["rationales.samples"].default, rows["rationales.samples"].published) == ("1", "")
    assert "training.lora.r" in rows


# A probe follows no paper, and of SERT's nothing but an outline could be read.
WITH_PRESETS = [name for name in RECIPES if getattr(find_recipe(name).settings, "published", None)]


def test_a_preset_of_nothing_is_refused() -> None:
    assert set(WITH_PRESETS) == {"finetune_cot", "tailored", "lema", "committee", "edit", "exam"}
    with pytest.raises(ConfigError, match="no published values are known of this recipe"):
        check_config({"recipe": "sert", "preset": "paper"}, "test")


@pytest.mark.parametrize("recipe", WITH_PRESETS)
def test_the_paper_s_preset_restores_every_published_value_and_explicit_keys_win(recipe: str) -> None:
    more = {"exam": {"model": "worked:", "task": "coin_flip"}, "committee": {"peers": ["openai:another"]}}
    needed = more.get(recipe, {})
    kind: Any = find_recipe(recipe).settings

    def value(settings: Any, key: str) -> Any:
        for part in key.split("."):
            settings = settings[part]
        return settings

    house = check_config({"recipe": recipe, **needed}, "test").model_dump()
    setup = check_config({"recipe": recipe, "preset": "paper", **needed}, "test").model_dump()
    for key, published in kind.published.items():
        assert value(setup, key) == published.value
        assert value(house, key) != published.value, f"{key}: no difference, so it is no preset"
    again = check_config(setup, "a run's own config")
    assert again.model_dump() == setup
    mine = check_config({"recipe": recipe, "preset": "paper", **needed, "exam": {"stop": ["END"]}}, "test").model_dump()
    assert mine["exam"]["stop"] == ("END",)
    assert mine["exam"]["n"] == setup["exam"]["n"]


# As they stand in the papers and the authors' code, written out a second time: a value that is lost is no preset.
HO = {
    "rationales.calls": 2, "rationales.max_tokens": 128, "rationales.answer_tokens": 128, "rationales.stop": (),
    "rationales.samples": 1, "rationales.temperature": 0.7, "training.epochs": 20, "training.learning_rate": 3e-4,
    "training.schedule": "constant", "training.warmup": 0.0, "training.weight_decay": 0.01, "training.max_grad_norm": None,
    "training.batch": 8, "training.sort_window": 1, "training.template": "paper", "training.prompt_weight": 0.0,
    "exam.stop": (), "exam.answer_tokens": 128, "exam.temperature": 0.0, "questions.copies": "keep",
}  # fmt: skip
WANG = {
    "rounds": 3, "patience": None, "start": "warm", "mistakes.n": 4, "mistakes.temperature": 1.0, "mistakes.top_k": 50,
    "mistakes.keep": 4, "rationales.samples": 2, "feedback.rationales": 2, "training.epochs": 10, "training.batch": 16,
    "training.learning_rate": 7e-6, "training.schedule": "constant", "training.warmup": 100, "training.weight_decay": 0.01,
    "training.prompt_weight": 0.1, "training.reflection": {"weight": 0.5, "margin": 1.0, "pooling": "last_token", "variant": "paper"},
}  # fmt: skip


@pytest.mark.parametrize(("recipe", "published"), [("finetune_cot", HO), ("tailored", WANG)])
def test_the_paper_s_preset_holds_what_the_paper_says(recipe: str, published: dict[str, Any]) -> None:
    settings = check_config({"recipe": recipe, "preset": "paper"}, "test").model_dump()
    found = {key: functools.reduce(lambda part, name: part[name], key.split("."), settings) for key in published}
    assert found == published


@pytest.mark.parametrize(
    "example", sorted(Path(__file__).parents[2].glob("examples/*.yaml")), ids=lambda path: path.stem
)
def test_examples_with_a_recorded_teacher_use_the_paper_s_preset(example: Path) -> None:
    raw = read_yaml(example)
    recorded = "recorded" in str(raw.get("teacher"))
    assert check_config(raw, str(example)).model_dump()["preset"] == (
        "paper" if recorded else raw.get("preset", "house")
    )


def test_the_preset_holds_for_settings_made_in_python() -> None:
    made = FinetuneCot(preset="paper", training=TrainingConfig(batch=4))
    assert (made.training.batch, made.training.epochs, made.training.schedule) == (4, 20, "constant")
    assert FinetuneCot(training=TrainingConfig(batch=4)).training.epochs == 3


def one_call(chat: Chat, sample: int) -> str:
    """Reasons and answers in one reply: on every third question without committing itself."""
    ASKED.append(chat.messages[-1].content)
    number = int(chat.question.rpartition("-")[2])
    answer = ANSWERS[chat.question]
    if number % 3 == 0:
        return f"One might say {answer}, and then again."
    return f"It is turned.\n\n  Twice, that is 1 + 1 = 2.  Therefore, the answer is **{answer}**."


ASKED: list[str] = []
ANSWERS: dict[str, str] = {}


def test_one_call_makes_a_lesson_of_what_commits_itself(tmp_path: Path, fitted: Noting) -> None:
    for split in ("train", "test"):
        ANSWERS.update({q.id: q.answer for q in find_task("coin_flip?size=120").load(split)})
    ASKED.clear()
    house = config(teacher=f"scripted:{__name__}:one_call", preset="house", rationales={}, baselines=["teacher"])
    scores = runner.run(house, tmp_path / "run", launcher=fitted)
    assert len(ASKED) == 84 + 24  # a call a question, and one in the teacher's own exam
    assert all('The answer is X." where X is yes or no.' in asked for asked in ASKED)
    lessons = records.read_records(tmp_path / "run" / "lessons" / "records.jsonl", Lesson)
    assert len(lessons) == 84 * 2 // 3
    assert {lesson.completion.rpartition(" --> ")[0] for lesson in lessons} == {
        "It is turned.\n\nTwice, that is 1 + 1 = 2."
    }
    assert scores["teacher"].strict < scores["teacher"].accuracy
    # Its own exam is the ceiling of its lessons: asked in the same form, with the same room.
    said = [json.loads((tmp_path / "run" / step / "step.json").read_text())["inputs"]["paper"] for step in ("rationales", "teacher")]  # fmt: skip
    assert [(one["form"], one["sampling"]["max_tokens"]) for one in said] == [("one_call_cot", 512)] * 2
    (tmp_path / "c.yaml").write_text(json.dumps({**house, "teacher": "worked:"}))
    planned = runner.plan_run(tmp_path / "c.yaml")
    assert [line.partition(" calls")[0] for line in planned[:2]] == ["rationales: 84", "the teacher's own exam: 24"]


def test_no_question_is_shown_its_own_solution() -> None:
    shown = [("Q1", "R1"), ("Q2", "R2")]
    ask = few_shot_cot(shown)
    own = ask(Chat(messages=(Message("user", "Q1"),))).messages
    assert [message.content for message in own] == ["Q: Q2\nA:", "R2", "Q: Q1\nA:"]
    assert len(ask(Chat(messages=(Message("user", "Q3"),))).messages) == 5
