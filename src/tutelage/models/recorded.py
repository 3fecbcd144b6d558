"""A model that answers from a file of replies somebody recorded."""

from collections.abc import Iterator, Mapping, Sequence

from tutelage.config import expand_path
from tutelage.errors import DataError, ModelError
from tutelage.models.worked import words_of
from tutelage.parsing import Unreadable, json_value
from tutelage.types import Chat, Finish, Reply, Sampling

# Without a finish reason, text that does not end like this was probably cut off.
_ENDS = (".", "!", "?", '"', ")", "]")


class Recorded:
    """Answers by question id from JSON lines; a question or sample that is not there is an error.

    Each row has `id` and either `reply` (a string or a list of samples), or the two-call form of zero-shot-CoT:
    `rationale` and `answer_reply` (strings or lists). `finish_reason` ("stop" or "length") is used where it is given;
    otherwise a rationale that does not end in . ! ? " ) or ] counts as cut off.
    """

    def __init__(self, name: str = "", path: str = "") -> None:
        self.path = expand_path(path or name)
        self.name = f"recorded:{self.path.name}"
        self._rows: dict[str, Mapping[str, object]] | None = None

    def rows(self) -> dict[str, Mapping[str, object]]:
        """The file's rows by id, read and checked once."""
        if self._rows is None:
            try:
                content = self.path.read_text(encoding="utf-8")
            except OSError as error:
                raise DataError(f"cannot read the recorded replies {self.path}: {error.strerror}") from error
            self._rows = {}
            for number, line in enumerate(content.splitlines(), start=1):
                if line.strip():
                    self._add(number, line)
        return self._rows

    def _add(self, number: int, line: str) -> None:
        assert self._rows is not None
        place = f"{self.path}:{number}"
        try:
            row = json_value(line)
        except Unreadable as error:
            raise DataError(f"{place} is not JSON: {error}") from None
        if not isinstance(row, dict) or "id" not in row:
            raise DataError(f"{place} has no field 'id'")
        if "reply" not in row and not {"rationale", "answer_reply"} <= row.keys():
            raise DataError(f"{place} needs 'reply', or 'rationale' and 'answer_reply'; it has: {', '.join(row)}")
        if str(row["id"]) in self._rows:
            raise DataError(f"{place} repeats the id {row['id']!r}")
        self._rows[str(row["id"])] = row

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield the recorded replies; temperature and length are those of the recording."""
        for index, chat in enumerate(chats):
            yield index, [self._reply(chat, chat.sample + sample) for sample in range(sampling.n)]

    def _reply(self, chat: Chat, sample: int) -> Reply:
        row = self.rows().get(chat.question)
        if row is None:
            raise ModelError(f"{self.path} holds no reply for question {chat.question!r}")
        field = "reply" if "reply" in row else "answer_reply" if chat.purpose == "answer" else "rationale"
        text = self._sample(row, field, chat, sample)
        finish = _finish(row, text, field)
        if field == "rationale" and chat.purpose != "rationale":  # asked for in one call, recorded in two
            text = f"{text} Therefore, the answer is {self._sample(row, 'answer_reply', chat, sample)}"
        return Reply(text=text, finish=finish, tokens_in=words_of(chat), tokens_out=len(text.split()), model=self.name)

    def _sample(self, row: Mapping[str, object], field: str, chat: Chat, sample: int) -> str:
        value = row[field]
        samples = value if isinstance(value, list) else [value]
        if sample >= len(samples):
            raise ModelError(
                f"{self.path} holds {len(samples)} sample(s) of {field!r} for question {chat.question!r}; "
                f"sample {sample + 1} was asked for"
            )
        return str(samples[sample]).strip()


def _finish(row: Mapping[str, object], text: str, field: str) -> Finish:
    if "finish_reason" in row:
        return "length" if row["finish_reason"] == "length" else "eos"
    return "eos" if field == "answer_reply" or text.endswith(_ENDS) else "length"
