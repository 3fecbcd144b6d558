"""A model that skips a question, says one twice or yields something else is an error that names it, and no score."""

from collections.abc import Iterator
from typing import Any

import pytest

from tutelage.errors import ConfigError, ModelError
from tutelage.exam import ExamConfig, sit
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.models.specs import parse
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Model, Reply, Sampling

YES = Reply(text="The answer is yes.")


class Yields:
    """Answers with whatever it is told to."""

    name = "odd"

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    def answer(self, chats: Any, sampling: Sampling) -> Iterator[Any]:
        yield from self.answers


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([(0, [YES])], "odd left 2 of 3 questions unanswered, 'test-1' among them"),
        ([], "odd left 3 of 3 questions unanswered, 'test-0' among them"),
        ([(0, [YES]), (0, [YES])], "odd answered twice of 3 questions; each is answered once"),
        ([(7, [YES])], "odd answered with the index 7 of none of 3 questions"),
        ([(0, [YES, YES])], "odd gave 2 replies to question 'test-0', and was asked for 1"),
        ([(0, ["yes"])], "answer() yields (index of the chat, a list of Reply)"),
        ([[YES]], "answer() yields (index of the chat, a list of Reply)"),
    ],
)
def test_an_exam_counts_every_question_once(answers: list[Any], said: str) -> None:
    task = find_task("coin_flip?size=40")
    with pytest.raises(ModelError) as error:
        list(sit(Yields(*answers), task, task.load("test")[:3], ExamConfig().setup("one_call_cot", 0)))
    assert said in str(error.value)


class Needs:
    """A solver of the user's own, with options of every sort."""

    def __init__(
        self, small: Model, context: Context, large: Model | None = None, n: int = 3, hard: bool = False
    ) -> None:
        self.given = (small, large, n, hard)
        self.name = "needs"

    def answer(self, chats: list[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        yield from ()


class Inherits(Needs):
    """Its constructor is another class's."""


@pytest.mark.parametrize("kind", ["Needs", "Inherits"])
def test_parts_are_opened_and_options_have_types(kind: str) -> None:
    context = Context(worked=lambda chat, sample: "")
    spec = {"kind": f"{__name__}:{kind}", "small": "worked:"}
    opened: Any = open_model({**spec, "large": "worked:", "n": 4}, context)
    assert [one.name for one in opened.given[:2]] == ["worked:", "worked:"]
    assert opened.given[2:] == (4, False)
    assert [one.name for one in opened.parts] == ["worked:", "worked:"]
    plain: Any = open_model(spec, context)
    assert plain.given[1] is None
    for wrong, said in (
        ({"n": "many"}, "option 'n': Expected `int`, got `str`"),
        ({"hard": 7}, "option 'hard': Expected `bool`, got `int`"),
        ({"small": None}, "small must be a model"),
        ({"larg": "worked:"}, "has no option 'larg'; did you mean 'large'?"),
    ):
        with pytest.raises(ConfigError) as error:
            open_model({**spec, **wrong}, context)
        assert said in str(error.value)
    with pytest.raises(ConfigError, match="needs the option 'small'"):
        open_model({"kind": f"{__name__}:{kind}"}, context)


def test_a_name_that_yaml_reads_as_a_key_is_said() -> None:
    with pytest.raises(ConfigError, match='"worked:" stands in quotes'):
        parse({"worked": None})
