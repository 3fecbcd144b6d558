"""Text that is said while it is written is never taken back, and joined it is the text of the reply."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tutelage.errors import ModelError
from tutelage.models.local import streaming
from tutelage.models.local.decoding import Decoder
from tutelage.models.local.hf import Hf
from tutelage.models.local.reading import Reading
from tutelage.models.local.streaming import Local, TextStream, settled_text
from tutelage.models.scripted import Scripted
from tutelage.types import Chat, Message, Reply, Sampling

TEXTS = ["A coin is heads up.", "Is the coin still heads up?", "no"]


def chats(*texts: str) -> list[Chat]:
    return [Chat(messages=(Message("user", text),), question=text) for text in texts]


def student(folder: Path) -> Hf:
    return Hf(str(folder), dtype="float32", device="cpu")


def finished(raw: str, stops: list[str]) -> str:
    """What `Decoder.text` makes of a raw text."""
    places = [place for place in (raw.find(stop) for stop in stops) if place >= 0]
    return raw[: min(places, default=len(raw))].strip()


TEXT = st.text(st.sampled_from(list("ab \n.é😀")), max_size=24)
STOPS = st.lists(st.text(st.sampled_from(list("ab \né😀")), min_size=1, max_size=4), max_size=3)


@given(TEXT, STOPS, st.lists(st.integers(1, 5)))
@settings(max_examples=400, deadline=None)
def test_pieces_join_to_the_finished_text_and_no_stop_shows(text: str, stops: list[str], sizes: list[int]) -> None:
    """Bytes come as they like, as they do from a byte-level tokenizer."""
    data, unfolding, pieces, at = text.encode(), TextStream(stops), [], 0
    for size in [*sizes, *[1] * len(data)]:
        at += size
        raw = data[:at].decode(errors="replace")
        if at >= len(data) or any(stop in raw for stop in stops):
            break
        pieces.append(unfolding.more(raw))
    end = finished(data[:at].decode(errors="replace"), stops)
    pieces.append(unfolding.rest(end))
    assert "".join(pieces) == end
    assert not [stop for stop in stops if stop in "".join(pieces)]


@given(TEXT, STOPS)
def test_what_is_settled_is_the_beginning_of_every_end(text: str, stops: list[str]) -> None:
    for cut in range(len(text)):
        if not any(stop in text[:cut] for stop in stops):
            assert finished(text, stops).startswith(settled_text(text[:cut], stops))


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=3), max_size=2))
@settings(max_examples=100, deadline=None)
def test_any_text_through_a_real_tokenizer(tokenizer: object, text: str, stops: list[str]) -> None:
    decoder = Decoder(SimpleNamespace(device="cpu"), tokenizer, {1}, Sampling(stop=tuple(stops)))
    tokens = tokenizer(text, add_special_tokens=False).input_ids  # type: ignore[operator]
    unfolding, pieces, have = TextStream(stops), [], []
    for token in tokens:
        have.append(token)
        if decoder.ended(have):
            break
        pieces.append(unfolding.more(decoder.raw(have)))
    pieces.append(unfolding.rest(decoder.text(have)[0]))
    assert "".join(pieces) == decoder.text(have)[0]


@pytest.fixture(scope="module")
def tokenizer(base_student: Path) -> object:
    return AutoTokenizer.from_pretrained(base_student)


SAMPLINGS = [
    Sampling(max_tokens=30),
    Sampling(max_tokens=30, temperature=1.0, n=3, seed=5),
    Sampling(max_tokens=30, temperature=1.0, n=2, stop=("e", "o c")),
]


@pytest.mark.parametrize("kind", ["base_student", "chat_student"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_stream_is_the_answer(kind: str, sampling: Sampling, request: pytest.FixtureRequest) -> None:
    model = student(request.getfixturevalue(kind))
    pieces: dict[tuple[int, int], str] = {}
    replies: dict[tuple[int, int], Reply] = {}
    for index, sample, piece in model.stream(chats(*TEXTS), sampling):
        assert (index, sample) not in replies  # nothing comes behind the reply
        if isinstance(piece, Reply):
            replies[index, sample] = piece
        else:
            assert piece
            pieces[index, sample] = pieces.get((index, sample), "") + piece
    whole = dict(model.answer(chats(*TEXTS), sampling))
    assert replies == {(i, s): reply for i, row in whole.items() for s, reply in enumerate(row)}
    assert {place: reply.text for place, reply in replies.items() if reply.text} == pieces
    assert any(text.count(" ") > 2 for text in pieces.values()) or sampling.stop


def test_text_comes_before_the_answer_is_over(base_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, steps = student(base_student), []
    model.loaded()
    read = Reading.read

    def counted(self: Reading, *given: object) -> torch.Tensor:
        steps.append(1)
        return read(self, *given)

    monkeypatch.setattr(Reading, "read", counted)
    coming = model.stream(chats("coin"), Sampling(max_tokens=200, temperature=1.0))
    next(coming)
    assert len(steps) < 20
    coming.close()  # type: ignore[attr-defined]
    assert len(steps) < 20


def test_each_chat_may_have_its_own_seed(base_student: Path) -> None:
    model = student(base_student)

    def texts(seeds: list[int] | None, seed: int = 0) -> list[str]:
        sampling = Sampling(max_tokens=12, temperature=1.0, seed=seed)
        stream = streaming.stream(model, chats("coin", "coin"), sampling, seeds)
        return [
            piece.text
            for _, _, piece in sorted((one for one in stream if isinstance(one[2], Reply)), key=lambda one: one[0])
        ]  # type: ignore[union-attr]

    first, second = texts([4, 5])
    assert first != second
    assert texts(None, 4) == [first, first]
    assert texts(None, 5) == [second, second]


def test_the_room_is_what_an_answer_may_have(base_student: Path) -> None:
    model = student(base_student)
    room = model.context_left(chats("coin")[0])
    assert list(model.stream(chats("coin"), Sampling(max_tokens=room)))
    with pytest.raises(ModelError, match="lower max_tokens"):
        list(model.stream(chats("coin"), Sampling(max_tokens=room + 1)))


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=8), max_size=3))
def test_what_may_become_a_stop_is_held_back(raw: str, stops: list[str]) -> None:
    begun = [size for stop in stops for size in range(1, len(stop) + 1) if raw.endswith(stop[:size])]
    assert settled_text(raw, stops) == raw[: len(raw) - max(begun, default=0)]


def test_a_stop_of_megabytes_is_looked_for_in_linear_time() -> None:
    seconds = []
    for size in (1 << 19, 1 << 20):
        begun = time.monotonic()
        assert settled_text("b" + "a" * size, ["a" * size + "b"]) == "b"
        seconds.append(time.monotonic() - begun)
    assert seconds[1] < 4 * seconds[0] + 1


def test_a_temperature_next_to_nothing_is_greedy(chat_student: Path) -> None:
    model = student(chat_student)
    greedy = [reply.text for _, replies in model.answer(chats("coin"), Sampling(max_tokens=12)) for reply in replies]
    for cold in (1e-300, 1e-45, 1e-9):
        drawn = model.answer(chats("coin"), Sampling(max_tokens=12, temperature=cold, seed=3))
        assert [reply.text for _, replies in drawn for reply in replies] == greedy


def test_a_template_that_refuses_says_so(chat_student: Path) -> None:
    model = student(chat_student)
    model.loaded()[1].chat_template = "{{ raise_exception('user and assistant must take turns') }}"
    with pytest.raises(ModelError, match="template refuses these messages: user and assistant must take turns"):
        model.context_left(chats("coin")[0])


def test_other_models_say_an_answer_in_one_piece() -> None:
    model = Scripted(lambda chat, sample: f"{chat.messages[0].content} {sample}")
    assert not isinstance(model, Local)
    said = list(streaming.stream(model, chats("a", "b"), Sampling(n=2), seeds=[1, 2]))
    assert [(index, sample, piece) for index, sample, piece in said if isinstance(piece, str)] == [
        (0, 0, "a 0"), (0, 1, "a 1"), (1, 0, "b 0"), (1, 1, "b 1"),
    ]  # fmt: skip
    assert [piece.text for _, _, piece in said if isinstance(piece, Reply)] == ["a 0", "a 1", "b 0", "b 1"]
