"""Self-consistency by `vote`: as a model in Python, as teacher, exam taker and behind the server, and what it costs."""

import json
import threading
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from tests.e2e.outside import cli
from tests.server import teaching

from tutelage.classroom.reader import TaskReader
from tutelage.errors import BudgetError, ConfigError
from tutelage.evaluation.metrics import majority
from tutelage.models.context import Context
from tutelage.models.opening import open_model
from tutelage.models.remote.dispatch import Refused
from tutelage.models.remote.meter import Meter
from tutelage.models.remote.prices import Price
from tutelage.models.specs import checked, identity, kinds_in, leaves, parse, roles
from tutelage.recipes.exam_only import ExamOnly
from tutelage.recipes.planning import priced
from tutelage.recipes.recipe import Expected
from tutelage.recipes.tailored_settings import Tailored
from tutelage.solvers.vote import Vote
from tutelage.spending import BudgetConfig, Spending
from tutelage.tasks.catalog import find_task
from tutelage.types import Chat, Message, Reply, Sampling


class Says:
    """A model whose samples are given."""

    name = "says"

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        for index in range(len(chats)):
            told = [self.texts[sample % len(self.texts)] for sample in range(sampling.n)]
            yield (
                index,
                [
                    Reply(
                        text=text,
                        tokens_in=3,
                        tokens_out=2,
                        dollars="0.25",
                        error="lost" if text == "!" else "",
                        finish="eos",
                    )
                    for text in told
                ],
            )


CHAT = Chat(messages=(Message("user", "How many?"),), question="q")


def elected(*texts: str, context: Context | None = None, **sampling: int) -> list[Reply]:
    voter = Vote(Says(*texts), context or Context(), n=4)
    ((_, replies),) = voter.answer([CHAT], Sampling(**sampling))
    return replies


def test_the_answer_that_most_samples_give_is_given_in_its_first_words() -> None:
    (reply,) = elected("So.\nThe answer is 4.", "The answer is 5.", "Well, the answer is 5", "The answer is 4.0")
    assert reply.text == "The answer is 5."
    assert (reply.tokens_in, reply.tokens_out, reply.dollars) == (12, 8, "1")
    assert [(part.model, part.calls, part.chosen) for part in reply.parts] == [("says", 4, True)]


def test_answers_are_read_and_compared_as_the_task_does() -> None:
    task = find_task("word_problems?size=20")
    question = task.load("test")[0]
    reader = TaskReader(task, {"q": question})
    context = Context(read=reader.read, same=reader.same)
    texts = ("The answer is 5.", "The answer is 5.", "The answer is 4.", "It is 4.0, so the answer is 4.0.")
    assert elected(*texts, context=context)[0].text == "The answer is 5."  # a tie: who came first
    texts = ("The answer is 5.", "The answer is 4.", "The answer is 7.", "It is 4.0, so the answer is 4.0.")
    assert elected(*texts, context=context)[0].text == "The answer is 4."


def test_failed_replies_have_no_vote_and_unread_ones_stand_where_nothing_else_does() -> None:
    assert elected("!", "!", "!", "The answer is 3.")[0].text == "The answer is 3."
    silent = Context(read=lambda chat, text: None)
    assert elected("!", "hm", "well", "so", context=silent)[0].text == "hm"
    assert elected("!", "!", "!", "!")[0].error == "lost"


