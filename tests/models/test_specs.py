"""Models are named by specs, and a wrong one is told from the nearest right one."""

import inspect
import json
from pathlib import Path

import pytest

from tutelage.errors import ConfigError, DataError, ModelError, TutelageError
from tutelage.models import open_model, parse, specs
from tutelage.types import Chat, Message, Sampling


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
    assert (first.text, first.finish, second.text) == ("One and one.", "stop", "2.")
    (_, (both,)) = next(iter(model.answer([chat(purpose="exam")], Sampling())))
    assert (both.text, both.finish) == ("One and one. Therefore, the answer is 2.", "stop")


@pytest.mark.parametrize(("text", "finish"), [("It is 3", "length"), ("It is 3.", "stop"), ("(so it is)", "stop")])
def test_recorded_text_without_an_end_was_cut(tmp_path: Path, text: str, finish: str) -> None:
    model = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': text})}")
    assert next(iter(model.answer([chat()], Sampling())))[1][0].finish == finish
    told = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': text, 'finish_reason': 'stop'})}")
    assert next(iter(told.answer([chat()], Sampling())))[1][0].finish == "stop"


def test_a_missing_recording_is_an_error(tmp_path: Path) -> None:
    model = open_model(f"recorded:{recorded(tmp_path, {'id': 1, 'reply': ['a.', 'b.']})}")
    with pytest.raises(ModelError, match="no reply for question '2'"):
        list(model.answer([chat("2")], Sampling()))
    with pytest.raises(ModelError, match=r"holds 2 sample.*sample 3 was asked"):
        list(model.answer([chat()], Sampling(n=3)))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["{oops"], r"replies\.jsonl:1 is not JSON"),
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


def test_openai_without_a_key_says_where_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ModelError, match="environment variable OPENAI_API_KEY"):
        list(open_model("openai:gpt-4o-mini").answer([chat()], Sampling()))


def test_a_folder_is_a_student(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == {"kind": "hf", "name": str(tmp_path)}


@pytest.mark.parametrize("kind", specs.LOCAL)
def test_what_local_models_take_is_what_is_written_down(kind: str) -> None:
    taken = list(inspect.signature(specs.factory_of(kind).__init__).parameters)
    assert taken[1:] == list(specs.LOCAL[kind])
