"""Which attention kernels compute: on a GPU none of cuDNN's, in training and in answers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.backends.cuda import cudnn_sdp_enabled, flash_sdp_enabled, math_sdp_enabled, mem_efficient_sdp_enabled

from tutelage.models.local import kernels
from tutelage.models.local.hf import Hf
from tutelage.training import layout, trainer
from tutelage.training.job import Callbacks
from tutelage.training.settings import TrainingConfig
from tutelage.types import Chat, Lesson, Message, Sampling


@pytest.mark.parametrize(("device", "expected"), [("cuda", False), (torch.device("cuda", 0), False), ("cpu", True)])
def test_only_a_gpu_goes_without_cudnn(device: Any, expected: bool) -> None:
    before = cudnn_sdp_enabled()
    with kernels.sound(device):
        assert cudnn_sdp_enabled() is (expected and before)
        assert flash_sdp_enabled()
        assert mem_efficient_sdp_enabled()
        assert math_sdp_enabled()
    assert cudnn_sdp_enabled() is before


def test_every_pass_of_a_student_goes_through_that_door(
    chat_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if this machine's processor were a GPU: whatever runs the model does so without cuDNN's attention."""
    seen = list[bool]()
    sound, forward = kernels.sound, layout.forward
    monkeypatch.setattr(kernels, "sound", lambda device: sound("cuda"))
    monkeypatch.setattr(layout, "forward", lambda *given: (seen.append(cudnn_sdp_enabled()), forward(*given))[1])
    lesson = Lesson(question="0", prompt="Is it?", completion="It is. --> yes", kind="rationale")
    spec = {"name": str(chat_student), "cache": "", "device": "cpu"}
    callbacks = Callbacks(lambda tick: None, lambda: False)
    trainer.fit(spec, [lesson], TrainingConfig(epochs=1, precision="float32"), 0, tmp_path, callbacks)
    assert seen == [False]

    model = Hf(str(chat_student), dtype="float32", device="cpu")
    student = model.loaded()[0]
    student.register_forward_pre_hook(lambda *given: seen.append(cudnn_sdp_enabled()))
    list(model.answer([Chat(messages=(Message("user", "Is it?"),), question="0")], Sampling(max_tokens=4)))
    assert len(seen) > 1
    assert not any(seen)
