"""A model that answers from a file of replies somebody recorded, or from a published set of traces."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.config import expand_path
from tutelage.errors import DataError, ModelError, nearest
from tutelage.models.worked import words_of
from tutelage.rows import HubRows, RowStore
from tutelage.types import Chat, Finish, JsonObject, Reply, Sampling

# Without a finish reason, text that does not end like this was probably cut off.
_ENDS = (".", "!", "?", '"', ")", "]", "}", "$", "*")
_TURNS = ("messages", "conversations")  # what published sets call the turns of a conversation
_SAYS = {"assistant", "gpt", "model"}
_ASKS = {"user", "human"}

_Place = tuple[int, int]


class Recorded:
    """Answers from JSON lines, CSV or Parquet, a file or a folder of them; a question or sample that is not there is an error.

    Each row has `id` and either `reply` (a text, a list of samples, or the turns of a conversation), or the two-call form of
    zero-shot-CoT: `rationale` and `answer_reply`. Where `question` names the column of the question's text, or turns stand in
    `messages` or `conversations` and there is no `id`, rows are found by that text, and several rows of one are its samples.
    `reply` and `thinking` name other columns. `finish_reason` ("stop" or "length") is used where it is given; otherwise a reply
    that does not end as a text does counts as cut off, unless its thinking came to an end.
    """

    def __init__(
        self,
        name: str = "",
        path: str = "",
        hub: str = "",
        config: str = "",
        split: str = "train",
        question: str = "",
        reply: str = "",
        thinking: str = "",
    ) -> None:
        """Of a file or folder at `path` (or `name`), or of a data set of the hub."""
        self.path = Path(hub) if hub else expand_path(path or name)
        self.name = f"recorded:{hub or self.path.name}"
        self._open = (lambda: HubRows(hub, config or None, split)) if hub else (lambda: RowStore(self.path))
        self._columns = {"question": question, "reply": reply, "thinking": thinking}
        self._store: RowStore | HubRows | None = None
        self._by_id: dict[str, _Place] = {}
        self._by_text: dict[bytes, list[_Place]] = {}

    def read(self) -> RowStore | HubRows:
        """The file's rows, read and checked once; what is long is read again when it is asked for."""
        if self._store is None:
            try:
                store = self._open()
                for place, where, row in store.scan():
                    self._add(place, where, row)
            except OSError as error:
                raise DataError(f"cannot read the recorded replies {self.path}: {error.strerror}") from error
            self._store = store
        return self._store

    def _add(self, place: _Place, where: str, row: JsonObject) -> None:
        for option, column in self._columns.items():
            if column and column not in row:
                raise DataError(f"{where} has no field {column!r} for the {option}; {nearest(column, row)}")
        if not self._columns["question"] and "id" in row:
            self._check_reply(where, row)
            if str(row["id"]) in self._by_id:
                raise DataError(f"{where} repeats the id {row['id']!r}")
            self._by_id[str(row["id"])] = place
            return
        text = row[self._columns["question"]] if self._columns["question"] else _asked(row)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where} has no field 'id', and no question by whose text it could be found")
        self._check_reply(where, row)
        self._by_text.setdefault(_digest(text), []).append(place)

    def _check_reply(self, where: str, row: JsonObject) -> None:
        if self._replies_in(row) is None:
            raise DataError(
                f"{where} needs 'reply', 'messages' or 'conversations', or 'rationale' and 'answer_reply'; it has: {', '.join(row)}"
            )

    def _replies_in(self, row: JsonObject) -> str | None:
        """The column of the replies; empty for the two-call form."""
        if self._columns["reply"]:
            return self._columns["reply"]
        found = next((column for column in ("reply", *_TURNS) if column in row), None)
        return "" if found is None and {"rationale", "answer_reply"} <= row.keys() else found

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield the recorded replies; temperature and length are those of the recording."""
        store = self.read()
        places = [self._places(chat) for chat in chats]
        # In the order of the file, of which parts are read that hold many rows.
        for index in sorted(range(len(chats)), key=places.__getitem__):
            rows, chat = [store.read(place) for place in places[index]], chats[index]
            yield index, [self._reply(rows, chat, chat.sample + sample) for sample in range(sampling.n)]

    def _places(self, chat: Chat) -> list[_Place]:
        if chat.question in self._by_id:
            return [self._by_id[chat.question]]
        if found := self._by_text.get(_digest(chat.text)):
            return found
        raise ModelError(f"{self.path} holds no reply for question {chat.question!r}")

    def _reply(self, rows: Sequence[JsonObject], chat: Chat, sample: int) -> Reply:
        row = rows[0]
        column = self._replies_in(row)
        assert column is not None
        if column:
            said = [one for row in rows for one in self._samples(row, column)]
            text, thinking = self._pick(said, column, chat, sample)
            finish = _finish(row, text, "</think>" in text or bool(thinking and text))
        else:
            field = "answer_reply" if chat.purpose == "answer" else "rationale"
            text, thinking = self._pick([(one, "") for one in _listed(row[field])], field, chat, sample)
            finish = _finish(row, text, field == "answer_reply")
            if field == "rationale" and chat.purpose != "rationale":  # asked for in one call, recorded in two
                answers = [(one, "") for one in _listed(row["answer_reply"])]
                text = f"{text} Therefore, the answer is {self._pick(answers, 'answer_reply', chat, sample)[0]}"
        tokens = len(text.split()) + len(thinking.split())
        return Reply(
            text=text, thinking=thinking, finish=finish, tokens_in=words_of(chat), tokens_out=tokens, model=self.name
        )

    def _samples(self, row: JsonObject, column: str) -> list[tuple[str, str]]:
        """The replies of a row, each with what was thought apart from it."""
        texts = [_said(one) for one in _listed(row[column])]
        apart = _listed(row[self._columns["thinking"]]) if self._columns["thinking"] else []
        thoughts = [str(one or "") for one in apart] or [""] * len(texts)
        if len(thoughts) != len(texts):
            raise DataError(
                f"{self.path}: a row holds {len(texts)} replies in {column!r} and {len(thoughts)} texts in {self._columns['thinking']!r}"
            )
        return list(zip(texts, thoughts, strict=True))

    def _pick(self, samples: Sequence[tuple[str, str]], field: str, chat: Chat, sample: int) -> tuple[str, str]:
        if sample >= len(samples):
            raise ModelError(
                f"{self.path} holds {len(samples)} sample(s) of {field!r} for question {chat.question!r}; "
                f"sample {sample + 1} was asked for"
            )
        text, thinking = samples[sample]
        return text.strip(), thinking.strip()


def _digest(text: str) -> bytes:
    """Of a text, whatever its spaces and line ends."""
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _listed(value: object) -> list[Any]:
    """The samples of a field: a list of texts or of conversations; the turns of one conversation are one."""
    if isinstance(value, list) and not (value and isinstance(value[0], Mapping)):
        return value
    return [value]


def _turn(turn: Mapping[str, object]) -> tuple[str, str]:
    return str(turn.get("role", turn.get("from", ""))), str(turn.get("content", turn.get("value", "")))


def _said(value: object) -> str:
    """A reply: a text, or what was said last in a conversation."""
    if not isinstance(value, list):
        return str(value)
    return next((text for who, text in reversed([_turn(turn) for turn in value]) if who in _SAYS), "")


def _asked(row: Mapping[str, object]) -> str:
    """What was asked first in the turns of a row."""
    turns = next((row[column] for column in _TURNS if isinstance(row.get(column), list)), [])
    assert isinstance(turns, list)
    return next((text for who, text in map(_turn, turns) if who in _ASKS), "")


def _finish(row: Mapping[str, object], text: str, is_whole: bool) -> Finish:
    if "finish_reason" in row:
        return "length" if row["finish_reason"] == "length" else "eos"
    return "eos" if is_whole or text.endswith(_ENDS) else "length"
