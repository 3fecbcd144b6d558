"""Work on a Ray cluster of simulated machines: one goes in the middle, another is full, none answers, or sees other files."""

import contextlib
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.launch.clusters import cluster_of
from tests.launch.test_fleet import asked, chats_of
from tests.launch.test_gang import SLOW, bytes_of, is_near, train

from tutelage.errors import ConfigError, Interrupted, ModelError, RunError
from tutelage.launch import relayed
from tutelage.launch.catalog import find_launcher
from tutelage.launch.relay import look_of
from tutelage.models.answering import answers_of
from tutelage.models.pool import let_go
from tutelage.types import JsonObject, Reply, Sampling

HERE = "tests.launch.engines"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with cluster_of(1, 1) as two:
        yield two


@pytest.fixture(scope="module")
def undisturbed(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on two processes of this machine that nothing happened to."""
    folder = tmp_path_factory.mktemp("ray") / "two"
    train("processes:2", folder, base_student)
    return folder


def at(cluster: Any, count: str, **options: object) -> str:
    """A launcher of so many processes on a cluster."""
    more = "".join(f"&{name}={value}" for name, value in {"wait": 60, **options}.items())
    return f"ray:{count}?address={cluster.address}{more}"


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """What runs in this machine's name with so much in its environment."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [one] if one.environ().get(name) == value and "tutelage" in one.cmdline()[-1] else []
    return found


def test_two_machines_learn_what_two_processes_learn(
    cluster: Any, base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    facts = train(at(cluster, "2"), tmp_path / "s", base_student)
    assert facts["processes"] == 2
    assert "deaths" not in facts
    assert facts["machines"] == [socket.gethostname()]  # simulated ones have this one's name
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)
    assert not (tmp_path / "s" / "trainer").exists()


def test_a_process_that_is_killed_there_changes_nothing(
    cluster: Any, base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    """Once the process itself is killed, and once what Ray has started."""
    killed: list[int] = []

    def hear(tick: JsonObject) -> None:
        if tick["done"] > len(killed) < 2:
            (process,) = processes_with("RANK", str(len(killed)))
            victim = process if not killed else process.parent()
            assert victim
            victim.kill()
            killed.append(tick["done"])

    facts = train(at(cluster, "2"), tmp_path / "s", base_student, hear, checkpoint_minutes=1e-6, **SLOW)
    assert len(killed) == 2
    assert facts["deaths"] == 2
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)
    assert len(facts["losses"]) == facts["steps"] == 4


def test_a_stopped_training_keeps_what_it_has(
    cluster: Any, base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    done: list[int] = []
    with pytest.raises(Interrupted, match=r"stopped after [12] of 4"):
        train(at(cluster, "2"), tmp_path / "s", base_student, lambda tick: done.append(1), lambda: bool(done), **SLOW)
    assert not processes_with("WORLD_SIZE", "2")
    train("processes:2", tmp_path / "s", base_student)  # and goes on elsewhere
    assert bytes_of(tmp_path / "s") == bytes_of(undisturbed)


def take_away(cluster: Any) -> None:
    """One machine is gone from one moment to the next."""
    cluster.remove_node(cluster.list_all_nodes()[1], allow_graceful=False)


def ready(fleet: Any) -> int:
    return sum(one.ready for one in fleet.engines.live.values())


def test_a_machine_that_goes_in_the_middle_of_an_exam_costs_no_answer(cluster: Any) -> None:
    fleet: Any = find_launcher(at(cluster, "2")).open(f"{HERE}:Sleepy?seconds=0.02")
    found: dict[int, list[Reply]] = {}
    for index, replies in answers_of(fleet, chats_of(600), Sampling()):
        assert index not in found
        found[index] = replies
        if len(found) == 50:
            while ready(fleet) < 2:
                fleet._go_on(0.1)
            take_away(cluster)
    assert found.keys() == set(range(600))
    told = fleet.places()
    assert (told["deaths"], ready(fleet)) == (1, 1)  # what is left goes on; the other waits for a machine
    assert re.match(r"1 of its processes ended and were replaced, \d+ questions were asked again; the last ended with the connection to its machine|1 of .* what Ray had started for it", fleet.remarks()[0])  # fmt: skip
    cluster.add_node(num_cpus=1)
    for _ in answers_of(fleet, chats_of(600), Sampling()):
        if ready(fleet) == 2:
            break
    assert ready(fleet) == 2
    assert fleet.engines.deaths == 1
    let_go(fleet)


def test_a_machine_that_goes_in_the_middle_of_a_training(
    cluster: Any, base_student: Path, tmp_path: Path, undisturbed: Path
) -> None:
    """With `1-2` the one that is left goes on alone; with `2` all wait for another machine, and end as if nothing had been."""
    gone: list[int] = []

    def leave(tick: JsonObject) -> None:
        if tick["done"] == 2 and not gone:
            gone.append(1)
            take_away(cluster)

    def replace() -> bool:
        """Another machine comes when the processes of the first are gone; called while room is waited for."""
        if gone == [1] and not processes_with("WORLD_SIZE", "2"):
            gone.append(2)
            cluster.add_node(num_cpus=1)
        return False

    settings: dict[str, Any] = {"checkpoint_minutes": 1e-6, **SLOW}
    facts = train(at(cluster, "1-2"), tmp_path / "one", base_student, leave, **settings)
    assert (facts["deaths"], facts.get("processes", 1)) == (1, 1)
    assert is_near(tmp_path / "one", undisturbed, 1e-5)

    cluster.add_node(num_cpus=1)
    gone.clear()
    facts = train(at(cluster, "2"), tmp_path / "two", base_student, leave, replace, **settings)
    assert (facts["deaths"], facts["processes"]) == (1, 2)
    assert bytes_of(tmp_path / "two") == bytes_of(undisturbed)


def test_no_room_is_said_with_what_there_is(cluster: Any, base_student: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"no room for 3 processes in \d+ s: the cluster has 2 CPUs, 2 of them free, 0 GPUs"
    ):
        train(at(cluster, "3", wait=3), tmp_path / "s", base_student)
    holding: Any = find_launcher(at(cluster, "2")).open(f"{HERE}:Sleepy")
    assert len(asked(holding, chats_of(3))) == 3
    other: Any = find_launcher(at(cluster, "1", wait=1, restarts=1)).open(f"{HERE}:Sleepy")
    with pytest.raises(ModelError, match=r"no room for it in 1 s: the cluster has 2 CPUs, 0 of them free"):
        asked(other, chats_of(3))
    for fleet in (holding, other):
        let_go(fleet)


def test_a_machine_that_sees_other_files_is_named(
    cluster: Any, base_student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that has an older student in the same folder, or none: here this machine is the one that sees another."""
    monkeypatch.setattr(relayed, "look_of", lambda path: "another")
    fleet = find_launcher(at(cluster, "1")).open({"kind": "hf", "name": str(base_student), "device": "cpu"})
    with pytest.raises(ConfigError, match=r"finds something else there under .*every machine sees under the same name"):
        asked(fleet, chats_of(3))
    with pytest.raises(ConfigError, match=r"finds something else there under .*seen-"):
        train(at(cluster, "1"), tmp_path / "s", base_student)
    monkeypatch.undo()
    assert len(asked(fleet, chats_of(3))) == 3
    let_go(fleet)
    monkeypatch.setattr(relayed, "version_here", lambda: "Python 3.99 with tutelage 9")
    with pytest.raises(ConfigError, match=r"with tutelage 0\.\d.*, and this one Python 3.99 with tutelage 9: install"):
        train(at(cluster, "1"), tmp_path / "s", base_student)


def test_an_outline_knows_a_folder_again(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    model.write_bytes(bytes(8 * 2**20))
    before = look_of(tmp_path)
    assert look_of(tmp_path) == before
    assert look_of(tmp_path / "nothing") == ""
    with model.open("r+b") as file:  # a training moves every part
        for part in range(0, 8 * 2**20, 4096):
            file.seek(part + 2000)
            file.write(b"\1")
    assert look_of(tmp_path) != before
    assert len({before, look_of(tmp_path), look_of(model)}) == 3


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("ray:0", "must say how many, from 1 to 1024"),
        ("ray:8-2", "must say how many, from 1 to 1024"),
        ("ray:lots", "must say how many"),
        ("ray:2?workers=3", "has no option 'workers'"),
        ("ray:2?wait=soon", "wait must be a number"),
        ("rai:2", "ray"),
    ],
)
def test_what_is_no_place_is_said(on: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_launcher(on).check({})  # type: ignore[attr-defined]


def test_a_batch_with_fewer_lessons_than_processes_is_refused_before_a_cluster_is_joined() -> None:
    with pytest.raises(ConfigError, match="training.batch=3 lessons a step cannot be shared by 4 processes"):
        find_launcher("ray:4?address=127.0.0.1:1").check({"training": {"batch": 3}})  # type: ignore[attr-defined]
