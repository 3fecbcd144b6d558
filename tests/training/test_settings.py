"""What training minimises, as a config says it; and what a step was made from stays what it was where nothing new is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from tutelage.config import build, dump
from tutelage.errors import ConfigError
from tutelage.recipes.catalog import check_config
from tutelage.recipes.tailored_settings import TailoredTraining
from tutelage.runs.inputs import jsonable
from tutelage.training.settings import ReflectionConfig, TrainingConfig

# Word for word what version 0.1 wrote into step.json of a training with its defaults.
BEFORE = {
    "epochs": 3, "learning_rate": 0.0002, "schedule": "linear", "warmup": 0.1, "weight_decay": 0.0, "batch": 8,
    "sort_window": 16, "micro_batch": None, "max_length": 1024, "max_grad_norm": 1.0, "prompt_weight": 0.0,
    "reflection": None, "lora": None, "template": "own", "precision": "auto", "checkpoint_minutes": 10.0,
}  # fmt: skip


def test_a_step_without_anything_new_is_made_from_what_it_was() -> None:
    assert jsonable({"training": TrainingConfig()})["training"] == BEFORE
    assert jsonable({"training": TailoredTraining()})["training"] == {**BEFORE, "epochs": 2}
    named = TrainingConfig(objective="likelihood")
    assert jsonable({"training": named})["training"] == BEFORE  # asked for by name, it is the same
    reflected = jsonable({"training": TrainingConfig(reflection=ReflectionConfig())})["training"]
    assert reflected == {**BEFORE, "reflection": {"weight": 0.5, "margin": 1.0, "pooling": "last_token"}}
    assert "objective" not in dump(check_config({"recipe": "tailored"}, "test"))
    other = TrainingConfig(objective={"likelihood": 1.0, "reflection": 0.5})
    assert jsonable({"training": other})["training"] == {**BEFORE, "objective": {"likelihood": 1.0, "reflection": 0.5}}


def test_what_a_run_keeps_is_read_back_as_it_was() -> None:
    for objective in ("likelihood", {"likelihood": 0.5}, ["likelihood", {"name": "a:B", "weight": 2, "beta": [1, 2]}]):
        config = TrainingConfig(objective=objective)
        assert build(TrainingConfig, json.loads(json.dumps(config.model_dump(mode="json"))), "it") == config


def rows(**given: Any) -> list[tuple[str, float, dict[str, Any]]]:
    return [(one.name, one.weight, dict(one.options)) for one in TrainingConfig(**given).choices()]


def test_older_settings_are_objectives_of_the_mix() -> None:
    reflection = ("reflection", 0.3, {"margin": 1.0, "pooling": "mean"})
    assert rows() == [("likelihood", 1.0, {})]
    assert rows(prompt_weight=0.1) == [("likelihood", 1.0, {"prompt_weight": 0.1})]
    assert rows(reflection={"weight": 0.3, "pooling": "mean"}) == [("likelihood", 1.0, {}), reflection]
    both = rows(
        objective={"likelihood": 2, "a:B": 0.5}, prompt_weight=0.1, reflection={"weight": 0.3, "pooling": "mean"}
    )
    assert both == [("likelihood", 2.0, {"prompt_weight": 0.1}), ("a:B", 0.5, {}), reflection]
    assert TrainingConfig(prompt_weight=0.1).plain
    assert not TrainingConfig(objective="a:B").plain
    assert not TrainingConfig(reflection={}).plain


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"objective": "likelyhood"}, "training.objective = 'likelyhood': unknown objective 'likelyhood'; did you mean 'likelihood'?, or package.module:NAME"),
        ({"objective": {"likelihood": 0, "reflection": 0}}, "training.objective: its weights sum to nothing, so nothing would be learned"),
        ({"objective": {"likelihood": -1}}, "the weight of 'likelihood' is -1; it must be a number from 0 on"),
        ({"objective": {"likelihood": "much"}}, "the weight of 'likelihood' is 'much'; it must be a number from 0 on"),
        ({"objective": {"likelihood": True}}, "the weight of 'likelihood' is True"),
        ({"objective": ["likelihood", {"name": "likelihood", "weight": 2}]}, "names 'likelihood' twice; give it once, with the weight of both"),
        ({"objective": []}, "names no objective"),
        ({"objective": {}}, "names no objective"),
        ({"objective": [{"weight": 2}]}, "{'weight': 2} is no objective; write its name, or a mapping with name, weight"),
        ({"objective": 3}, "name an objective, several with their weights, or a list of them"),
        ({"objective": {"likelihood": 1, "reflection": 1}, "reflection": {}}, "training: reflection is named in objective, too"),
        ({"objective": "reflection", "prompt_weight": 0.1}, "training: prompt_weight is of the objective 'likelihood', which objective does not name"),
    ],
)  # fmt: skip
def test_a_mix_that_is_none_is_one_sentence(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_config({"recipe": "finetune_cot", "training": given}, "c.yaml")
    assert says in str(error.value)
    assert str(error.value).count("training") == 1


def test_a_finished_step_of_an_earlier_version_is_found_again(tmp_path: Path) -> None:
    from tutelage.runs.run import Run
    from tutelage.runs.sharing import Beside

    first = Run.start(tmp_path / "old", {}, {})
    old = first.artifact("student", lambda folder: {"losses": []}, {"training": BEFORE, "seed": 0})
    first.close()
    second = Run.start(tmp_path / "new", {}, {}, reuse=Beside(lambda: [tmp_path / "old"]))
    new = second.artifact(
        "student", lambda folder: pytest.fail("made again"), {"training": TrainingConfig(), "seed": 0}
    )
    second.close()
    assert new.digest == old.digest
