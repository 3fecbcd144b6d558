"""The contract that every task made on the spot keeps."""

import json
import random
import string

import pytest

from tutelage.errors import ConfigError, DataError, TutelageError
from tutelage.grading.verdicts import judge
from tutelage.tasks import TASKS
from tutelage.tasks.auditing import audit
from tutelage.tasks.catalog import find_task
from tutelage.tasks.task import Task, share_of
from tutelage.types import Question

SPECS = [
    "coin_flip?size=100",
    "coin_flip?size=60&flips=8&seed=3",
    "last_letter_concatenation?size=100",
    "last_letter_concatenation?size=60&words=2",
    "tracking_shuffled_objects?size=100",
    "tracking_shuffled_objects?size=60&people=7&swaps=7",
    "tracking_shuffled_objects?size=40&people=2&swaps=1",
    "date_understanding?size=100",
    "date_understanding?size=60&choices=3",
    "word_problems?size=100",
    "reasoning_gym:leg_counting?size=40",
    "reasoning_gym:gsm_symbolic?size=40",
    "reasoning_gym:spell_backward?size=40",
    "reasoning_gym:rotate_matrix?size=40",
    "reasoning_gym:prime_factorization?size=40",
    "reasoning_gym:propositional_logic?size=40",
]
OWN = [spec for spec in SPECS if not spec.startswith(("reasoning_gym", "word_problems"))]


@pytest.fixture(scope="module", params=SPECS)
def task(request: pytest.FixtureRequest) -> Task:
    return find_task(request.param)


def everything(task: Task) -> list[Question]:
    return [question for split in task.splits for question in task.load(split)]


def test_every_generated_task_is_here() -> None:
    names = {name for name, entry in TASKS.items() if ".generated." in entry.factory}
    assert names <= {spec.partition("?")[0] for spec in SPECS}


def test_worked_solutions_lead_to_the_gold(task: Task) -> None:
    if task.worked is None:
        pytest.skip("this task brings no worked solutions")
    for question in task.load("train"):
        for variant in range(4):
            solution = task.worked(question, variant)
            assert solution.strip()
            assert "answer is" not in solution.lower()
            assert judge(task, question, f"{solution} --> {question.answer}")[1] == "right"


def test_same_seed_same_questions_and_another_seed_others(task: Task) -> None:
    name = task.name
    options = dict(task.options)
    assert everything(find_task({"name": name, **_settable(options)})) == everything(task)
    other = find_task({"name": name, **_settable(options), "seed": 99})
    assert [question.text for question in other.load("train")] != [question.text for question in task.load("train")]


def _settable(options: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in options.items() if key != "dataset"}


def test_splits_are_disjoint_and_ids_unique(task: Task) -> None:
    questions = everything(task)
    assert len({question.id for question in questions}) == len(questions)
    texts = [{question.text for question in task.load(split)} for split in task.splits]
    assert sum(len(some) for some in texts) == len(set().union(*texts)) == len(questions)
    assert {question.split for question in questions} == set(task.splits) == {"train", "dev", "test"}


def test_facts_can_be_written_down(task: Task) -> None:
    question = task.load("dev")[0]
    assert json.loads(json.dumps(question.facts)) == question.facts


def test_similar_questions_are_fresh_train_questions(task: Task) -> None:
    assert task.similar is not None
    held_out = {question.text for split in ("dev", "test") for question in task.load(split)}
    question = task.load("test")[0]
    rng = random.Random(1)
    fresh = [task.similar(question, rng) for _ in range(20)]
    assert {one.split for one in fresh} == {"train"}
    assert not {one.text for one in fresh} & held_out
    assert len({one.text for one in fresh}) > 5
    audit(task, fresh)
    again = random.Random(1)
    assert [task.similar(question, again) for _ in range(20)] == fresh


def test_asked_question_holds_every_choice(task: Task) -> None:
    question = task.load("train")[0]
    chat = task.ask(question)
    assert chat.question == question.id
    for letter, choice in zip(string.ascii_uppercase, question.choices, strict=False):
        assert f"({letter}) {choice}" in chat.messages[0].content


@pytest.mark.parametrize("spec", OWN)
def test_variants_differ_in_wording(spec: str) -> None:
    task = find_task(spec)
    assert task.worked is not None
    question = task.load("train")[0]
    assert len({task.worked(question, variant) for variant in range(3)}) == 3
    assert task.worked(question, 0) == task.worked(question, 0)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("coin_flip?flips=0", "flips must be from 1 to 20, and is 0"),
        ("coin_flip?size=0", "size must be at least 1"),
        ("tracking_shuffled_objects?people=8", "people must be from 2 to 7"),
        ("date_understanding?choices=1", "choices must be from 2"),
        ("reasoning_gym:leg_countng", "did you mean 'leg_counting'"),
        ("reasoning_gym:leg_counting?min_animls=2", "did you mean 'min_animals'"),
        ("reasoning_gym:leg_counting?min_animals=50", "max_animals must be"),
        ("reasoning_gym:codeio", "cannot be used"),
    ],
)
def test_options_out_of_range(spec: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        find_task(spec)


def test_unknown_split() -> None:
    with pytest.raises(TutelageError, match="did you mean 'train'"):
        find_task("coin_flip").load("trian")


def test_too_few_different_questions_is_said() -> None:
    with pytest.raises(DataError, match="cannot make 1400 different train questions; ask for at most"):
        find_task("last_letter_concatenation?words=1").load("train")


@pytest.mark.parametrize(
    ("dataset", "text"), [("game_of_life_halting", "accepts any text"), ("rush_hour", "no gold answer")]
)
def test_unusable_data_sets_of_reasoning_gym_are_refused(dataset: str, text: str) -> None:
    with pytest.raises(DataError, match=text):
        find_task(f"reasoning_gym:{dataset}?size=10").load("train")


def test_hash_seed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(ConfigError, match="PYTHONHASHSEED"):
        find_task("reasoning_gym:ransom_note")


def test_entry_that_is_made_otherwise_is_noticed() -> None:
    question = find_task("reasoning_gym:leg_counting?size=20").load("train")[0]
    with pytest.raises(DataError, match="no longer makes"):
        find_task("reasoning_gym:leg_counting?size=20&seed=5").same("4", question)


def test_choices_are_listed_without_final_periods() -> None:
    task = find_task("tracking_shuffled_objects?size=10")
    question = Question(id="q", text="Bob has the ", answer="A", choices=("red ball.", "blue ball."))
    assert task.ask(question).messages[0].content == (
        "Bob has the\nWhich choice is true? Answer choices: (A) red ball, (B) blue ball"
    )


def test_coin_is_worked_out_as_the_text_says() -> None:
    for question in find_task("coin_flip?size=50").load("train"):
        flips = question.text.count(" flips the coin.")
        assert question.answer == ("yes" if flips % 2 == 0 else "no")


def test_split_is_decided_by_the_question_alone() -> None:
    one, other = find_task("coin_flip?flips=2&seed=1"), find_task("coin_flip?flips=2&seed=2&size=500")
    assert not {q.text for q in one.load("train")} & {q.text for q in other.load("test")}
    assert share_of("x") == share_of("x")
