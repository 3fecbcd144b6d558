"""What is wrong with a study is one sentence, said before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.studies.pupils import study

from tutelage.errors import ConfigError
from tutelage.studies.settings import config_of, read_study

BASE: dict[str, Any] = study()["base"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seeds": [0, 1, 1]}, "the seed 1 stands twice"),
        ({"seeds": [0, 0]}, "the seed 0 stands twice"),
        ({"seeds": []}, "seeds: write a list of numbers from 0 on"),
        ({"seeds": 3}, "seeds: write a list of numbers from 0 on"),
        ({"seeds": [-1, 0]}, "seeds: write a list of numbers from 0 on"),
        ({"arms": {}}, "arms"),
        ({"arms": ["once", "twice"]}, "arms: write what each changes under its name"),
        ({"arms": {"a/b": {}}}, "'a/b' cannot be a name"),
        ({"arms": {"once": 5}, "compare": []}, "arms.once: write what it changes"),
        ({"arms": {"once": {"seed": 3}, "twice": {}}}, "the arm 'once' sets seed, which the study's seeds set"),
        ({"vary": {"task.seed": [1, 2]}}, "vary sets task.seed, which the study's seeds set"),
        ({"compare": ["once", "twice"]}, "compare: write pairs of arms, before and after, as in [[short, long]]"),
        ({"compare": [["once"]]}, "compare: write pairs of arms"),
        ({"vary": {"launch": ["here", "processes:2"]}}, "launch is no part of what a run is"),
        ({"vary": {"first": [5, 6]}, "tune": {"first": [5, 6]}, "tune_seeds": [9]}, "vary and tune both name first"),
        ({"arms": {"once": {}, "same": {"training.packing": False}}, "compare": []}, "arm 'same' changes nothing: training.packing is so by default"),
        ({"base": {**{key: value for key, value in BASE.items() if key != "task"}, "taks": "coin_flip"}}, "the base: unknown key 'taks'; did you mean 'task'?"),
        ({"arms": {"once": {}, "kept": {"first": 5}}, "compare": []}, "an arm cannot be called 'kept'"),
        ({"arms": {"once": {}, "same": {"training.epochs": 1}}, "compare": []}, "arm 'same' changes nothing: training.epochs is so in the base"),
        ({"arms": {"once": {}, "a": {"later.epochs": 2}, "b": {"later": {"epochs": 2}}}, "compare": []}, "'a' and 'b' are the same"),
        ({"compare": [["once", "twise"]]}, "compare names the arm 'twise', which is none; did you mean 'twice'?"),
        ({"compare": [["once", "once"]]}, "against itself"),
        ({"compare": [["once", "twice"], ["twice", "once"]]}, "names once and twice twice"),
        ({"vary": {"feedback.question": [5, 10]}}, "unknown key 'feedback.question'; did you mean 'feedback.questions'?"),
        ({"vary": {"feedback.questions": [5]}}, "needs a list of two values"),
        ({"vary": {"feedback.questions": [5, 5]}}, "5 stands twice"),
        ({"vary": {"first": [5, 6], "rounds": [1, 2]}}, "one setting can be varied, and these are 2: first, rounds"),
        ({"vary": {"later.epochs": [1, 2]}}, "arm 'twice' sets later.epochs, which is varied or tuned in every arm"),
        ({"tune": {"training.learning_rate": [0.1, 0.2]}}, "tune and tune_seeds go together"),
        ({"tune": {"training.learning_rate": [0.1, 0.2]}, "tune_seeds": [2]}, "the seed 2 is in seeds and in tune_seeds"),
        ({"arms": {"once": {}, "fewer": {"questions.test_limit": 5}}, "compare": [["once", "fewer"]]}, "questions.test_limit is 50 in one and 5 in the other"),
        ({"arms": {"once": {}, "other": {"task": "coin_flip"}}, "compare": [["once", "other"]]}, "task is {'name': 'word_problems?size=300', 'seed': 0} in one and {'name': 'coin_flip'"),
        ({"arms": {"once": {}, "odd": {"feedback.of": "nobody"}}, "compare": []}, "arm 'odd'"),
        ({"base": {**BASE, "recipe": "tailord"}}, "unknown recipe 'tailord'; did you mean 'tailored'?"),
        ({"tune": {"later.learning_rate": [1e-4, "fast"]}, "tune_seeds": [9]}, "with later.learning_rate=fast"),
        ({"vary": {"later.epochs": [2, "many"]}, "arms": {"once": {}}, "compare": []}, "with later.epochs=many"),
        ({"base": {**BASE, "task": "gsm8k"}}, "write seed_of: [run] for a task that draws no questions"),
        ({"base": "gone.yaml"}, "base = 'gone.yaml': there is no file"),
        ({"base": 3}, "base"),
        ({"margin": 2}, "margin: 2 is no share between 0 and 1; 2 points are 0.02"),
        ({"sedes": [1]}, "unknown key 'sedes'; did you mean 'seeds'?"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump(study(**more)))
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_the_config_of_a_run_is_no_study() -> None:
    with pytest.raises(ConfigError, match="this is the config of a run, which `tutelage run` takes"):
        read_study(BASE)


def test_a_base_is_a_file_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(study(base="base.yaml")))
    assert read_study(tmp_path / "s.yaml").base == BASE


def test_a_config_is_base_arm_value_choice_and_seed() -> None:
    raw = study(vary={"first": [5, 6]}, tune={"training.learning_rate": [1e-5, 2e-5]}, tune_seeds=[9])
    found = config_of(read_study(raw), "twice", 6, 1, 2e-5)
    assert found["later"] == {"epochs": 2}
    assert (found["first"], found["training"]["learning_rate"], found["seed"]) == (6, 2e-5, 1)
    assert found["task"] == {"name": "word_problems?size=300", "seed": 1}
    assert BASE["training"] == {"epochs": 1}  # as it was
    only = config_of(read_study(study(seed_of=["task"])), "once", None, 1)
    assert "seed" not in only
