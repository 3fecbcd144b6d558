"""What a plan says where its rows ask different models."""

from decimal import Decimal

from tutelage.recipes.planning import priced
from tutelage.recipes.recipe import Expected

CHEAP = {"kind": "openai", "name": "small", "price": {"input": 1, "output": 1}}
DEAR = {"kind": "openai", "name": "large", "price": {"input": 10, "output": 10}}
ROW = Expected("rationales", 10, (1000, 1000), (1000, 1000))


def test_each_row_is_priced_by_whom_it_asks() -> None:
    plan = priced(CHEAP, [ROW, ROW._replace(step="judgements", who=DEAR).times(2)])
    assert plan.dollars == (Decimal("0.042"), Decimal("0.042"))
    assert plan.lines()[:2] == [
        "rationales: 10 calls of openai:small, 1000 tokens in, 1000 tokens out",
        "judgements: 20 calls of openai:large, 2000 tokens in, 2000 tokens out",
    ]


def test_a_row_that_names_the_teacher_changes_nothing() -> None:
    assert priced(CHEAP, [ROW._replace(who=CHEAP)]).lines() == priced(CHEAP, [ROW]).lines()
    assert priced(CHEAP, [ROW]).lines()[0] == "rationales: 10 calls, 1000 tokens in, 1000 tokens out"


def test_an_unpriced_one_of_several_is_named() -> None:
    plan = priced(CHEAP, [ROW, ROW._replace(who={"kind": "openai", "name": "nobody-knows"})])
    assert plan.dollars is None
    assert "the price of openai:nobody-knows is not known; give it price" in plan.lines()[-1]


def test_a_solver_in_one_row_is_told_in_that_row() -> None:
    vote = {"kind": "vote", "n": 4, "of": DEAR}
    plan = priced(CHEAP, [ROW, ROW._replace(step="votes", who=vote)])
    assert plan.dollars == (Decimal("0.082"), Decimal("0.082"))
    assert "votes: 10 calls of openai:large 4 times, at the most" in plan.lines()[1]
