"""A training on several processes is that of one: the same steps, each lesson once, whoever dies meanwhile."""

import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.launch import forking

from tutelage.errors import Interrupted, LessonError, RunError
from tutelage.launch.catalog import find_launcher
from tutelage.runs import records
from tutelage.training import batches, checkpoints
from tutelage.training.group import ALONE
from tutelage.training.job import Callbacks, TrainingJob
from tutelage.training.settings import TrainingConfig
from tutelage.types import JsonObject, Lesson

SLOW: dict[str, Any] = {
    "objective": "tests.launch.objectives:Slow"
}  # the same losses, with time for something to happen
LESSONS = [
    Lesson(question=str(i), prompt=f"A coin is heads up. {'Maya flips it. ' * i}Is it?", completion=f"It {'was ' * i}is. --> yes", kind="rationale",
           wrong=(f"It {'is ' * i}no. --> no",), right=(f"So it {'is ' * i}is. --> yes",), mistaken=f"It {'no ' * i}was. --> no", kept=2)
    for i in range(10)
]  # fmt: skip


def job_of(folder: Path, student: Path, **settings: Any) -> TrainingJob:
    folder.mkdir(exist_ok=True)
    file = folder.with_suffix(".lessons")
    file.write_bytes(b"".join(records.encode(lesson) for lesson in LESSONS))
    config = TrainingConfig(**{"epochs": 2, "batch": 5, "learning_rate": 1e-3, "precision": "float32", **settings})
    spec = {"kind": "hf", "name": str(student), "cache": "", "device": "cpu"}
    return TrainingJob(student=spec, settings=config.model_dump(), seed=3, folder=str(folder), lessons=str(file))


