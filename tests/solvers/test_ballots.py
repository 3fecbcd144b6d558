"""Samples that are asked for as far as they decide: the same outcome as all of them, and never more of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.solvers.test_vote import CHAT

from tutelage.models.context import Context
from tutelage.solvers.cascade import Cascade
from tutelage.solvers.vote import Vote
from tutelage.types import Chat, Reply, Sampling


class Counting:
    """A model whose samples are given, and which can be asked for later ones alone."""

    name = "counting"

    def __init__(self, texts: Sequence[str], counts: bool) -> None:
        self.texts, self.counts_samples = texts, counts
        self.drawn: list[int] = []

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        first = sampling.first or 0
        places = range(first, first + sampling.n)
        for index in range(len(chats)):
            self.drawn += places
            yield index, [Reply(text=self.texts[place], finish="eos", tokens_out=1) for place in places]


TEXTS = st.sampled_from(["The answer is 1.", "The answer is 2.", "The answer is 3.", "I wonder."])


@given(st.lists(TEXTS, min_size=2, max_size=9))
def test_a_vote_that_stops_early_elects_whom_all_samples_elect(texts: list[str]) -> None:
    whole, early = Counting(texts, False), Counting(texts, True)
    said = [next(Vote(one, Context(), n=len(texts)).answer([CHAT], Sampling()))[1][0] for one in (whole, early)]
    assert said[0].text == said[1].text
    assert early.drawn == list(range(len(early.drawn)))  # none twice
    assert len(early.drawn) <= len(texts)
    assert said[1].parts[0].calls == said[1].tokens_out == len(early.drawn)


@given(st.lists(TEXTS, min_size=2, max_size=9), st.floats(0.1, 1.0))
def test_a_cascade_that_stops_early_sends_on_what_all_samples_would(texts: list[str], agree: float) -> None:
    notes, chosen = [], []
    for counts in (False, True):
        first = Counting(texts, counts)
        second = Counting(["The answer is 9."] * 2, False)
        model = Cascade(first, second, Context(), n=len(texts), agree=agree, ledger=str(Path("unused.json")))
        (reply,) = next(model.answer([CHAT], Sampling()))[1]
        notes.append(bool(reply.note))
        chosen.append(reply.text)
        assert first.drawn == list(range(len(first.drawn)))
    assert notes[0] == notes[1]
    assert chosen[0] == chosen[1]
