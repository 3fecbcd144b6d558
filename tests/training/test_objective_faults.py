"""An objective of one's own that is wrong is one sentence, and never a training that learns nothing."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from tutelage.classroom.remarks import of_training
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


@pytest.mark.parametrize("objective", ["imitate", "unlikelihood", "repair"])
def test_a_text_beside_a_lesson_that_is_too_long_is_counted_and_said(
    objective: str, tmp_path: Path, base_student: Path
) -> None:
    endless = ["It is so. " * 200, "It is not. " * 200]  # of four mistakes two, each once
    mistaken = [f"{endless[i] if i < 2 else 'It is not.'} --> {i + 1}" for i in range(4)]
    lessons = [replace(lesson, mistaken=text) for lesson, text in zip(LESSONS, mistaken, strict=True)]
    student = f"hf:{base_student}"
    choice = {"name": objective, **({"scorer": student, "top": 4} if objective == "imitate" else {})}
    chosen = [{"name": "likelihood"}, choice] if objective == "unlikelihood" else choice
    config = TrainingConfig(epochs=2, batch=2, max_length=80, template="paper", objective=chosen)
    spec = {"name": str(base_student), "cache": str(tmp_path), "device": "cpu"}
    facts = fit(spec, lessons, config, 0, tmp_path / "student", Callbacks(lambda tick: None, lambda: False))
    expected = {} if objective == "repair" else {"left_out": 2}  # a repair does not read its mistake
    assert {key: value for key, value in facts.items() if key == "left_out"} == expected
    told = [line for line in of_training(facts) if "longer with their questions" in line]
    assert len(told) == len(expected)
