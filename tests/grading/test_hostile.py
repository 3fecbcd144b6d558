"""Texts made to break a reader: none raises, none takes long, time grows with size, and no claim is judged other than it is.

`scripts/fuzz SECONDS` goes on from here, with fresh seeds and with texts of a megabyte for every reader and shape.
"""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import hostile
from tests.hostile import LIMIT, MORE_SHAPES, PIECES, READERS, SHAPES, repeated, taken
from tests.pace import timed

from tutelage.grading import mathematics as symbolic
from tutelage.grading.mathematics import same_math
from tutelage.types import Question

CORPUS = sorted((Path(__file__).parents[1] / "corpus").iterdir())
MEGABYTE = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def process() -> Iterator[None]:
    same_math("x+1", Question(id="", text="", answer="1+x"))  # its start is nobody's time
    yield
    symbolic._PROVER.stop()


def grows(read: Callable[[str], object], make: Callable[[int], str]) -> tuple[float, float]:
    """Seconds for a text and for one of twice its size, of a size whose time can be measured."""
    size = 32_000
    while (once := timed(partial(read, make(size)))) < 0.005 and size < MEGABYTE // 2:
        size *= 2
    text, longer = make(size), make(2 * size)
    return min(once, timed(partial(read, text))), min(timed(partial(read, longer)) for _ in range(2))


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_size_takes_twice_the_time(shape: str) -> None:
    for name, read in READERS.items():
        for put in ("{}", "The answer is {} 5"):
            for _ in range(5):  # another process may have had the processor
                once, twice = grows(read, lambda size, put=put: put.replace("{}", repeated(shape, size)))  # type: ignore[misc]
                if twice < 3.2 * once + 0.002:
                    break
            else:
                pytest.fail(f"{name}, {put}: {once:.3f} s, and {twice:.3f} s for twice the size")


@pytest.mark.parametrize("shape", ["{boxes}", *SHAPES])
def test_a_megabyte_is_read_in_time(shape: str) -> None:
    text = r"\boxed{" * 140_000 + "5" + "}" * 140_000 if shape == "{boxes}" else repeated(shape, MEGABYTE)
    others = [name for name in READERS if name != "number"]  # one each; scripts/fuzz gives every shape to all
    for name in ("number", others[SHAPES.index(shape) % len(others)] if shape in SHAPES else "math"):
        assert taken(READERS[name], f"The answer is {text}") < LIMIT, name


@pytest.mark.parametrize("shape", [*SHAPES, *MORE_SHAPES])
def test_no_shape_takes_long(shape: str) -> None:
    """A reader that looked at each pair of characters would take minutes over these."""
    for name, read in READERS.items():
        for put in ("{}", "The answer is {} 5", "The answer is 5{} = 5"):
            assert taken(read, put.replace("{}", repeated(shape, 15_000))) < LIMIT / 8, (name, put)
    assert taken(READERS["math"], rf"\boxed{{{repeated(shape, 990)}}}") < LIMIT  # what a prover has to look at


@settings(max_examples=700)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=30).map("".join))
def test_no_text_raises_or_takes_long(text: str) -> None:
    for name, read in READERS.items():
        found: list[object] = []
        assert taken(lambda text, read=read, found=found: found.append(read(text)), text) < LIMIT, name  # type: ignore[misc]
        if name in ("number", "date", "math", "text"):  # whose gold answers no piece holds
            assert found[0] == (False, False), name


@pytest.mark.parametrize("seed", range(4))
def test_a_claim_is_judged_by_what_it_says(seed: int) -> None:
    """Several answers, another value, a denial or a retraction are never right; one answer, in many forms, always is."""
    rng = random.Random(seed)
    wrong = [problem for _ in range(1200) if (problem := hostile.wrongly(hostile.claim(rng)))]
    assert not wrong


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_seeds_of_the_fuzzer_are_taken_in(file: Path) -> None:
    assert taken(lambda name: hostile.enter(Path(name).read_bytes()), str(file)) < LIMIT


# ---- what took for ever, or was wrong, one by one


@pytest.mark.parametrize("count", [60, 400])
def test_large_sets_are_compared_in_time(count: int) -> None:
    one, other = list(range(1, count + 1)), list(range(count, 0, -1))
    for answer, gold, verdict in (
        (one, other, True),
        (one, [*other[:-1], 9999], False),
        ([rf"\sqrt{{{n}}}" for n in one[:60]], [rf"\sqrt{{{n + 100}}}" for n in one[:60]], None),
    ):
        sides = [rf"\{{{','.join(map(str, side))}\}}"[:999] for side in (answer, gold)]
        if count == 400:
            sides = [",".join(map(str, side))[:1000].rpartition(",")[0] for side in (answer, gold)]
        begun = time.monotonic()
        same = same_math(sides[0], Question(id="", text="", answer=sides[1]))
        assert time.monotonic() - begun < LIMIT
        assert count == 400 or same is verdict


@pytest.mark.parametrize("parts", [1, 4, 6])
def test_one_answer_has_one_limit_whatever_its_parts(parts: int) -> None:
    towers = [rf"{n}^{{{n}^{{{n + 1}}}}} + x" for n in range(7, 7 + parts)]
    begun = time.monotonic()
    same = same_math(",".join(towers), Question(id="", text="", answer=",".join(f"{tower} + 1" for tower in towers)))
    assert time.monotonic() - begun < LIMIT
    assert same is not True
    assert same_math("x+1+1", Question(id="", text="", answer="2+x")) is True
