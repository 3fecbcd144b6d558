"""Models are named by specs, and a wrong one is told from the nearest right one."""

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.server import teaching

from tutelage.errors import ConfigError, DataError, ModelError, TutelageError
from tutelage.models import LOCAL
from tutelage.models.kinds import factory_of
from tutelage.models.opening import open_model
from tutelage.models.remote import hiding
from tutelage.models.remote.openai import OpenAICompatible
from tutelage.models.specs import parse
from tutelage.types import Chat, Message, Reply, Sampling


def echo(chat: Chat, sample: int) -> str:
    return f"{chat.messages[-1].content} {sample}"


NOT_A_FUNCTION = 3


def chat(question: str = "1", purpose: str = "rationale", sample: int = 0) -> Chat:
    return Chat(messages=(Message("user", "why?"),), question=question, purpose=purpose, sample=sample)


def test_a_model_can_be_named_as_it_prints_itself(base_student: Path) -> None:
    model = open_model({"kind": "hf", "name": str(base_student), "dtype": "float32"})
    assert model.name == f"hf:{base_student}?dtype=float32"
    assert open_model(model.name).name == model.name
    options = {"kind": "hf", "name": "org/name", "batch": 4, "trust_remote_code": True}
    assert parse("hf:org/name?batch=4&trust_remote_code=true") == options
    with pytest.raises(ConfigError, match="no option 'dtyp'; did you mean 'dtype'"):
        open_model("hf:org/name?dtyp=float32")
    with pytest.raises(ConfigError, match="'float32' is no option; write name[?]option=value"):
        parse("hf:org/name?float32")


def test_strings_and_mappings_mean_the_same() -> None:
    assert parse("hf:org/name") == parse({"kind": "hf", "name": "org/name"}) == parse({"name": "hf:org/name"})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("hff:smollm2", "unknown model kind 'hff'.*did you mean 'hf'"),
        ("gpt-4", "unknown model kind 'gpt-4'.*known: .*hf, openai"),
        ({"kind": "hf", "name": "smollm2", "batchsize": 3}, "no option 'batchsize'.*did you mean 'batch'"),
        ("scripted:nowhere:f", "cannot|can be imported"),
        ("scripted:tests.models.test_specs:NOT_A_FUNCTION", "is a int, not a function|can be imported"),
        ("worked:", "needs a task that brings worked solutions"),
    ],
)
def test_a_wrong_spec_is_told_what_is_right(spec: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_model(spec)  # type: ignore[arg-type]


def recorded(tmp_path: Path, *rows: object) -> Path:
    file = tmp_path / "replies.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return file


def test_recorded_two_call_replies(tmp_path: Path) -> None:
    row = {"id": 1, "rationale": "One and one.", "answer_reply": " 2."}
    model = open_model(f"recorded:{recorded(tmp_path, row)}")
    (_, (first,)) = next(iter(model.answer([chat()], Sampling())))
    (_, (second,)) = next(iter(model.answer([chat(purpose="answer")], Sampling())))
    assert (first.text, first.finish, second.text) == ("One and one.", "eos", "2.")
    (_, (both,)) = next(iter(model.answer([chat(purpose="exam")], Sampling())))
    assert (both.text, both.finish) == ("One and one. Therefore, the answer is 2.", "eos")


@pytest.mark.parametrize(("text", "finish"), [("It is 3", "length"), ("It is 3.", "eos"), ("(so it is)", "eos")])
def test_recorded_text_without_an_end_was_cut(tmp_path: Path, text: str, finish: str) -> None:
    model = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': text})}")
    assert next(iter(model.answer([chat()], Sampling())))[1][0].finish == finish
    told = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': text, 'finish_reason': 'stop'})}")
    assert next(iter(told.answer([chat()], Sampling())))[1][0].finish == "eos"


def test_a_missing_recording_is_an_error(tmp_path: Path) -> None:
    model = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': ['a.', 'b.']})}")
    with pytest.raises(ModelError, match="no reply for question '2'"):
        list(model.answer([chat("2")], Sampling()))
    with pytest.raises(ModelError, match=r"holds 2 sample.*sample 3 was asked"):
        list(model.answer([chat()], Sampling(n=3)))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{oops"], r"replies\.jsonl:1: not JSON"),
        ([{"reply": "x"}], r":1 has no field 'id'"),
        ([{"id": 1, "text": "x"}], r":1 needs 'reply'.*it has: id, text"),
        ([{"id": 1, "reply": "x"}, {"id": "1", "reply": "y"}], r":2 repeats the id '1'"),
    ],
)
def test_a_broken_recording_is_named_by_line(tmp_path: Path, rows: list[object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        list(open_model(f"recorded:{recorded(tmp_path, *rows)}").answer([chat()], Sampling()))


def test_an_absent_recording_and_an_unset_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TutelageError, match="cannot read the recorded replies"):
        list(open_model(f"recorded:{tmp_path}/none.jsonl").answer([chat()], Sampling()))
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    with pytest.raises(ConfigError, match="environment variable NOT_SET_ANYWHERE"):
        open_model("recorded:${NOT_SET_ANYWHERE}/x.jsonl")


def test_a_script_sees_chat_and_sample() -> None:
    from tutelage.models.scripted import Scripted

    (_, replies) = next(iter(Scripted(echo).answer([chat(sample=5)], Sampling(n=2))))
    assert [reply.text for reply in replies] == ["why? 5", "why? 6"]
    assert next(iter(Scripted(echo).answer([chat()], Sampling(max_tokens=1))))[1][0].finish == "length"


class Plain:
    """A model whose class has no constructor, and so no options."""

    name = "plain"

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        for index, _ in enumerate(chats):
            yield index, [Reply(text="no", finish="eos", model=self.name)] * sampling.n


def test_a_class_without_a_constructor_is_a_model_and_takes_nothing() -> None:
    assert open_model({"kind": f"{__name__}:Plain"}).name == "plain"
    with pytest.raises(ConfigError, match="has no option 'size'"):
        open_model({"kind": f"{__name__}:Plain", "size": 3})


def test_openai_without_a_key_says_where_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="environment variable OPENAI_API_KEY"):
        list(open_model("openai:gpt-4o-mini").answer([chat()], Sampling()))


