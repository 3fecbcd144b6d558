"""The contract of every recipe of the table: settings that say what they are, exams that are promised and sat, a plan."""

from pathlib import Path
from typing import Any

import pytest

from tutelage import runner
from tutelage.recipes import RECIPES
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.presets import options
from tutelage.runs import history

# Terms of the field, which their names say.
TERMS = {"training.weight_decay", "training.lora.r", "training.lora.alpha", "training.lora.dropout", "exam.top_p"}


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
    return {"recipe": name} | {key: value for key, value in wanted.items() if key in settings.model_fields}


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert find_recipe(name).summary == RECIPES[name][1]
    assert not [row.key for row in options(find_recipe(name).settings) if not row.about and row.key not in TERMS]


# One that begins with another run's mistakes has tests of its own.
@pytest.mark.parametrize("name", [name for name in RECIPES if "run" not in find_recipe(name).settings.model_fields])
def test_a_recipe_keeps_what_it_promises(name: str, base_student: Path, tmp_path: Path) -> None:
    raw, recipe = config(name, base_student), find_recipe(name)
    promised = recipe.promised(check_config(raw, "test"))
    titles = [label.title for label in promised.values()]
    assert all(titles)
    assert len(set(titles)) == len(titles)
    scores = runner.run(raw, tmp_path / "run")
    assert scores
    assert list(scores) == [title for title in titles if title in scores]  # in the order of the promised table
    run = history.open_run(tmp_path / "run")
    assert {view.label.title for view in run.exam_views if view.whole} >= set(scores)
    assert {label.title for label in promised.values() if label.who != "student"} <= set(scores)


@pytest.mark.parametrize("name", [name for name in RECIPES if find_recipe(name).calls])
def test_a_recipe_that_counts_its_calls_can_be_planned(name: str, base_student: Path) -> None:
    lines = runner.plan_run(config(name, base_student))
    assert any(line.startswith("in all: ") for line in lines)
