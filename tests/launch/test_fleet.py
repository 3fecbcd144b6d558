"""A model made of many processes answers as one does, each question once, whichever of them die meanwhile."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.launch import forking
from tests.launch.clusters import cluster_of

from tutelage.errors import ModelError
from tutelage.launch.catalog import find_launcher
from tutelage.launch.fleet import Fleet
from tutelage.models.answering import answers_of
from tutelage.models.opening import open_model
from tutelage.models.pool import let_go
from tutelage.types import Chat, Message, Reply, Sampling

HERE = "tests.launch.engines"


def chats_of(count: int, *odd: str) -> list[Chat]:
    """So many questions, and some that are something special, in the middle."""
    texts = [f"question {i}" for i in range(count)]
    texts[count // 2 : count // 2] = odd
    return [Chat(messages=(Message("user", text),), question=f"q{i}") for i, text in enumerate(texts)]


def engines_of() -> list[psutil.Process]:
    """The engines that this process has started, or a cluster of its own; it may have other children."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            own = child.pid in forking.environments or "tutelage" in (child.cmdline() or [""])[-1]  # none: it is over
            found += [child] if own and "TUTELAGE_ENGINE" in forking.environment_of(child) else []
    return found


@pytest.fixture(scope="module")
def where(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """What a launcher of so many processes is called, those of this machine or of a cluster of two."""
    if getattr(request, "param", "processes") == "processes":
        yield lambda on: on
        return
    with cluster_of(4, 4) as cluster:
        yield lambda on: f"{on.replace('processes', 'ray')}{'&' if '?' in on else '?'}address={cluster.address}"


on_both = pytest.mark.parametrize("where", ["processes", "ray"], indirect=True)


@pytest.fixture
def opened(where: Callable[[str], str]) -> Iterator[Any]:
    """Opens fleets, and ends them."""
    fleets: list[Any] = []

    def open_fleet(spec: Any, on: str = "processes:2") -> Any:
        fleets.append(find_launcher(where(on)).open(spec))
        return fleets[-1]

    yield open_fleet
    for fleet in fleets:
        let_go(fleet)
    until = time.monotonic() + 10
    while engines_of() and time.monotonic() < until:
        time.sleep(0.1)
    assert not engines_of()


def asked(fleet: Any, chats: list[Chat], **sampling: Any) -> dict[int, list[Reply]]:
    """Every answer, held to what a model promises."""
    return dict(answers_of(fleet, chats, Sampling(**sampling)))


@on_both
def test_each_question_is_answered_once_by_whoever_is_free(opened: Any) -> None:
    fleet = opened(f"{HERE}:Sleepy?seconds=0.001")
    assert isinstance(fleet, Fleet)
    assert fleet.name == "sleepy"
    found = asked(fleet, chats_of(300), n=2, seed=5)
    assert [found[i][1].text for i in (0, 299)] == ["question 0/5/1", "question 299/5/1"]
    assert fleet.conditions()["device"] == "bed"
    assert fleet.conditions()["engines"] == 2
    assert fleet.remarks() == []
    assert asked(fleet, chats_of(3)).keys() == {0, 1, 2}  # the same engines
    assert len(dict(fleet.score(chats_of(50), ["a" * i for i in range(50)]))) == 50
    assert fleet.engines.deaths == 0
    assert asked(fleet, []) == {}


@on_both
def test_a_student_answers_as_it_does_here(chat_student: Path, opened: Any) -> None:
    """Batches are another, and in float32 that decides nothing here."""
    spec = {"kind": "hf", "name": str(chat_student), "dtype": "float32", "device": "cpu"}
    chats, sampling = chats_of(40), Sampling(n=2, temperature=1.0, max_tokens=12, seed=4)
    here = dict(open_model(spec).answer(chats, sampling))
    fleet = opened(spec, "processes:2")
    assert dict(fleet.answer(chats, sampling)) == here
    assert fleet.conditions()["precision"] == "float32"
    assert sum(fleet.conditions()["rows"]) == 80
    scores = dict(open_model(spec).score(chats[:9], ["heads"] * 9, 2))  # type: ignore[attr-defined]
    assert {place: one.tokens for place, one in fleet.score(chats[:9], ["heads"] * 9, 2)} == {
        place: one.tokens for place, one in scores.items()
    }


@pytest.mark.parametrize("engines", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 7, 64, 200, 1000])
def test_engines_have_as_many_batches_each(chat_student: Path, engines: int, count: int) -> None:
    model: Any = open_model({"kind": "hf", "name": str(chat_student), "device": "cpu", "batch": 64})
    chats, sampling = chats_of(count), Sampling(max_tokens=4)
    cut = model.batches(chats, sampling, engines)
    assert sorted(place for batch in cut for place in batch) == list(range(count))
    assert max(map(len, cut)) <= 64
    if count >= 8 * engines:
        assert len(cut) % engines == 0
        assert max(map(len, cut)) - min(map(len, cut)) <= len(cut)
    tokens = [len(prompt.ids) for prompt in model._prompts(chats, sampling)[0]]
    longest = [max(tokens[place] for place in batch) for batch in cut]
    assert longest == sorted(longest, reverse=True)


