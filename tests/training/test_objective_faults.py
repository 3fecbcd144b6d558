"""An objective of one's own that is wrong is one sentence, and never a training that learns nothing."""

from pathlib import Path

import pytest

from tutelage.errors import LessonError
from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig, objective_choices
from tutelage.training.trainer import fit
from tutelage.types import Lesson

LESSONS = [
    Lesson(question=str(i), prompt=f"Is it {i}?", completion=f"It is. --> {i}", kind="rationale") for i in range(4)
]
CODE = """
import torch
from tutelage.training.objectives.likelihood import Likelihood

class Detached(Likelihood):
    name = "detached"
    def loss(self, seen):
        loss, numbers = super().loss(seen)
        return loss.detach(), numbers

class Misspelt(Likelihood):
    name = "misspelt"
    def loss(self, seen):
        return seen.targets("completon").logits_NV.sum() / seen.total("completion"), {}

class Alone(Likelihood):
    name = "alone"
    def loss(self, seen):
        return super().loss(seen)[0]

class Number(Likelihood):
    name = "number"
    def loss(self, seen):
        return super().loss(seen)[0], {"n": 1.0}
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Detached", "objective 'detached': its loss has no gradient, so nothing would be learned from it"),
        ("Misspelt", "objective 'misspelt' reads a part 'completon', which its parts() adds to no row; did you mean 'completion'?"),
        ("Alone", "objective 'alone': its loss is a Tensor; loss() returns (a tensor, numbers by name)"),
        ("Number", "objective 'number': its number 'n' must be a tensor"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(
    name: str, said: str, tmp_path: Path, base_student: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty_objectives.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = TrainingConfig(epochs=1, batch=2, template="paper", objective=f"faulty_objectives:{name}")
    spec = {"name": str(base_student), "cache": str(tmp_path), "device": "cpu"}
    with pytest.raises(LessonError) as error:
        fit(spec, LESSONS, config, 0, tmp_path / "student", Callbacks(lambda tick: None, lambda: False))
    assert said in str(error.value)


def test_one_objective_with_options_is_a_mapping() -> None:
    (choice,) = objective_choices({"name": "likelihood", "prompt_weight": 0.5})
    assert (choice.name, choice.weight, choice.options) == ("likelihood", 1.0, {"prompt_weight": 0.5})
