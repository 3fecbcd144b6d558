"""Stages from cheap to dear: where they stop, what they cost, which answer stands, and stage lists that make no sense."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.solvers.test_cascade import sat
from tests.solvers.test_vote import Says

from tutelage.errors import ConfigError
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.solvers.adaptive import Adaptive
from tutelage.solvers.prompted import FORMS, Prompted
from tutelage.types import Chat, Message, Reply, Sampling

ASKED = [Chat(messages=(Message("system", "Be brief."), Message("user", "How many?")), question="q")]
SURE = ("The answer is 4.",) * 3
UNSURE = ("The answer is 4.", "The answer is 4.", "The answer is 5.")


class Named(Says):
    """A model of a name, which notes what it is asked."""

    def __init__(self, name: str, *texts: str) -> None:
        super().__init__(*texts)
        self.name = name
        self.asked: list[tuple[str, Sampling]] = []

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        self.asked += [(chat.messages[-1].content, sampling) for chat in chats]
        yield from super().answer(chats, sampling)


def said(*stages: Named, count: int = 1, **options: Any) -> list[Reply]:
    ((_, replies),) = Adaptive(list(stages), Context(), **options).answer(ASKED, Sampling(n=count))
    return replies


def test_the_first_stage_that_agrees_with_itself_is_the_last_that_is_asked() -> None:
    small, large = Named("small", *SURE), Named("large", "The answer is 9.")
    (reply,) = said(small, large)
    assert (reply.text, reply.confidence, reply.note) == ("The answer is 4.", 1.0, "stage 1 of 2")
    assert not large.asked
    small = Named("small", *UNSURE)
    (reply,) = said(small, large)
    assert (reply.text, reply.note) == ("The answer is 9.", "stage 2 of 2")
    assert [(part.model, part.calls, part.chosen) for part in reply.parts] == [("small", 3, False), ("large", 1, True)]
    assert (small.asked[0][1].temperature, large.asked[0][1].temperature) == (0.7, 0.0)


def test_the_share_follows_the_samples_unless_it_is_given() -> None:
    five = Named("five", *UNSURE[:2], *UNSURE)  # 4 of 5
    assert said(five, Named("large", "The answer is 9."), n=[5, 1])[0].note == "stage 1 of 2"
    assert said(five, Named("large", "The answer is 9."), n=[5, 1], agree=[1.0, 1.0])[0].note == "stage 2 of 2"
    assert said(Named("small", *UNSURE), Named("large", "x"), agree=0.6)[0].note == "stage 1 of 2"


def test_the_last_stage_s_answer_stands_or_that_of_all_samples() -> None:
    last = Named("last", "The answer is 5.")
    middle = Named("middle", "The answer is 4.", "The answer is 6.", "The answer is 7.")
    assert said(Named("small", *UNSURE), middle, last)[0].text == "The answer is 5."
    (most,) = said(Named("small", *UNSURE), middle, last, select="most")
    assert most.text == "The answer is 4."
    assert [part.model for part in most.parts if part.chosen] == ["small"]
    assert most.confidence == 3 / 7  # the share of all samples that are of this answer
    (silent,) = said(Named("small", *UNSURE), Named("last", "I wonder."))
    assert silent.text == "The answer is 4."  # better than nothing
    assert (silent.confidence, silent.note) == (0.5, "stage 2 of 2, which said no answer: of all samples")
    (lost,) = said(Named("small", *UNSURE), Named("last", "!"))
    assert (lost.text, lost.note) == ("The answer is 4.", "stage 2 of 2, which failed: of all samples")


def test_several_replies_are_each_decided_and_drawn_apart() -> None:
    small, large = Named("small", *UNSURE), Named("large", "The answer is 9.")
    assert [reply.text for reply in said(small, large, count=2)] == ["The answer is 9."] * 2
    assert (
        len({sampling.seed for _, sampling in small.asked}) == len({sampling.seed for _, sampling in large.asked}) == 2
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": [1, 1]}, "stage 1 is content with 1 of 1 samples, which agree with themselves"),
        ({"n": [5, 1], "agree": [0.2, 1]}, "stage 1 is content with 1 of 5 samples"),
        ({"agree": [1.2, 1]}, "agree of stage 1 is 1.2; above 1 it can never stop there"),
        ({"n": [3, 1, 1]}, "n has 3 numbers for 2 stages"),
        ({"n": [0, 1]}, "stage 1 draws 0 samples"),
        ({"temperature": 0}, "are all the same"),
        ({"temperature": 9}, "temperature must be from 0 to 2"),
        ({"stages": [3, 4]}, "stages holds 3, which is no model"),
        ({"stages": ["worked:"]}, "it wants two stages or more"),
        ({"select": "best"}, "option 'select'"),
        ({"n": ["three", 1]}, "option 'n'"),
    ],
)
def test_a_list_that_makes_no_sense_is_one_sentence(options: dict[str, Any], says: str) -> None:
    spec = {"kind": "adaptive", "stages": ["worked:", "worked:"], **options}
    with pytest.raises(ConfigError) as error:
        open_model(spec, Context(worked=lambda chat, sample: ""))
    assert says in str(error.value)


def test_a_stage_may_be_the_same_model_in_another_form() -> None:
    small = Named("small", *UNSURE)
    (reply,) = said(Named("first", *UNSURE), Prompted(small, "plan_and_solve"))  # type: ignore[arg-type]
    assert small.asked[0][0] == f"How many?\n\n{FORMS['plan_and_solve']}"
    assert reply.note == "stage 2 of 2"
    assert {part.model for part in reply.parts} == {"first", "small"}
    plain = Named("plain", "x")
    next(Prompted(plain, "plain").answer(ASKED, Sampling()))
    assert plain.asked[0][0] == "How many?"
    next(Prompted(plain, suffix="Say a number.").answer(ASKED, Sampling()))
    assert plain.asked[1][0] == "How many?\n\nSay a number."
    with pytest.raises(ConfigError, match="unknown form 'plan'"):
        Prompted(plain, "plan")


def test_it_sits_an_exam_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{kind: adaptive, stages: ['scripted:mine:small', 'worked:'], n: [3, 1]}")
    printed, rows = sat(tmp_path, "a.yaml")
    assert "answered by" in printed
    assert {row["note"] for row in rows} == {"stage 1 of 2", "stage 2 of 2"}
