"""Three continuations share a row where the student reads them rightly there, and not where it does not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.contracts import architectures
from tests.training.test_reflection import LESSONS, train

from tutelage import runner
from tutelage.errors import LessonError
from tutelage.models.local import weights
from tutelage.training import layout
from tutelage.training.examples import Branch
from tutelage.training.rows import Row, RowPart


def branching(prompt: list[int], *ends: list[int]) -> Row:
    return Row({"it": [RowPart(str(place), Branch(end, Branch(prompt))) for place, end in enumerate(ends)]})


LONGEST = branching(list(range(3, 60)), list(range(60, 70)), [72] * 8, [73] * 6)
PLAIN = branching(list(range(3, 60)), list(range(60, 70)))


def windowed(folder: Path, window: int) -> Any:
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(**{**architectures.ATTENTION["mistral"], "sliding_window": window})).eval()


def test_a_window_counts_only_where_a_lesson_is_longer(tmp_path: Path) -> None:
    assert layout.why_apart(windowed(tmp_path, 100), [LONGEST], 0) == ""
    assert "would move its states" in layout.why_apart(windowed(tmp_path, 40), [LONGEST], 0)
    assert layout.why_apart(windowed(tmp_path, 40), [PLAIN], 0) == ""  # nothing is compared, so nothing shares a row


def test_a_short_lesson_with_a_long_mistake_is_looked_at(tmp_path: Path) -> None:
    """The longest row is another one, and all of it lies in the window."""
    far = branching(list(range(3, 13)), list(range(13, 23)), [30] * 8, [40 + i % 50 for i in range(90)])
    long = branching(list(range(3, 13)), list(range(13, 63)), [31] * 52, [41] * 55)
    model = windowed(tmp_path, 70)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.15)
    assert layout.why_apart(model, [long], 0) == ""
    for others in ([far], [far, long], [long, far]):
        assert "would move its states" in layout.why_apart(model, others, 0)


def test_the_student_is_as_it_was_after_the_look(base_student: Path) -> None:
    model, _ = weights.load(str(base_student), torch.float32, Path())
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        assert layout.why_apart(model, [LONGEST], 0) == ""
        assert model.training == training
    assert all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_micro_batches_of_separate_rows_train_the_same_student(
    base_student: Path, tmp_path: Path, weight: float
) -> None:
    """A last batch that is short leaves a micro-batch without lessons."""
    student = architectures.make("lfm2", base_student, tmp_path / "lfm2")
    lessons = LESSONS[:9]
    whole = train(tmp_path / "whole", student, lessons, prompt_weight=weight)
    assert "shared prompt" in whole["apart"]
    micro = train(tmp_path / "micro", student, lessons, prompt_weight=weight, micro_batch=2)
    assert micro["losses"] == pytest.approx(whole["losses"], abs=2e-4)
    assert micro["numbers"]["reflection"] == pytest.approx(whole["numbers"]["reflection"], abs=2e-4)
    expected = load_file(tmp_path / "whole" / "model.safetensors")
    found = load_file(tmp_path / "micro" / "model.safetensors")
    assert all(torch.allclose(tensor, expected[name], atol=2e-4) for name, tensor in found.items())


def test_a_run_says_what_goes_a_slower_way(base_student: Path, tmp_path: Path) -> None:
    student = architectures.make("rwkv", base_student, tmp_path / "rwkv")
    raw = {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=60",
        "student": {"name": f"hf:{student}", "dtype": "float32"},
        "questions": {"train_limit": 8, "test_limit": 2},
        "training": {"epochs": 1, "precision": "float32"},
        "exam": {"max_tokens": 4},
        "baselines": [],
    }
    runner.run(raw, tmp_path / "run")
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    said = {event["line"]: event["step"] for event in events if event["event"] == "note"}
    line = (
        "rows of their own, padded on the right, for every continuation of a prompt: padding on the left would change"
    )
    assert [step for words, step in said.items() if line in words] == ["student"]
    assert [step for words, step in said.items() if "only prompts of one length share a batch" in words] == [
        "finetune_cot"
    ]


def beside(*texts: tuple[list[int], list[int]]) -> list[Row]:
    return [Row({"it": [RowPart("one", Branch(text, Branch(asked)), fixed=True)]}) for asked, text in texts]


FAR = beside((list(range(3, 60)), list(range(60, 78))), (list(range(3, 9)), list(range(60, 66))))


@pytest.mark.parametrize("window", [100, 40])
def test_a_text_behind_a_constant_is_read_as_in_one_pass_or_refused(tmp_path: Path, window: int) -> None:
    model = windowed(tmp_path, window).train()
    assert layout.why_apart(model, FAR, 0) == ""  # with a window, too
    assert model.training


def test_a_model_that_reads_behind_a_constant_otherwise_is_refused(tmp_path: Path) -> None:
    model = windowed(tmp_path, 100)
    right = model.model.forward

    def forgetful(*given: Any, past_key_values: Any = None, **more: Any) -> Any:
        if past_key_values is not None and past_key_values.get_seq_length() > 40:
            past_key_values.layers[0].values.zero_()
        return right(*given, past_key_values=past_key_values, **more)

    model.model.forward = forgetful
    layout.why_apart(model, FAR[1:], 0)
    with pytest.raises(
        LessonError, match=r"behind a constant prompt otherwise than in one pass.*reflection\.variant=own"
    ):
        layout.why_apart(model, FAR, 0)


@pytest.mark.parametrize(
    ("kind", "said"), [("jamba", "otherwise than in one pass"), ("mamba", "keeps no cache of keys and values"), ("lfm2", "")]
)  # fmt: skip
def test_what_hands_on_a_state_is_looked_at(kind: str, said: str, tmp_path: Path, base_student: Path) -> None:
    model, _ = weights.load(str(architectures.make(kind, base_student, tmp_path / kind)), torch.float32, tmp_path)
    if not said:
        assert layout.why_apart(model, FAR, 0) == said
        return
    with pytest.raises(LessonError, match=said):
        layout.why_apart(model, FAR, 0)


def test_half_precision_hides_no_window(tmp_path: Path) -> None:
    """What is kept in bfloat16 under adapters rounds more, and is looked at as closely as its rounding lets one."""
    model = windowed(tmp_path, 40)
    with torch.no_grad():
        for one in model.parameters():
            if one.ndim > 1:
                one.normal_(0, 0.15)
    assert "would move its states" in layout.why_apart(model.bfloat16(), [LONGEST], 0)
    with torch.no_grad():
        assert layout.why_apart(windowed(tmp_path, 100).bfloat16(), [LONGEST], 0) == ""
