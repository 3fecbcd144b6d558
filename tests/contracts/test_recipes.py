"""The contract of every recipe of the table: settings that say what they are, exams that are promised and sat, a plan."""

from pathlib import Path
from typing import Any

import pytest
from tests.recipes.noting import Noting

from tutelage import runner
from tutelage.recipes import RECIPES
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.presets import options
from tutelage.runs import history
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat

# Terms of the field, which their names say.
TERMS = {"weight_decay", "r", "alpha", "dropout", "top_p"}
ANSWERS = {one.id: one.answer for one in find_task("coin_flip?size=60").load("train")}


def teaches(chat: Chat, sample: int) -> str:
    """Another teacher, which finds everything sound."""
    says = {"explain": "A flip was missed.", "review": "Sound. [5]"}
    return says.get(chat.purpose, f"It is turned once. The answer is {ANSWERS.get(chat.question)}.")


def agrees(chat: Chat, sample: int) -> str:
    return teaches(chat, sample)


def errs(chat: Chat, sample: int) -> str:
    """A student that is wrong on every question."""
    wrong = "no" if ANSWERS.get(chat.question) == "yes" else "yes"
    return f"The coin is heads up. Then 1 + 1 = 3. The answer is {wrong}."


# What a recipe needs beside the smallest of all: others that teach or err, or a student whose noise passes for something.
NEEDS: dict[str, dict[str, Any]] = {
    "lema": {"writers": [f"scripted:{__name__}:errs"], "mistakes": {"n": 1, "temperature": 0}, "exam": {}},
    "committee": {
        "teacher": f"scripted:{__name__}:teaches",
        "peers": [f"scripted:{__name__}:agrees"],
        "student": f"scripted:{__name__}:errs",
        "exam": {},
    },
    "distil": {"texts": "teacher"},
    "edit": {"task": "word_problems?difficulty=1&size=40", "pairs": {"corrupt": 8}},
    "sert": {
        "paths": {
            "n": 2,
            "rules": {
                "min_words": 1,
                "max_words": None,
                "connectives": [],
                "distinct": None,
                "copied": None,
                "on_topic": None,
            },
        },
        "exam": {"max_tokens": 8, "stop": [" "]},
    },
}


def config(name: str, student: Path) -> dict[str, Any]:
    """The smallest run of a recipe: what its settings do not have is left out."""
    spec = {"kind": "hf", "name": str(student), "dtype": "float32"}
    wanted = {
        "task": "coin_flip?size=60",
        "teacher": "worked:",
        "student": spec,
        "model": spec,
        "questions": {"train_limit": 8, "test_limit": 4},
        "limit": 4,
        "training": {"epochs": 1, "precision": "float32"},
        "exam": {"max_tokens": 8},
        "rounds": 2,
        "baselines": ["zero_shot", "teacher"],
    }
    settings = find_recipe(name).settings
    wanted["scorer"] = spec
    known = {key: value for key, value in wanted.items() if key in settings.model_fields}
    return {"recipe": name} | known | NEEDS.get(name, {})


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert find_recipe(name).summary == RECIPES[name][1]
    assert not [
        row.key
        for row in options(find_recipe(name).settings)
        if not row.about and row.key.rpartition(".")[2] not in TERMS
    ]


# One that begins with another run's mistakes has tests of its own.
@pytest.mark.parametrize("name", [name for name in RECIPES if "run" not in find_recipe(name).settings.model_fields])
def test_a_recipe_keeps_what_it_promises(name: str, base_student: Path, tmp_path: Path) -> None:
    raw, recipe = config(name, base_student), find_recipe(name)
    promised = recipe.promised(check_config(raw, "test"))
    titles = [label.title for label in promised.values()]
    assert all(titles)
    assert len(set(titles)) == len(titles)
    # A scripted student cannot be trained, so that its trainings are noted and it is handed back.
    launcher = Noting(lambda job: str(raw["student"])) if str(raw.get("student")).startswith("scripted:") else None
    scores = runner.run(raw, tmp_path / "run", launcher=launcher)
    assert scores
    assert list(scores) == [title for title in titles if title in scores]  # in the order of the promised table
    run = history.open_run(tmp_path / "run")
    assert {view.label.title for view in run.exam_views if view.whole} >= set(scores)
    assert {label.title for label in promised.values() if label.who != "student"} <= set(scores)


@pytest.mark.parametrize("name", [name for name in RECIPES if find_recipe(name).calls])
def test_a_recipe_that_counts_its_calls_can_be_planned(name: str, base_student: Path) -> None:
    lines = runner.plan_run(config(name, base_student))
    assert any(line.startswith("in all: ") for line in lines)