def train(
    on: str,
    folder: Path,
    student: Path,
    progress: Callable[[JsonObject], None] = lambda tick: None,
    stopping: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> JsonObject:
    job = job_of(folder, student, **settings)
    return dict(find_launcher(on).fit(job, Callbacks(progress, stopping)))


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def is_near(one: Path, other: Path, most: float) -> bool:
    pairs = [(value, tensors_of(other)[name]) for name, value in tensors_of(one).items()]
    return all(torch.allclose(a, b, atol=most, rtol=0) for a, b in pairs)


def bytes_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on two processes that nothing happened to."""
    folder = tmp_path_factory.mktemp("gang") / "two"
    facts = train("processes:2", folder, base_student)
    assert "deaths" not in facts
    return folder


@pytest.mark.parametrize("on", ["processes:2", "processes:3?shard=always"])
def test_what_was_thought_of_the_previous_batch_is_where_its_lessons_come_again(
    base_student: Path, tmp_path: Path, on: str
) -> None:
    more = {"batch": 8, "previous_batch": {"alpha": 1e4}, "learning_rate": 1e-2, "checkpoint_minutes": 1e-9}
    alone = train("here", tmp_path / "one", base_student, **more)
    done: list[int] = []
    with pytest.raises(Interrupted, match=r"after [1-6] of 8"):
        train(
            on, tmp_path / "several", base_student, lambda tick: done.append(1), lambda: len(done) > 0, **more, **SLOW
        )
    facts = train(on, tmp_path / "several", base_student, **more, **SLOW)
    assert facts["steps"] == alone["steps"] == 8
    assert max(alone["numbers"]["previous_batch"]) > 0.01
    assert facts["numbers"]["previous_batch"] == pytest.approx(alone["numbers"]["previous_batch"], abs=2e-3)
    assert is_near(tmp_path / "one", tmp_path / "several", 1e-4)


def of_rank(rank: int) -> psutil.Process:
    """The process of a rank, among those that this one has started."""
    children = psutil.Process().children()
    return next(one for one in children if _rank_of(one) == str(rank))


def _rank_of(process: psutil.Process) -> str | None:
    try:
        return forking.environment_of(process).get("RANK")
    except psutil.Error:  # it has just ended, or is another's
        return None


@pytest.mark.parametrize("micro", [None, 1])
def test_two_processes_learn_what_one_learns(
    base_student: Path, tmp_path: Path, undisturbed: Path, micro: int | None
) -> None:
    alone = train("here", tmp_path / "one", base_student, micro_batch=micro)
    facts = train("processes:2", tmp_path / "two", base_student, micro_batch=micro)
    assert facts["processes"] == 2
    assert facts["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    assert is_near(tmp_path / "one", tmp_path / "two", 1e-5)
    told = {name: alone[name] for name in ("lessons", "steps", "tokens", "target_tokens", "apart")}
    assert told == {name: facts[name] for name in told}
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    if micro is None:
        assert bytes_of(tmp_path / "two") == bytes_of(undisturbed)  # a CPU repeats itself


def test_what_objectives_tell_is_summed_over_processes(base_student: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"reflection": {}, "epochs": 1}
    alone = train("here", tmp_path / "one", base_student, **settings)
    facts = train("processes:2", tmp_path / "two", base_student, **settings)
    assert facts["numbers"]["reflection"] == pytest.approx(alone["numbers"]["reflection"], abs=2e-4)
    assert facts["losses"] == pytest.approx(alone["losses"], abs=2e-4)  # logged with four decimals
    assert is_near(tmp_path / "one", tmp_path / "two", 1e-5)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_planned_lesson_reaches_the_loss_once(
    base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Ten lessons in batches of four: the last batch of an epoch has two, which four processes cannot share."""
    monkeypatch.setenv("RECORDED", str(tmp_path))
    train(f"processes:{size}", tmp_path / "s", base_student, objective="tests.launch.objectives:Recording", batch=4)
    files = sorted(tmp_path.glob("rank-*.jsonl"))
    assert len(files) == size
    seen = Counter(line for file in files for line in file.read_text().splitlines())
    assert len(seen) == len(LESSONS)
    assert set(seen.values()) == {2}  # once an epoch
    if size > 1:
        monkeypatch.setenv("RECORDED", str(tmp_path.parent))
        train("here", tmp_path / "one", base_student, objective="tests.launch.objectives:Recording", batch=4)
        assert is_near(tmp_path / "one", tmp_path / "s", 1e-5)
    lengths = sorted(len(json.loads(line)) for line in seen)
    assert len(set(lengths)) == len(LESSONS)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("micro", [None, 1, 2, 3, 16])
def test_the_plan_is_cut_so_that_all_processes_have_as_many_parts(size: int, micro: int | None) -> None:
    plan = [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 10], [11, 12, 13]]
    cut, parts = batches.micro_batches(plan, micro, 9, size)
    assert parts % size == 0
    assert len(cut) == len(plan) * parts
    for number, batch in enumerate(plan):
        own = cut[number * parts : (number + 1) * parts]
        assert [one for part in own for one in part] == batch
    assert max(map(len, cut)) <= min(micro or 9, -(-9 // size))


@pytest.mark.parametrize(("rank", "step"), [(0, 0), (1, 2), (0, 3)])
def test_a_process_that_is_killed_changes_nothing(
    base_student: Path, tmp_path: Path, undisturbed: Path, rank: int, step: int
) -> None:
    """Before the first step, in the middle, and before the last: every step is saved, and the one in hand is lost."""
    killed: list[int] = []

    def hear(tick: JsonObject) -> None:
        if tick["done"] == step and not killed:
            killed.append(step)
            os.kill(of_rank(rank).pid, signal.SIGKILL)

    asked = itertools.count()

    def before() -> bool:
        if step == 0 and next(asked) == 1:
            killed.append(step)
            os.kill(of_rank(rank).pid, signal.SIGKILL)
        return False

    facts = train("processes:2", tmp_path / "s", base_student, hear, before, checkpoint_minutes=1e-6, **SLOW)
    assert killed == [step]
    assert facts["deaths"] == 1
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)
    assert len(facts["losses"]) == facts["steps"] == 4
    assert not (tmp_path / "s" / "trainer").exists()


def test_a_stopped_training_goes_on_on_as_many_processes_or_on_others(
    base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    done: list[int] = []
    for name in ("same", "fewer"):
        done.clear()
        with pytest.raises(Interrupted, match=r"stopped after [12] of 4"):
            train(
                "processes:2",
                tmp_path / name,
                base_student,
                lambda tick: done.append(tick["done"]),
                lambda: bool(done),
                **SLOW,
            )
        with pytest.raises(StopIteration):
            of_rank(0)
    train("processes:2", tmp_path / "same", base_student)
    assert bytes_of(tmp_path / "same") == bytes_of(undisturbed)
    train("here", tmp_path / "fewer", base_student)
    assert is_near(tmp_path / "fewer", undisturbed, 1e-5)


def test_a_machine_that_shuts_down_asks_all_of_them_and_everything_is_kept(
    base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    """What shuts a machine down sends its signal to every process: those that train leave it to the one that started them."""
    asked: list[int] = []

    def hear(tick: JsonObject) -> None:
        if tick["done"] == 1:
            for rank in (0, 1):
                of_rank(rank).terminate()
            asked.append(1)

    with pytest.raises(Interrupted, match=r"stopped after [12] of 4"):
        train("processes:2", tmp_path / "s", base_student, hear, lambda: bool(asked), **SLOW)
    train("processes:2", tmp_path / "s", base_student)
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)


def test_processes_that_always_end_are_an_error_that_says_how(base_student: Path, tmp_path: Path) -> None:
    def hear(tick: JsonObject) -> None:
        of_rank(1).kill()

    with pytest.raises(RunError) as error:
        train("processes:2?restarts=1", tmp_path / "s", base_student, hear, **SLOW)
    assert "the training ended 2 times before it was done: process 1 of 2 ended with signal 9" in str(error.value)
    assert "the same command goes on" in str(error.value)


def test_memory_that_ends_in_one_process_halves_the_share_of_all(
    base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    facts = train("processes:2", tmp_path / "s", base_student, objective="tests.launch.objectives:Greedy")
    assert (facts["halved"], facts["at_once"]) == (2, 1)
    assert is_near(tmp_path / "s", undisturbed, 1e-5)


def test_a_mistake_in_ones_own_objective_is_not_tried_again(base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(LessonError) as error:
        train("processes:2", tmp_path / "s", base_student, objective="tests.launch.objectives:Faulty")
    said = str(error.value)
    assert "fell over in process" in said
    assert "KeyError: 'nothing'" in said
    log = Path(said.rpartition("(see ")[2].rstrip(")"))
    assert "Traceback" in log.read_text()


def test_what_is_wrong_with_the_lessons_is_said_as_it_is_here(base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(LessonError, match=r"none of the 10 lessons fits into training.max_length=8"):
        train("processes:2", tmp_path / "s", base_student, max_length=8)


def test_only_a_checkpoint_that_was_finished_counts(tmp_path: Path) -> None:
    assert checkpoints.last_whole(tmp_path) is None
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    checkpoints.finish(tmp_path, 10, ALONE)
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint-10"]
    (tmp_path / "checkpoint-11").mkdir()  # cut off in the middle
    assert checkpoints.last_whole(tmp_path) == tmp_path / "checkpoint-10"
    assert checkpoints.begin(tmp_path, ALONE) == tmp_path / "checkpoint-10"
    assert [one.name for one in tmp_path.iterdir()] == [
        "checkpoint-10"
    ]  # else its files would lie among those of the next