@on_both
def test_three_of_eight_killed_lose_nothing(opened: Any) -> None:
    fleet = opened(f"{HERE}:Sleepy?seconds=0.004", "processes:8")
    while sum(one.ready for one in fleet.engines.live.values()) < 8:
        asked(fleet, chats_of(8))
    killed, found = list[int](), dict[int, list[Reply]]()
    for index, replies in answers_of(fleet, chats := chats_of(600), Sampling()):
        assert index not in found
        found[index] = replies
        if len(found) in (100, 200, 300):
            child = engines_of()[len(killed)]
            os.kill(child.pid, (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)[len(killed)])
            killed.append(child.pid)
    assert found.keys() == set(range(len(chats)))
    assert fleet.engines.deaths == 3
    (line,) = fleet.remarks()
    assert line.startswith("3 of its processes ended and were replaced, ")
    told = fleet.places()
    assert (told["engines"], told["deaths"]) == (8, 3)
    assert len(told["ready"]) >= 11  # eight came, three went
    assert max(number for _, number in told["ready"]) <= 8
    assert fleet.places()["deaths"] == 0
    assert fleet.remarks() == []


@on_both
def test_a_question_that_ends_every_engine_is_given_up_alone(opened: Any) -> None:
    fleet = opened(f"{HERE}:Poisoned")
    chats = chats_of(150, "poison")
    found = asked(fleet, chats)
    bad = [index for index, (reply,) in found.items() if reply.error]
    assert [chats[index].messages[0].content for index in bad] == ["poison"]
    assert "question 'q75' ended 3 of the processes" in found[75][0].error
    assert found[75][0].finish == "error"
    assert fleet.engines.deaths == 3


def test_too_many_such_questions_are_an_error(opened: Any) -> None:
    with pytest.raises(ModelError, match=r"ended 3 of the processes of sleepy, .* exit code 3"):
        asked(opened(f"{HERE}:Poisoned"), chats_of(20, *["poison"] * 3))
    with pytest.raises(ModelError, match=r"ended with exit code 1: ZeroDivisionError"):
        asked(opened(f"{HERE}:Broken"), chats_of(20))


@on_both
def test_an_engine_that_falls_silent_is_replaced(opened: Any, tmp_path: Path) -> None:
    fleet = opened({"kind": f"{HERE}:Silent", "folder": str(tmp_path)}, "processes:2?stall=6")
    found = asked(fleet, chats_of(20, "hush"))
    assert not any(reply.error for (reply,) in found.values())
    assert fleet.engines.stalls >= 1  # on a busy machine others may seem silent, too
    assert f"({fleet.engines.stalls} of them had fallen silent)" in fleet.remarks()[0]


@on_both
def test_what_no_engine_can_do_is_said_at_once(opened: Any) -> None:
    fleet = opened(f"{HERE}:Refusing")
    with pytest.raises(ModelError, match=r"^question 'q10' has too many tokens$"):
        asked(fleet, chats_of(20, "long"))
    assert asked(fleet, chats_of(5)).keys() == set(range(5))  # and the fleet goes on
    assert fleet.engines.deaths == 0


def test_a_model_that_is_not_there_is_said_as_it_is_here(opened: Any, tmp_path: Path) -> None:
    fleet = opened({"kind": "hf", "name": str(tmp_path), "device": "cpu"})
    with pytest.raises(ModelError) as error:
        asked(fleet, chats_of(5))
    with pytest.raises(ModelError) as here:
        dict(open_model({"kind": "hf", "name": str(tmp_path), "device": "cpu"}).answer(chats_of(5), Sampling()))
    assert str(error.value) == str(here.value)


