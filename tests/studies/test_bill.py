"""What a run took: by its records for what its lessons cost, by its ledger for what was really sent."""

from pathlib import Path
from typing import Any

import pytest
from tests.server import serve
from tests.studies import pupils

from tutelage import runner
from tutelage.runs import history
from tutelage.studies.bill import Cost, bill_of
from tutelage.tasks.catalog import find_task

ANSWERS = {question.text: question.answer for question in find_task(pupils.TASK).load("train")}


def teach(messages: list[dict[str, str]]) -> str:
    text = messages[0]["content"]
    answer = next((answer for question, answer in ANSWERS.items() if question in text), "0")
    if "<solution>" in text:
        return f"<error>Look.</error><solution>Look again, it is {answer}. The answer is {answer}.</solution>"
    return f"Look, it is {answer}. The answer is {answer}."


def bill(run: Path, **more: Any) -> dict[str, Cost]:
    runner.run({**pupils.study()["base"], **more}, run, launcher=pupils.launcher())
    return {cost.step: cost for cost in bill_of(history.open_run(run))}


def test_the_words_of_a_teacher_without_tokens_are_counted(tmp_path: Path) -> None:
    found = bill(tmp_path / "run")
    assert found["rationales"].words
    assert found["rationales"].calls == 20
    assert found["rationales"].tokens_in > 20 * 20
    assert found["rationales"].dollars == "0"
    assert [step for step, cost in found.items() if cost.taught] == ["rationales", "2-feedback"]
    assert found["2-exam"].calls == 0  # the student's own exam is no teacher's
    assert found["2-exam"].tokens == 0


def test_a_paid_teacher_is_priced_by_the_config_and_what_is_kept_is_not_sent_again(tmp_path: Path) -> None:
    with serve(teach) as (url, requests):
        teacher = {"kind": "openai", "name": "t", "base_url": url, "price": {"input": 1, "output": 10}}
        more = {"teacher": teacher, "cache": str(tmp_path / "replies.sqlite")}
        first, again = bill(tmp_path / "first", **more), bill(tmp_path / "again", **more)
        assert len(requests) == 20 + 10
    for step in ("rationales", "2-feedback"):
        a, b = first[step], again[step]
        assert (a.calls, a.tokens_in, a.tokens_out, a.dollars) == (b.calls, b.tokens_in, b.tokens_out, b.dollars)
        assert a.dollars is not None
        assert float(a.dollars) == pytest.approx((a.tokens_in + 10 * a.tokens_out) / 1e6)
        assert (a.paid_calls, b.paid_calls) == (a.calls, 0)
        assert not a.words


def test_a_price_that_is_not_known_is_not_nothing(tmp_path: Path) -> None:
    with serve(teach) as (url, _):
        teacher = {"kind": "openai", "name": "t", "base_url": url}
        found = bill(tmp_path / "run", teacher=teacher, cache=str(tmp_path / "replies.sqlite"))
    assert found["rationales"].dollars is None


def test_two_calls_a_rationale_are_two_calls(tmp_path: Path) -> None:
    with serve(teach) as (url, _):
        teacher = {"kind": "openai", "name": "t", "base_url": url}
        more = {"teacher": teacher, "cache": str(tmp_path / "replies.sqlite"), "rounds": 1}
        found = bill(tmp_path / "run", **more, rationales={"calls": 2, "max_tokens": 64})
    assert found["rationales"].calls == 40  # reasoning and answer apart