def test_each_of_several_samples_has_votes_of_its_own() -> None:
    replies = elected(*("The answer is 1.",) * 4, *("The answer is 2.",) * 4, n=2, seed=0)
    assert [reply.text for reply in replies] == ["The answer is 1.", "The answer is 2."]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"kind": "vote"}, "of"),
        ({"kind": "vote", "of": 5}, "of must be a model"),
        ({"kind": "vote", "of": "opnai:gpt"}, "unknown model kind 'opnai'; did you mean 'openai'?"),
        ({"kind": "vote", "of": "hf:x", "m": 3}, "model kind 'vote' has no option 'm'; "),
        ({"kind": "vote", "of": "worked:", "n": 1}, "n must be a whole number of votes, at least 2, and is 1"),
        ({"kind": "vote", "of": "worked:", "n": 3, "temperature": 0}, "temperature must be above 0"),
        ("{kind: vote, of: ", "must be a mapping in YAML"),
        ("{kind: vote, of: {kind: hf, name: x, dtyp: float32}}", "model kind 'hf' has no option 'dtyp'; did you mean 'dtype'?"),
        ("no_such_package.models:Mine", "no package.module:NAME that can be imported"),
        ("collections:Counter", "makes a Counter, which lacks name and answer"),
        ("json:dumps", "model kind 'json:dumps' needs the option 'obj'"),
        ("tutelage:__version__", "is a str; it must be a class or function that makes models"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_spec_is_one_sentence(spec: object, said: str) -> None:
    context = Context(worked=lambda chat, sample: "")

    def use() -> None:
        checked(spec)  # type: ignore[arg-type]
        open_model(spec, context)  # type: ignore[arg-type]

    with pytest.raises(ConfigError) as error:
        use()
    assert said in str(error.value)


def test_a_spec_that_holds_itself_is_refused() -> None:
    spec: dict[str, object] = {"kind": "vote"}
    spec |= {"of": spec}
    with pytest.raises(ConfigError, match="does it hold itself"):
        parse(spec)


def test_secrets_are_hidden_however_deep_they_lie() -> None:
    inner = {"kind": "openai", "name": "m", "base_url": "http://user:sesame-open-now@localhost/v1"}
    kept = checked({"kind": "vote", "of": inner})
    assert "sesame" not in str(kept)
    with pytest.raises(ConfigError, match="must be the name of an environment variable"):
        checked({"kind": "vote", "of": {"kind": "openai", "name": "m", "key": "sk-abcdefghijklmnopqrstuvwxyz012345"}})


def test_its_identity_is_that_of_its_parts_however_fast_they_are_asked() -> None:
    one = parse("{kind: vote, n: 4, of: {kind: openai, name: m, concurrency: 8}}")
    other = parse({"kind": "vote", "n": 4, "of": {"name": "openai:m", "timeout": 5}})
    assert identity(one) == identity(other) == {"kind": "vote", "n": 4, "of": {"kind": "openai", "name": "m"}}
    assert identity(parse({"kind": "vote", "n": 5, "of": "openai:m"})) != identity(one)
    assert kinds_in(one) == {"openai"}
    assert [leaf.times for leaf in leaves(parse({"kind": "vote", "n": 3, "of": one}))] == [12]
    assert roles(Tailored) == ["teacher", "student"]
    assert roles(ExamOnly) == ["model"]


def test_a_plan_counts_every_vote() -> None:
    spec = {"kind": "vote", "n": 4, "of": {"kind": "openai", "name": "m", "price": {"input": 1, "output": 2}}}
    row = Expected("rationales", 10, (1000, 1000), (500, 500))
    plan = priced(spec, [row])
    assert plan.dollars == (Decimal("0.008"), Decimal("0.008"))
    assert "each call asks openai:m 4 times, at the most" in plan.lines()


def test_two_models_asked_at_once_pass_no_cap_together() -> None:
    """What one has in flight is seen by the other: each alone would be within the cap."""
    spent, budget, price = Spending(), BudgetConfig(dollars=Decimal("1")), Price(Decimal(0), Decimal(1000), "test")
    meters = [Meter(name, price, budget, spent) for name in ("one", "other")]
    meters[0].reserve(0, CHAT, Sampling(max_tokens=600))
    with pytest.raises(Refused):
        meters[1].reserve(0, CHAT, Sampling(max_tokens=600))
    meters[0].rest(0)
    meters[1].reserve(0, CHAT, Sampling(max_tokens=600))
    assert spent.held_dollars == Decimal("0.6")
    barrier, refused = threading.Barrier(8), []
    fresh = Spending()

    def ask(meter: Meter) -> None:
        barrier.wait()
        for index in range(200):
            try:
                meter.reserve(index, CHAT, Sampling(max_tokens=10))
            except Refused:
                refused.append(index)

    workers = [threading.Thread(target=ask, args=(Meter(str(i), price, budget, fresh),)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert fresh.calls == 100
    assert len(refused) == 1500


def test_a_vote_of_a_service_is_kept_and_capped_like_any(tmp_path: Path) -> None:
    with teaching() as teacher:
        of = {"kind": "openai", "name": "m", "base_url": teacher.url, "price": {"input": 0, "output": 1000}}
        spent = Spending()
        context = Context(budget=BudgetConfig(calls=7), spent=spent)
        model = open_model({"kind": "vote", "n": 4, "of": of}, context)
        ((_, (reply,)),) = model.answer([CHAT], Sampling(max_tokens=5))
        assert len(teacher.requests) == spent.calls == 4
        assert {request["temperature"] for request in teacher.requests} == {0.7}
        assert Decimal(reply.dollars or 0) == spent.dollars
        with pytest.raises(BudgetError):
            list(model.answer([Chat(messages=(Message("user", "Another?"),), question="r")], Sampling(max_tokens=5)))
        assert len(teacher.requests) == 7


CONFIG = """
recipe: finetune_cot
task: coin_flip?size=40
teacher: {kind: vote, of: "worked:", n: 3}
student: "hf:STUDENT"
baselines: []
training: {epochs: 1, batch: 8}
exam: {max_tokens: 4}
"""


def test_it_teaches_and_sits_exams_from_a_yaml_and_at_the_command_line(base_student: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.replace("STUDENT", str(base_student)))
    done = cli(tmp_path, "run", "c.yaml", "--into", "run")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "rationales" / "records.jsonl").read_text().splitlines()]
    assert {part["model"] for row in rows for part in row["parts"]} == {"worked:"}
    assert {part["calls"] for row in rows for part in row["parts"]} == {3}
    lessons = [json.loads(line) for line in (tmp_path / "run" / "lessons" / "records.jsonl").read_text().splitlines()]
    assert {lesson["teacher"] for lesson in lessons} == {"worked:"}
    spec = '{kind: vote, of: "hf:run/student?dtype=float32&batch=16", n: 2}'
    done = cli(
        tmp_path, "exam", spec, "--task", "coin_flip?size=40", "--limit", "4", "--into", "sat", "exam.max_tokens=4"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "sat" / "exam" / "step.json").read_text())
    assert told["inputs"]["paper"]["form"] == "taught"  # its part was taught here
    assert told["made_on"]["precision"] == "float32"
    rows = [json.loads(line) for line in (tmp_path / "sat" / "exam" / "records.jsonl").read_text().splitlines()]
    assert [part["calls"] for row in rows for part in row["parts"]] == [2] * 4
    again = cli(
        tmp_path, "exam", spec, "--task", "coin_flip?size=40", "--limit", "4", "--into", "sat", "exam.max_tokens=4"
    )
    assert "(kept)" in again.stdout
    report = cli(tmp_path, "report", "sat")
    assert report.returncode == 0, report.stderr


def test_the_majority_of_nothing_is_nothing() -> None:
    assert majority([None]) is None


def test_no_gold_takes_part_in_a_vote() -> None:
    """A task's own scorer may know the right answer whatever it is shown: two answers are not one because either is right."""
    task = find_task("reasoning_gym:leg_counting?size=40")
    question = task.load("test")[0]
    reader, chat = TaskReader(task, {question.id: question}), Chat(messages=(), question=question.id)
    right, wrong = question.answer, str(int(question.answer) + 1)
    assert task.same(right, question)
    assert not reader.same(chat, right, wrong)
    assert not reader.same(chat, wrong, right)
    context = Context(read=reader.read, same=reader.same)
    ((_, (reply,)),) = Vote(
        Says(*(f"The answer is {one}." for one in (wrong, wrong, wrong, right))), context, n=4
    ).answer([chat], Sampling())
    assert reply.text == f"The answer is {wrong}."
