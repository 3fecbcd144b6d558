"""What a model does not take: which refusals say so, and what becomes of a reply that was drawn otherwise than wanted."""

from pathlib import Path
from typing import Any

import pytest
from tests.server import reasoning, teaching

from tutelage.models.opening import Context, open_model
from tutelage.models.remote.adapting import Refusal, cut, refusal, refused
from tutelage.runs.replies import ReplyCache
from tutelage.types import Chat, Message, Reply, Sampling

SENT = {"temperature": 0.7, "top_p": 0.9, "seed": 0, "stop": ["\nQ:"]}
CHAT = [Chat(messages=(Message("user", "What is 2 + 2?"),))]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
         "temperature"),
        ("Unsupported parameter: 'stop' is not supported with this model.", "stop"),
        ("Unrecognized request argument supplied: seed", "seed"),
        ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", "top_p"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("Error code: 422 - {'detail': [{'type': 'extra_forbidden', 'loc': ['body', 'seed'], 'msg': 'Extra inputs are "
         "not permitted'}]}", "seed"),
        ("top_k is not supported", ""),  # it was not sent
        ("This model's maximum context length is 4096 tokens; you asked for 5000 (1000 in max_tokens)", ""),
        ("temperature must be between 0 and 1", ""),  # a value of the user's that the user should hear of
        ("The model was asked to stop: unsupported content in the prompt", ""),
        ("Unsupported role: 'developer'", ""),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_it_is_about(message: str, field: str) -> None:
    assert refused(refusal(message), SENT) == field


def test_where_the_server_names_the_parameter_its_words_do_not_matter() -> None:
    assert refused(Refusal("", "Unsupported parameter beside 'temperature'", ("top_p",)), SENT) == "top_p"
    assert refused(Refusal("", "Unsupported value of 'temperature'", ("messages[0].role",)), SENT) == ""


def test_a_reply_is_cut_at_the_first_stop() -> None:
    reply = Reply(text="4.\nQ: next\nA: 5", finish="length", tokens_out=9)
    assert cut(reply, Sampling(stop=("\nA:", "\nQ:"))) == Reply(text="4.", tokens_out=9)
    assert cut(reply, Sampling(stop=("###",))) == reply


def ask(url: str, store: ReplyCache, chats: list[Chat], said: list[str], **more: Any) -> list[Reply]:
    model = open_model(
        {"kind": "openai", "name": "o", "base_url": url, **more}, context=Context(store, say=said.append)
    )
    return [replies[0] for _, replies in sorted(model.answer(chats, Sampling(max_tokens=9)))]


def test_a_reply_drawn_otherwise_is_never_handed_out_as_one_drawn_as_wanted(tmp_path: Path) -> None:
    store, said = ReplyCache(tmp_path / "r.sqlite"), list[str]()
    strict = True
    with teaching(faults=lambda number, body: reasoning(number, body) if strict else "") as teacher:
        (drawn,) = ask(teacher.url, store, CHAT, said)
        ask(teacher.url, store, CHAT, said)
        assert len(teacher.answered) == 1
        strict = False
        store._connection.execute(
            "DELETE FROM adaptations"
        )  # the server takes everything now, and nobody says otherwise
        store._connection.commit()
        (wanted,) = ask(teacher.url, store, CHAT, said)
        assert len(teacher.answered) == 2
        assert teacher.answered[-1]["temperature"] == 0
        assert wanted.key != drawn.key
        strict = True  # and no longer: what was drawn as wanted is still the answer
        other = [Chat(messages=(Message("user", "And 3 + 3?"),))]
        ask(teacher.url, store, other, said)
        assert ask(teacher.url, store, [*CHAT, *other], said)[0] == wanted
        assert len(teacher.answered) == 3
    store.close()


def test_what_the_user_sets_is_not_taken_away(tmp_path: Path) -> None:
    """A field of `extra` is the user's own wish: that it is refused is an error of the row, and nothing is left out."""
    store = ReplyCache(tmp_path / "r.sqlite")
    with teaching(faults=lambda number, body: "unsupported seed" if body.get("seed") == 7 else "") as teacher:
        (reply,) = ask(teacher.url, store, CHAT, [], extra={"seed": 7})
        assert "not supported with this model" in reply.error
        assert len(teacher.requests) == 1
    store.close()


def test_pruning_a_model_forgets_what_it_did_not_take(tmp_path: Path) -> None:
    store, said = ReplyCache(tmp_path / "r.sqlite"), list[str]()
    with teaching(faults=reasoning) as teacher:
        ask(teacher.url, store, CHAT, said)
        assert store.adapted(f"openai:o@{teacher.url}")["max_tokens"] == "max_completion_tokens"
        store.prune(model="openai:o@")
        assert not store.adapted(f"openai:o@{teacher.url}")
    store.close()
