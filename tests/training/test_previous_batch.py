"""Self-distillation from the previous batch: which lessons meet twice, what is minimised, and a training that goes on remembers."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.launch.test_gang import bytes_of, is_near
from tests.training.test_batches import blank
from tests.training.test_trainer import LESSONS, tensors_of, train

from tutelage.config import build
from tutelage.errors import ConfigError, Interrupted, LessonError
from tutelage.importing import load_named
from tutelage.models.local import weights
from tutelage.training import batches, trainer
from tutelage.training.losses import softened_divergence
from tutelage.training.mixing import Mix
from tutelage.training.objectives import OBJECTIVES, WHOLE
from tutelage.training.previous_batch import PreviousBatch
from tutelage.training.settings import PreviousBatchConfig, TrainingConfig

ON: dict[str, Any] = {"previous_batch": {}}
LOUD: dict[str, Any] = {"previous_batch": {"alpha": 1000}}  # untaught students are certain of nothing


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=30),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 5) | st.none(),
    st.integers(1, 3),
)
def test_each_lesson_is_twice_an_epoch_in_batches_on_end_of_one_process(
    lengths: list[int], half: int, epochs: int, micro: int | None, size: int
) -> None:
    config = TrainingConfig(batch=2 * half, epochs=epochs, previous_batch=PreviousBatchConfig(), micro_batch=micro)
    cut, parts = batches.planned(blank(lengths), config, 3, size)
    assert parts % size == 0
    each = [cut[at : at + parts] for at in range(0, len(cut), parts)]
    assert all(len(one) == parts for one in each)
    assert len(each) % epochs == 0
    for begin in range(0, len(each), len(each) // epochs):
        met: dict[int, list[tuple[int, int]]] = {}  # lesson -> (batch, process)
        for number, batch in enumerate(each[begin : begin + len(each) // epochs]):
            assert sum(map(len, batch)) <= 2 * half
            for place, one in enumerate(batch):
                for lesson in one:
                    met.setdefault(lesson, []).append((number, place % size))
        assert sorted(met) == list(range(len(lengths)))
        for first, second in met.values():  # twice, and no more
            assert second == (first[0] + 1, first[1])


@pytest.mark.parametrize("more", [{}, {"micro_batch": 3}, {"packing": True}], ids=str)
def test_with_no_weight_it_is_the_same_batches_plain_to_the_bit(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    nothing = train(tmp_path / "nothing", base_student, previous_batch={"alpha": 0}, **more)
    something = train(tmp_path / "something", base_student, **ON, **more)
    monkeypatch.setattr(trainer, "Mix", lambda choices, previous: Mix(choices))
    plain = train(tmp_path / "plain", base_student, **ON, **more)
    assert bytes_of(tmp_path / "nothing") == bytes_of(tmp_path / "plain")
    assert nothing["losses"] == pytest.approx(plain["losses"], abs=1e-4)  # of several numbers, told with four decimals
    assert bytes_of(tmp_path / "something") != bytes_of(tmp_path / "plain")
    assert nothing["steps"] == something["steps"] == 2 * (5 + 1)  # 10 lessons, two new ones a batch


def test_it_is_the_divergence_from_what_was_thought_a_step_ago(base_student: Path, tmp_path: Path) -> None:
    still = train(tmp_path / "still", base_student, learning_rate=1e-12, epochs=1, **ON)
    moved = train(tmp_path / "moved", base_student, learning_rate=1e-2, epochs=1, **LOUD)
    assert still["numbers"]["previous_batch"] == [0.0] * 6
    assert moved["numbers"]["previous_batch"][0] == 0  # nothing comes again yet
    assert min(moved["numbers"]["previous_batch"][2:]) > 0
    assert all(0 < one < 1 for one in still["numbers"]["previous_batch/trust"][1:])


def test_its_number_is_the_one_of_the_two_students(chat_student: Path, tmp_path: Path) -> None:
    options = {
        "learning_rate": 1e-2,
        "epochs": 1,
        "schedule": "constant",
        "warmup": 0,
        "previous_batch": {"alpha": 1e6},
    }
    with pytest.raises(Interrupted, match="after 1 of 6"):
        train(tmp_path / "s", chat_student, lambda: True, **options)
    checkpoint = tmp_path / "s" / "trainer" / "checkpoint-1"
    both = [weights.load(str(chat_student), torch.float32, Path()) for _ in range(2)]
    both[1][0].load_state_dict(load_file(checkpoint / "model.safetensors"), strict=False)  # one tensor may be tied
    held = load_file(checkpoint / "previous-00000.safetensors")
    total, count = 0.0, 0
    for lesson in (LESSONS[int(key.partition("/")[0])] for key in held if key.endswith("/ids_NK")):
        turns, tokenizer = [{"role": "user", "content": lesson.prompt}], both[0][1]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids, target = (
            tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, lesson.completion + "<end>")
        )
        with torch.no_grad():
            then, now = (model(torch.tensor([ids + target])).logits[0, len(ids) - 1 : -1].double() for model, _ in both)
        old = then.log_softmax(-1)
        doubt = -(old.exp() * old).sum(-1) / math.log(then.shape[1])
        heat = 1 + 3 * doubt
        soft, own = ((one / heat[:, None]).log_softmax(-1) for one in (then, now))
        top = soft.topk(min(64, soft.shape[1])).indices
        p, q = (one.gather(-1, top).exp() for one in (soft, own))
        rest = (1 - p.sum(-1)) * ((1 - p.sum(-1)) / (1 - q.sum(-1))).log() if p.shape[1] < soft.shape[1] else 0
        total += float((1e6 * (1 - doubt) * heat**2 * ((p * (p / q).log()).sum(-1) + rest)).sum())
        count += len(target)
    facts = train(tmp_path / "s", chat_student, **options)
    assert facts["numbers"]["previous_batch"][1] == pytest.approx(total / count, rel=0.01)


def test_a_token_counts_as_its_entropy_says() -> None:
    torch.manual_seed(0)
    then, now, labels = torch.randn(9, 12) * 3, torch.randn(9, 12) * 3, torch.arange(9)
    for config in (PreviousBatchConfig(top=12), PreviousBatchConfig(top=99, alpha=0.3, temperature=(2, 2))):
        thought = PreviousBatch(config)._thought(then, labels)
        given = thought[:, :12].int(), thought[:, 12:24], thought[:, 24], thought[:, 25]
        found = softened_divergence(now, *given)
        logs = then.double().log_softmax(-1)
        doubt = -(logs.exp() * logs).sum(-1) / torch.tensor(12.0).double().log()
        low, high = config.temperature
        heat = low + (high - low) * doubt
        soft, own = ((one.double() / heat[:, None]).log_softmax(-1) for one in (then, now))
        kl = (soft.exp() * (soft - own)).sum(-1)
        assert float(found) == pytest.approx(float((config.alpha * (1 - doubt) * heat**2 * kl).sum()), rel=1e-4)
    right = PreviousBatch(PreviousBatchConfig(right_only=True))._thought(then, then.argmax(-1).where(labels > 4, 11))
    assert (right[:, -2] > 0).tolist() == [int(one.argmax()) == 11 or at > 4 for at, one in enumerate(then)]


@pytest.mark.parametrize("micro", [None, 1, 3])
def test_one_that_was_interrupted_remembers(base_student: Path, tmp_path: Path, micro: int | None) -> None:
    whole = train(tmp_path / "whole", base_student, micro_batch=micro, **ON)
    for stops in (2, 5, 6):
        folder, asked = tmp_path / f"part{stops}", iter([False] * (stops - 1) + [True])
        with pytest.raises(Interrupted, match=f"after {stops} of 12"):
            train(folder, base_student, lambda asked=asked: next(asked), micro_batch=micro, **ON)  # type: ignore[misc]
        (kept,) = (folder / "trainer").glob("checkpoint-*/previous-00000.safetensors")
        held = {key.partition("/")[0] for key in load_file(kept)} - {"top"}
        assert len(held) == (0 if stops == 6 else 2)  # an epoch's last batch has nothing new
        resumed = train(folder, base_student, micro_batch=micro, **ON)
        assert resumed["losses"] == whole["losses"]
        assert resumed["numbers"] == whole["numbers"]
        assert bytes_of(folder) == bytes_of(tmp_path / "whole")


def test_smaller_pieces_train_the_same_student(base_student: Path, tmp_path: Path) -> None:
    for name, more in {"whole": {}, "micro": {"micro_batch": 3}, "packed": {"packing": True}}.items():
        train(tmp_path / name, base_student, **ON, **more)
    assert is_near(tmp_path / "whole", tmp_path / "micro", 1e-5)
    assert is_near(tmp_path / "whole", tmp_path / "packed", 1e-5)


def test_beside_adapters_and_what_reads_several_texts(base_student: Path, tmp_path: Path) -> None:
    facts = train(tmp_path / "s", base_student, lora={"r": 2}, learning_rate=0.1, **LOUD)
    assert max(facts["numbers"]["previous_batch"]) > 0
    assert "adapter_model.safetensors" in {file.name for file in (tmp_path / "s").iterdir()}
    assert tensors_of(tmp_path / "s", "adapter_model.safetensors")


@pytest.mark.parametrize(("start", "begins"), [(0.5, 6), (7, 7)])
def test_it_begins_when_it_shall(base_student: Path, tmp_path: Path, start: float, begins: int) -> None:
    facts = train(tmp_path / "s", base_student, learning_rate=1e-2, previous_batch={"alpha": 1000, "start": start})
    told = facts["numbers"]["previous_batch"]
    assert told[:begins] == [0.0] * begins
    assert all(one > 0 for at, one in enumerate(told) if at > begins and at != 6)  # 6: an epoch's first


def test_what_cannot_be_is_refused(base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch must be even, and is 5"):
        build(TrainingConfig, {"batch": 5, "previous_batch": {}}, "test")
    with pytest.raises(
        ConfigError, match="names none that learns them whole; add one of imitate, key_steps, likelihood"
    ):
        build(TrainingConfig, {"objective": "reflection", "previous_batch": {}}, "test")
    own = {name for name, (path, _) in OBJECTIVES.items() if getattr(load_named(path), "whole", False)}
    assert own == WHOLE
    with pytest.raises(LessonError, match=r"start=99 is behind the end of the training, which has 12 steps"):
        train(tmp_path / "s", base_student, previous_batch={"start": 99})
