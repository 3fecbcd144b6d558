"""A cascade: who answers what, at what price, within a day's caps, and what is said where the second model cannot be asked."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.outside import cli, works
from tests.server import teaching
from tests.solvers.test_vote import Says

from tutelage.errors import ConfigError, ModelError, RunError
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.recipes.exam_only import natural_form
from tutelage.runs.replies import ReplyCache
from tutelage.solvers.caps import DayCaps
from tutelage.solvers.cascade import Cascade
from tutelage.types import Chat, Message, Reply, Sampling

ASKED = [Chat(messages=(Message("user", f"How many, {name}?"),), question=name) for name in "ab"]


class Large(Says):
    """The second model, which notes what it is asked, or fails."""

    name = "large"

    def __init__(self, *texts: str, fails: str = "") -> None:
        super().__init__(*texts)
        self.asked: list[str] = []
        self.fails = fails

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        if self.fails:
            raise ModelError(self.fails)
        self.asked += [chat.question for chat in chats]
        yield from super().answer(chats, sampling)


def cascade(
    tmp_path: Path, *texts: str, large: Large | None = None, said: list[str] | None = None, **options: Any
) -> Cascade:
    context = Context(say=(said if said is not None else []).append)
    told = {"n": 4, "agree": 0.75, "ledger": str(tmp_path / "day.json"), **options}
    return Cascade(Says(*texts), large or Large("The answer is 9."), context, **told)


def replies(model: Cascade, **sampling: int) -> list[Reply]:
    return [reply for _, row in sorted(model.answer(ASKED, Sampling(**sampling))) for reply in row]


SURE = ("The answer is 4.", "The answer is 4.", "The answer is 5.", "The answer is 4.0")
UNSURE = ("The answer is 4.", "The answer is 4.", "The answer is 5.", "I wonder.")


def test_who_agrees_with_itself_answers_and_nobody_else_is_asked(tmp_path: Path) -> None:
    large = Large("The answer is 9.")
    texts = ("The answer is 4.",) * 3 + ("The answer is 5.",)
    for reply in replies(cascade(tmp_path, *texts, large=large)):
        assert reply.text == "The answer is 4."
        assert (reply.confidence, reply.note) == (0.75, "")
        assert [(part.model, part.calls, part.chosen) for part in reply.parts] == [("says", 4, True)]
    assert not large.asked
    assert not (tmp_path / "day.json").exists()


def test_who_does_not_is_asked_again_and_all_of_it_is_paid(tmp_path: Path) -> None:
    for reply in replies(cascade(tmp_path, *UNSURE)):
        assert reply.text == "The answer is 9."
        assert (reply.confidence, reply.note) == (0.5, "escalated: 2 of 4 samples agree")
        assert [(part.model, part.calls, part.chosen) for part in reply.parts] == [
            ("says", 4, False),
            ("large", 1, True),
        ]
        assert (reply.dollars, reply.tokens_in) == ("1.25", 15)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (("Hm.",) * 4, "no answer was read"),
        (("!",) * 4, "it failed"),
    ],
)
def test_what_says_nothing_is_asked_again(tmp_path: Path, texts: tuple[str, ...], why: str) -> None:
    assert [reply.note for reply in replies(cascade(tmp_path, *texts))] == [f"escalated: {why}"] * 2


def test_each_of_several_replies_is_decided_by_itself(tmp_path: Path) -> None:
    texts = (*("The answer is 4.",) * 4, *UNSURE)
    found = replies(cascade(tmp_path, *texts), n=2)
    assert [reply.text for reply in found] == ["The answer is 4.", "The answer is 9."] * 2


def test_a_rule_of_one_s_own_may_send_it_on(tmp_path: Path) -> None:
    said: list[str] = []
    texts = ("The answer is 4.",) * 4
    notes = {
        name: [one.note for one in replies(cascade(tmp_path, *texts, rule=f"{__name__}:{name}", said=said))]
        for name in ("only_a", "never", "broken")
    }
    assert notes["only_a"] == ["escalated: a is for the large one", ""]
    assert notes["never"] == ["", ""]
    assert notes["broken"] == ["escalated: the rule failed: ZeroDivisionError"] * 2
    assert any("the cascade's rule failed, and the second model is asked: ZeroDivisionError" in one for one in said)


def only_a(chat: Chat, samples: Sequence[Reply]) -> str:
    return "a is for the large one" if chat.question == "a" else ""


def never(chat: Chat, samples: Sequence[Reply]) -> bool:
    return False


def broken(chat: Chat, samples: Sequence[Reply]) -> bool:
    return 1 / 0 > 0


def test_beyond_the_day_s_calls_the_first_answers_alone_and_says_so(tmp_path: Path) -> None:
    large = Large("The answer is 9.")
    first, second = replies(cascade(tmp_path, *UNSURE, large=large, calls_a_day=1))
    assert first.note.startswith("escalated: ")
    assert (second.text, second.note) == ("The answer is 4.", "alone: 2 of 4 samples agree; the day's 1 calls are used")
    again = cascade(tmp_path, *UNSURE, large=large, calls_a_day=1)  # a server that is begun anew
    assert all(reply.note.startswith("alone: ") for reply in replies(again))
    assert large.asked == ["a"]
    assert json.loads((tmp_path / "day.json").read_text())["calls"] == 1


@pytest.mark.parametrize(
    "held",
    [
        '{"day": "TODAY"}',
        '{"day": "TODAY", "calls": "a", "dollars": "0"}',
        '{"day": "TODAY", "calls": 1, "dollars": "NaN"}',
    ],
)
def test_a_count_that_is_none_is_told_before_anything_is_asked(tmp_path: Path, held: str) -> None:
    (tmp_path / "day.json").write_text(held.replace("TODAY", time.strftime("%Y-%m-%d", time.gmtime())))
    with pytest.raises(RunError, match=r"day\.json is no count of a day's calls"):
        cascade(tmp_path, *UNSURE, calls_a_day=3)


def test_a_count_that_breaks_while_it_is_served_leaves_the_first_alone(tmp_path: Path) -> None:
    said: list[str] = []
    model = cascade(tmp_path, *UNSURE, calls_a_day=3, said=said)
    (tmp_path / "day.json").write_text("xx")
    assert {one.note for one in replies(model)} == {"alone: 2 of 4 samples agree; the day's calls cannot be counted"}
    assert "large is not asked: " in said[0]


def test_few_are_asked_together_where_dollars_are_capped_and_what_is_stored_is_free(tmp_path: Path) -> None:
    chats = [Chat(messages=(Message("user", f"How many, {at}?"),), question=str(at)) for at in range(30)]
    with teaching() as teacher, contextlib.closing(ReplyCache(tmp_path / "replies")) as store:
        paid = {"kind": "openai", "name": "m", "base_url": teacher.url, "price": {"input": 1000, "output": 1000}}
        first = f"scripted:{__name__}:unsure"
        spec = {
            "kind": "cascade",
            "first": first,
            "then": paid,
            "n": 4,
            "agree": 0.75,
            "ledger": str(tmp_path / "day.json"),
        }
        found: list[tuple[int, Decimal, int]] = []
        for cap in (0.001, 1000, 1000):
            (tmp_path / "day.json").unlink(missing_ok=True)
            context = Context(store=store, say=lambda line: None)
            model = open_model({**spec, "dollars_a_day": cap}, context)
            alone = sum(reply.note.startswith("alone: ") for _, (reply,) in model.answer(chats, Sampling(max_tokens=5)))
            held = json.loads((tmp_path / "day.json").read_text())
            found.append((int(held["calls"]), Decimal(held["dollars"]), alone))
            assert Decimal(held["dollars"]) == context.spent.dollars
    assert (found[0][0], found[0][2]) == (8, 22)  # eight together, and then no more
    assert found[1][0] == 22  # eight are stored
    assert (found[2][0], found[2][1]) == (0, 0)
    assert len(teacher.requests) == 30


def test_a_cap_in_dollars_wants_a_price(tmp_path: Path) -> None:
    spec = {"kind": "cascade", "first": f"scripted:{__name__}:unsure", "ledger": str(tmp_path / "day.json")}
    for batch in (False, True):
        unpriced = {"kind": "openai", "name": "nobody-knows-this", "base_url": "http://localhost:1/v1", "batch": batch}
        then = {"kind": "prompted", "of": unpriced}
        with pytest.raises(ConfigError, match="the price of .*nobody-knows-this.* is not known"):
            open_model({**spec, "then": then, "dollars_a_day": 1})
        assert open_model({**spec, "then": then, "calls_a_day": 1}).name.startswith("cascade(")
        priced = {**unpriced, "price": {"input": 1, "output": 1}}
        assert open_model({**spec, "then": priced, "dollars_a_day": 1}).name.startswith("cascade(")
        assert getattr(open_model(unpriced), "counts_samples") is not batch  # noqa: B009 - no part of `Model`


def unsure(chat: Chat, sample: int) -> str:
    return UNSURE[sample % 4]


def test_a_new_day_begins_at_nothing_and_dollars_end_it_too(tmp_path: Path) -> None:
    now = [0.0]
    caps = DayCaps(tmp_path / "d.json", None, 0.3, lambda: now[0])
    assert caps.take() == ""
    caps.paid("0.25")
    assert caps.take() == ""
    caps.paid("0.25")
    assert caps.take() == "the day's $0.3 are used"
    now[0] = 86_400.0
    assert caps.take() == ""
    caps.paid(None)
    assert json.loads((tmp_path / "d.json").read_text()) == {"day": "1970-01-02", "calls": 1, "dollars": "0"}


def test_a_second_model_that_fails_leaves_the_first_alone(tmp_path: Path) -> None:
    said: list[str] = []
    lost = replies(cascade(tmp_path, *UNSURE, large=Large("!"), said=said))
    assert said == ["large failed, so says answers alone: lost"] * 2
    said.clear()
    gone = replies(cascade(tmp_path, *UNSURE, large=Large(fails="the server does not know this key"), said=said))
    assert [one.text for one in (*lost, *gone)] == ["The answer is 4."] * 4
    assert {one.note for one in lost} == {"alone: 2 of 4 samples agree; large failed"}
    assert {one.note for one in gone} == {"alone: 2 of 4 samples agree; large cannot be asked"}
    assert not any(one.error for one in (*lost, *gone))
    assert said == ["large cannot be asked, so says answers alone: the server does not know this key"]


def test_of_a_service_no_more_samples_are_asked_for_than_decide(tmp_path: Path) -> None:
    with teaching() as teacher:
        of = {"kind": "openai", "name": "m", "base_url": teacher.url}
        model: Any = open_model(
            {"kind": "cascade", "first": of, "then": f"scripted:{__name__}:nine", "n": 4, "agree": 0.5}
        )
        (_, (reply,)) = next(iter(model.answer(ASKED[:1], Sampling(max_tokens=5))))
        asked = len(teacher.requests)
    assert reply.parts[0].calls == asked
    assert asked in (2, 3, 4)


def nine(chat: Chat, sample: int) -> str:
    return "The answer is 9."


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n must be a whole number of samples from 1 on"),
        ({"agree": 0}, "at 0 nothing, beyond 1 everything"),
        ({"agree": 1.5}, "at 0 nothing, beyond 1 everything"),
        ({"temperature": 0}, "are all the same"),
        ({"rule": "math:pi"}, "is no function"),
        ({"calls_a_day": -1}, "calls_a_day must be 0 or more, and is -1; leave it out for no limit"),
        ({"dollars_a_day": float("nan")}, "dollars_a_day must be 0 or more"),
        ({"rule": "nowhere:rule"}, "can be imported: No module"),
    ],
)
def test_what_cannot_work_is_one_sentence(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        cascade(tmp_path, *SURE, **options)


TEACHERS = '''
def small(chat, sample):
    """Sure of every second question."""
    number = int(chat.question.rpartition("-")[2])
    return "The answer is yes." if number % 2 else f"The answer is {['yes', 'no'][sample % 2]}."
'''


def sat(folder: Path, spec: str) -> tuple[str, list[dict[str, Any]]]:
    """What an exam of a solver made of TEACHERS prints, and its attempts."""
    (folder / "mine.py").write_text(TEACHERS)
    done = works(folder, "exam", spec, "--task", "coin_flip?size=40", "--limit", "8", "--into", "sat")
    return done.stdout, [
        json.loads(line) for line in (folder / "sat" / "exam" / "records.jsonl").read_text().splitlines()
    ]


def test_it_sits_an_exam_and_the_report_says_who_answered(tmp_path: Path) -> None:
    spec = '{kind: cascade, first: "scripted:mine:small", then: "worked:", n: 4, calls_a_day: 3, ledger: day.json}'
    printed, rows = sat(tmp_path, spec)
    assert "answered by" in printed
    assert "stand although another model should have been asked" in printed
    assert sum(row.get("note", "").startswith("escalated: ") for row in rows) == 3
    assert all(row["confidence"] in (0.5, 1.0) for row in rows)
    assert (
        cli(
            tmp_path, "exam", spec.replace("n: 4", "agree: 2"), "--task", "coin_flip?size=40", "--into", "no"
        ).returncode
        == 2
    )


def test_a_student_that_was_taught_is_asked_as_it_was_taught_whoever_stands_behind_it(tmp_path: Path) -> None:
    for name, form in (("one", "taught"), ("other", "zero_shot")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "student.json").write_text(json.dumps({"form": form}))
    one, other = f"hf:{tmp_path}/one", f"hf:{tmp_path}/other"
    behind = {"kind": "prompted", "of": "openai:m", "form": "one_call_cot"}
    assert natural_form({"kind": "cascade", "first": one, "then": behind}) == "taught"
    assert natural_form({"kind": "adaptive", "stages": [one, one, behind]}) == "taught"
    assert natural_form({"kind": "cascade", "first": behind, "then": one}) is None
    assert natural_form({"kind": "cascade", "first": one, "then": other}) is None  # neither form is everybody's