def test_a_folder_is_a_student(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == {"kind": "hf", "name": str(tmp_path)}


@pytest.mark.parametrize(
    "price",
    [{"input": -1, "output": 1}, {"input": 1, "output": "-0.01"}, {"input": float("nan"), "output": 1}, {"input": "sNaN", "output": 1},
     {"input": 1, "output": float("inf")}, {"input": "1e999999", "output": 1}, {"input": True, "output": 1}, {"input": 1}, 3],
)  # fmt: skip
def test_a_price_is_a_number_that_can_be_one(price: object) -> None:
    with pytest.raises(ConfigError, match=r"price must be \{input: …, output: …\} in dollars a million tokens"):
        open_model({"kind": "openai", "name": "m", "price": price})


@pytest.mark.parametrize("value", [-1, 0, float("nan"), float("inf"), 86_401, "30", True, None])
def test_how_often_is_looked_is_seconds_of_a_day(value: object) -> None:
    with pytest.raises(ConfigError, match="poll must be seconds between two looks, above 0 and at most 86400"):
        open_model({"kind": "openai", "name": "m", "batch": True, "poll": value})


@pytest.mark.parametrize("name", ["timeout", "patience", "concurrency", "tries", "requests_per_minute"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 0, True, "5"])
def test_a_limit_is_a_number_above_nothing(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be a number above 0"):
        open_model({"kind": "openai", "name": "m", name: value})


@pytest.mark.parametrize(
    "url",
    ["http://user:x%40127.0.0.1%3A9101%2Fok@127.0.0.1:9100/ok/v1", "http://user:p%2Fw@host/v1", "https://u:a%3Fb@host/v1",
     "http://host%2F@other/v1", "http://u:p%23x@host/v1", "HTTP://u:p%2Fw@host/v1", "http://ho%73t/v1"],
)  # fmt: skip
def test_an_address_in_a_spec_is_one_address(url: str) -> None:
    with pytest.raises(ConfigError, match="names another server once its %XX are undone") as error:
        parse(f"openai:m?base_url={url}")
    assert url not in str(error.value)


@pytest.mark.parametrize(
    "written",
    ["http://user:x%2540127.0.0.1%253A1%252Fok@host:91/v1", quote("http://user:x%40127.0.0.1%3A1%2Fok@host:91/v1"),
     quote("http://user:x%40127.0.0.1%3A1%2Fok@host:91/v1", safe="")],
)  # fmt: skip
def test_one_that_is_encoded_in_a_spec_is_what_was_encoded(written: str) -> None:
    address = hiding.address_with_secrets(parse(f"openai:m?base_url={written}")["base_url"])
    assert address.url == "http://host:91/v1"
    assert address.user == ("user", "x@127.0.0.1:1/ok")


SECRET = "Zx81kdQ9mWv3LpTy70cc"


@pytest.mark.parametrize("kind", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("named", [False, True])
def test_a_key_of_the_environment_goes_to_its_own_server_or_where_it_is_named(
    kind: str, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip({"anthropic": "anthropic", "google": "google.genai"}.get(kind, "openai"))
    variable = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "google": "GEMINI_API_KEY"}[kind]
    monkeypatch.setenv(variable, SECRET)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with teaching(lambda messages: "yes") as teacher:
        url = teacher.url if kind == "openai" else teacher.url.removesuffix("/v1")
        spec = {"kind": kind, "name": "m", "base_url": url, **({"key": variable} if named else {})}
        ((_, (reply,)),) = open_model(spec).answer([chat()], Sampling())
        assert reply.text == "yes"
        assert (SECRET in str(teacher.headers)) is named
    says = f"check the key .{variable}." if named else f"no key was sent: if the server wants one, .* key: {variable}"
    with teaching(faults=lambda number, body: "401") as teacher:
        url = teacher.url if kind == "openai" else teacher.url.removesuffix("/v1")
        with pytest.raises(ModelError, match=says):
            list(open_model({**spec, "base_url": url}).answer([chat()], Sampling()))


def test_an_address_of_the_environment_is_meant_for_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with teaching(lambda messages: "yes") as teacher:
        monkeypatch.setenv("OPENAI_BASE_URL", teacher.url)
        list(open_model("openai:m").answer([chat()], Sampling()))
        list(open_model({"kind": "openai", "name": "m", "base_url": f"{teacher.url}/"}).answer([chat()], Sampling()))
        assert [headers["authorization"] for headers in teacher.headers] == [f"Bearer {SECRET}"] * 2
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        list(open_model({"kind": "openai", "name": "m", "base_url": teacher.url}).answer([chat()], Sampling()))
        assert SECRET not in str(teacher.headers[2:])


@pytest.mark.parametrize(
    ("url", "home"),
    [
        ("https://api.openai.com/v1", True),
        ("https://eu.api.openai.com/v1", True),
        ("https://API.openai.com./v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.evil.example/v1", False),
        ("https://xapi.openai.com/v1", False),
        ("https://api.openai.com@evil.example/v1", False),
        ("http://localhost:8000/v1", False),
    ],
)
def test_which_server_is_the_providers_own(url: str, home: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert (OpenAICompatible("m", base_url=url).servers.secret == SECRET) is home


@pytest.mark.parametrize("kind", LOCAL)
def test_what_local_models_take_is_what_is_written_down(kind: str) -> None:
    taken = list(inspect.signature(factory_of(kind).__init__).parameters)
    assert taken[1:] == list(LOCAL[kind])


def test_a_spec_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text("{kind: vote, of: 'worked:', n: 3}")
    assert parse(str(file)) == parse({"kind": "vote", "of": "worked:", "n": 3})
    assert parse({"kind": "vote", "of": str(file)})["of"] == parse(str(file))
    file.write_text(f"{{kind: vote, of: {file}}}")
    with pytest.raises(ConfigError, match="does it hold itself"):
        parse(str(file))
    with pytest.raises(ConfigError, match="cannot read .*none.yaml: No such file"):
        parse(str(tmp_path / "none.yaml"))
    file.write_text("- worked")
    with pytest.raises(ConfigError, match=r"small\.yaml"):
        parse(str(file))
