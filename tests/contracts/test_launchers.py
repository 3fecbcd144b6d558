"""Every launcher of the table: a job goes through JSON, a student comes of it, and an interruption changes nothing."""

from pathlib import Path

import msgspec
import pytest

from tutelage.errors import Interrupted
from tutelage.launch import LAUNCHERS
from tutelage.launch.catalog import find_launcher
from tutelage.models.pool import let_go
from tutelage.runs import records
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import Chat, Lesson, Message, Sampling

MORE = {"processes": "processes:2"}  # what must stand behind a name
LESSONS = [
    Lesson(question=str(i), prompt=f"A coin is heads up. {'Maya flips it. ' * i}Is it?", completion="It is. --> yes", kind="rationale")
    for i in range(6)
]  # fmt: skip


def job(folder: Path, student: Path) -> TrainingJob:
    """A job as it arrives elsewhere: as JSON."""
    folder.mkdir(exist_ok=True)
    (folder / "lessons.jsonl").write_bytes(b"".join(map(records.encode, LESSONS)))
    made = TrainingJob(
        student={"kind": "hf", "name": str(student), "cache": "", "device": "cpu"},
        lessons=str(folder / "lessons.jsonl"),
        settings=TrainingConfig(epochs=2, batch=2, precision="float32").model_dump(mode="json"),
        seed=3,
        folder=str(folder),
    )
    return msgspec.json.decode(msgspec.json.encode(made), type=TrainingJob)


@pytest.mark.parametrize("name", [MORE.get(name, name) for name in LAUNCHERS])
def test_a_job_makes_a_student_that_answers(name: str, base_student: Path, tmp_path: Path) -> None:
    launcher, ticks = find_launcher(name), list[dict[str, object]]()
    facts = launcher.fit(job(tmp_path / "s", base_student), Callbacks(ticks.append, lambda: False))
    assert facts["steps"] == len(ticks) == 6
    assert facts == msgspec.json.decode(msgspec.json.encode(facts))
    model = launcher.open({"kind": "hf", "name": str(tmp_path / "s"), "dtype": "float32", "device": "cpu"})
    ((_, (reply,)),) = model.answer([Chat(messages=(Message("user", "Is it?"),))], Sampling(max_tokens=4))
    assert reply.tokens_out
    let_go(model)


@pytest.mark.parametrize("name", [MORE.get(name, name) for name in LAUNCHERS])
def test_it_keeps_nothing_but_what_the_folder_holds(name: str, base_student: Path, tmp_path: Path) -> None:
    whole = find_launcher(name).fit(job(tmp_path / "whole", base_student), Callbacks(lambda tick: None, lambda: False))
    asked: list[int] = []

    def second() -> bool:
        asked.append(1)
        return len(asked) >= 2

    with pytest.raises(Interrupted):
        find_launcher(name).fit(job(tmp_path / "part", base_student), Callbacks(lambda tick: None, second))
    resumed = find_launcher(name).fit(job(tmp_path / "part", base_student), Callbacks(lambda tick: None, lambda: False))
    assert resumed["losses"] == whole["losses"]
    files = [tmp_path / name / "model.safetensors" for name in ("whole", "part")]
    assert files[0].read_bytes() == files[1].read_bytes()