@on_both
def test_engines_that_never_come_to_be_ready_are_an_error(opened: Any) -> None:
    with pytest.raises(ModelError) as error:
        asked(opened(f"{HERE}:Stillborn", "processes:2?restarts=1"), chats_of(5))
    assert "no process came to be ready in 1 tries each" in str(error.value)
    assert "exit code 4: no room in the inn" in str(error.value)


@on_both
def test_an_answer_that_nobody_waits_for_is_dropped(opened: Any) -> None:
    fleet = opened(f"{HERE}:Sleepy?seconds=0.02")
    begun = time.monotonic()
    for _ in fleet.answer(chats_of(20_000), Sampling()):
        break
    assert len(asked(fleet, chats_of(10))) == 10
    assert time.monotonic() - begun < 100  # 20,000 questions would take 200 seconds on both


def test_orders_that_had_not_begun_when_they_were_dropped_leave_room(opened: Any) -> None:
    """Two packets of 32 are in the hands of one engine; the second is dropped before its time comes."""
    fleet = opened(f"{HERE}:Sleepy?seconds=0.02", "processes:1")
    for _ in range(3):
        for _ in fleet.answer(chats_of(64), Sampling()):
            break
        assert len(asked(fleet, chats_of(1))) == 1
    assert not fleet._out
    assert not fleet._calls


@on_both
def test_what_is_impossible_is_so_there_too_and_what_is_left_out_is_said(opened: Any) -> None:
    fleet = opened(f"{HERE}:Scoring")
    assert {one.logprobs for _, one in fleet.score(chats_of(3), ["a", "b", "c"])} == {(float("-inf"),)}
    with pytest.raises(ModelError, match=r"left the question 'q1' unanswered"):
        dict(fleet.score(chats_of(3), ["a", "left out", "c"]))


@on_both
def test_what_an_engine_has_started_ends_with_it(opened: Any, tmp_path: Path) -> None:
    fleet = opened({"kind": f"{HERE}:Forking", "folder": str(tmp_path)})
    assert len(asked(fleet, chats_of(20, "fork"))) == 21
    assert fleet.engines.deaths == 1
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "300"]]


def test_an_engine_that_hangs_while_it_loads_is_replaced(opened: Any, tmp_path: Path) -> None:
    fleet = opened({"kind": f"{HERE}:Hanging", "folder": str(tmp_path)}, "processes:1?stall=4")
    assert len(asked(fleet, chats_of(5))) == 5
    assert fleet.engines.stalls == 1


@on_both
def test_a_fleet_that_is_let_go_of_says_so_to_whoever_waits(opened: Any) -> None:
    fleet = opened(f"{HERE}:Sleepy?seconds=0.01")
    waiting = fleet.answer(chats_of(500), Sampling())
    next(waiting)
    fleet.release()
    with pytest.raises(ModelError, match="was let go of while it answered"):
        list(waiting)
    assert len(asked(fleet, chats_of(4))) == 4


def test_several_ask_at_once_and_one_inside_the_other(opened: Any) -> None:
    fleet = opened(f"{HERE}:Sleepy?seconds=0.002")
    found: dict[int, dict[int, list[Reply]]] = {}

    def ask(number: int) -> None:
        found[number] = asked(fleet, chats_of(40), seed=number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    inner = [len(asked(fleet, chats_of(2))) for _ in fleet.answer(chats_of(5), Sampling())]
    for thread in threads:
        thread.join()
    assert inner == [2] * 5
    assert all(len(rows) == 40 and rows[7][0].text == f"question 7/{number}/0" for number, rows in found.items())


def test_solvers_are_here_and_what_has_weights_is_there(opened: Any) -> None:
    vote = opened({"kind": "vote", "of": f"{HERE}:Sleepy", "n": 3})
    assert type(vote).__name__ == "Vote"
    assert isinstance(vote.parts[0], Fleet)
    assert len(asked(vote, chats_of(4))) == 4


def test_engines_end_with_whoever_started_them(tmp_path: Path) -> None:
    code = (
        "import os, time\nfrom tutelage.launch.catalog import find_launcher\nfrom tutelage.types import *\n"
        f"fleet = find_launcher('processes:2').open('{HERE}:Sleepy?seconds=0.05')\n"
        "for _ in fleet.answer([Chat(messages=(Message('user', 'x'),))] * 500, Sampling()):\n    print('on', flush=True)\n"
    )
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "on\n"
        engines = psutil.Process(driver.pid).children()
        assert len(engines) == 2
        driver.kill()
    gone, alive = psutil.wait_procs(engines, timeout=10)
    assert not alive
    assert len(gone) == 2
