"""The desk gathers what can be answered together, and forgets nobody but those who left."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tutelage.errors import ModelError
from tutelage.models.local.streaming import Piece
from tutelage.serve.batcher import Batcher, Closed, Event, Full, PendingRequest, TooLong, Unfit
from tutelage.types import Chat, Message, Reply, Sampling


class Student:
    """A local model that writes a word at a time, when it is let."""

    name = "double"

    def __init__(self, room: int = 300) -> None:
        self.batches: list[tuple[list[str], Sampling, list[int]]] = []
        self.free = room
        self.go = threading.Event()
        self.begun = threading.Event()
        self.closed = False

    def loaded(self) -> None:
        """It is."""

    def context_left(self, chat: Chat) -> int:
        if chat.messages[0].content == "odd":
            raise ModelError("the template refuses")
        return self.free

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        raise NotImplementedError

    def stream(
        self, chats: Sequence[Chat], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> Iterator[tuple[int, int, Piece]]:
        texts = [chat.messages[0].content for chat in chats]
        self.batches.append((texts, sampling, list(seeds or [])))
        self.begun.set()
        assert self.go.wait(5)
        if "fail" in texts:
            raise RuntimeError("secret path")
        try:
            for index, text in enumerate(texts):
                for sample in range(sampling.n):
                    for word in ("so", " ", text):
                        yield index, sample, word
                    yield index, sample, Reply(text=f"so {text}", tokens_in=2, tokens_out=3)
        finally:
            self.closed = True


class Client:
    """Hands in one job and hears what is told."""

    def __init__(self, desk: Batcher, text: str, flexible: bool = False, **sampling: Any) -> None:
        self.told: queue.Queue[Event] = queue.Queue()
        chat = Chat(messages=(Message("user", text),))
        self.job = PendingRequest(chat, Sampling(**sampling), self.told.put, flexible)
        desk.hand_in(self.job)

    def hear(self) -> list[Event]:
        heard = []
        while True:
            told = self.told.get(timeout=5)
            heard.append(told)
            replies = [one for one in heard if isinstance(one, tuple) and isinstance(one[1], Reply)]
            if isinstance(told, Exception) or len(replies) == self.job.sampling.n:
                return heard


@pytest.fixture
def student() -> Student:
    return Student()


@pytest.fixture
def desk(student: Student) -> Iterator[Batcher]:
    desk = Batcher(student, most=8)
    desk.open()
    yield desk
    student.go.set()
    desk.close(5)


def occupy(desk: Batcher, student: Student) -> Client:
    """A first client, so that what comes next has to wait."""
    first = Client(desk, "first")
    assert student.begun.wait(5)
    return first


def test_an_answer_comes_in_pieces_and_whole(desk: Batcher, student: Student) -> None:
    student.go.set()
    heard = Client(desk, "yes", n=2).hear()
    assert [one for one in heard if isinstance(one, tuple) and one[0] == 1][:3] == [(1, "so"), (1, " "), (1, "yes")]
    assert heard[-1] == (1, Reply(text="so yes", tokens_in=2, tokens_out=3))


def test_what_waits_and_is_drawn_alike_is_answered_together(desk: Batcher, student: Student) -> None:
    first = occupy(desk, student)
    later = [
        Client(desk, "a", temperature=1.0, seed=1),
        Client(desk, "b"),
        Client(desk, "c", temperature=1.0, seed=2),
        Client(desk, "d", temperature=1.0, max_tokens=7),
    ]
    student.go.set()
    for client in (first, *later):
        assert isinstance(client.hear()[-1], tuple)
    assert [texts for texts, _, _ in student.batches] == [["first"], ["a", "c"], ["b"], ["d"]]
    assert student.batches[1][2] == [1, 2]  # each with its own seed


def test_a_batch_holds_so_many_rows(desk: Batcher, student: Student) -> None:
    first = occupy(desk, student)
    later = [Client(desk, str(i), n=12) for i in range(4)]
    student.go.set()
    for client in (first, *later):
        client.hear()
    assert [len(texts) for texts, _, _ in student.batches] == [1, 2, 2]


def test_who_leaves_the_queue_is_not_answered(desk: Batcher, student: Student) -> None:
    first = occupy(desk, student)
    gone, stays = Client(desk, "gone"), Client(desk, "stays")
    gone.job.left = True
    student.go.set()
    first.hear()
    stays.hear()
    assert [texts for texts, _, _ in student.batches] == [["first"], ["stays"]]
    assert gone.told.empty()


def test_who_leaves_while_the_answer_is_written_ends_it(desk: Batcher, student: Student) -> None:
    first = occupy(desk, student)
    first.job.left = True
    student.go.set()
    Client(desk, "next").hear()
    assert student.closed
    assert first.told.empty()


def test_a_full_desk_says_so_and_those_who_left_make_room(desk: Batcher, student: Student) -> None:
    occupy(desk, student)
    waiting = [Client(desk, str(i)) for i in range(8)]
    with pytest.raises(Full):
        Client(desk, "one more")
    waiting[3].job.left = True
    Client(desk, "one more")


def test_what_the_model_cannot_hold_is_told_and_harms_no_neighbour(desk: Batcher, student: Student) -> None:
    first = occupy(desk, student)
    long, flexible, odd = (
        Client(desk, "long", max_tokens=500),
        Client(desk, "flexible", max_tokens=500, flexible=True),
        Client(desk, "odd", max_tokens=500),
    )
    student.go.set()
    first.hear()
    (error,) = long.hear()
    assert isinstance(error, TooLong)
    assert "room for 300 new tokens of the 500" in str(error)
    assert isinstance(flexible.hear()[-1], tuple)
    (refused,) = odd.hear()
    assert isinstance(refused, Unfit)
    assert student.batches[-1][1].max_tokens == 300


def test_no_room_at_all_is_too_long_however_flexible() -> None:
    desk = Batcher(Student(room=0))
    desk.open()
    (error,) = Client(desk, "x", flexible=True).hear()
    assert isinstance(error, TooLong)
    desk.close(5)


def test_a_failure_is_told_to_its_batch_and_logged(
    desk: Batcher, student: Student, caplog: pytest.LogCaptureFixture
) -> None:
    student.go.set()
    (error,) = Client(desk, "fail").hear()
    assert isinstance(error, RuntimeError)
    assert "secret path" in caplog.text
    assert isinstance(Client(desk, "fine").hear()[-1], tuple)  # it goes on


def test_closing_answers_what_is_here_and_takes_nothing_more(desk: Batcher, student: Student) -> None:
    first, second = occupy(desk, student), Client(desk, "second")
    student.go.set()
    desk.close(5)
    assert isinstance(first.hear()[-1], tuple)
    assert isinstance(second.hear()[-1], tuple)
    with pytest.raises(Closed):
        Client(desk, "third")


def test_stopping_leaves_what_is_in_hand(desk: Batcher, student: Student) -> None:
    first, second = occupy(desk, student), Client(desk, "second")
    desk.stop()
    student.go.set()
    assert isinstance(first.hear()[-1], Closed)
    assert isinstance(second.hear()[-1], Closed)


def test_many_clients_all_get_their_own_answer(desk: Batcher, student: Student) -> None:
    student.go.set()
    answers: dict[str, Event] = {}

    def ask(text: str) -> None:
        for _ in range(20):
            try:
                answers[text] = Client(desk, text).hear()[-1]
                return
            except Full:
                threading.Event().wait(0.02)

    threads = [threading.Thread(target=ask, args=(f"q{i}",)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert {text: told[1].text for text, told in answers.items()} == {f"q{i}": f"so q{i}" for i in range(24)}  # type: ignore[index, union-attr]
