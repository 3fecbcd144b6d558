"""A file of replies that is none, or that holds rows which cannot be read."""

import sqlite3
from pathlib import Path

import pytest

from tutelage.errors import RunError
from tutelage.runs.replies import ReplyCache
from tutelage.types import Reply

ASKED = b'{"model": "m", "messages": [["user", "?"]]}'


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda file: file.write_bytes(b"not a database, but long enough to be looked at" * 100), "not a database"),
        (lambda file: file.mkdir(), "it is a folder"),
        (lambda file: sqlite3.connect(file).execute("CREATE TABLE replies (a, b)").connection.commit(), "the columns a, b"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_replies_is_refused(tmp_path: Path, make: object, says: str) -> None:
    file = tmp_path / "replies.sqlite"
    make(file)  # type: ignore[operator]
    with pytest.raises(RunError, match=f"cannot use .*replies.sqlite as the file of teacher replies: .*(?:{says})"):
        ReplyCache(file)


@pytest.mark.parametrize("broken", [b"{", b"[]", b'{"text": 5}', b"\xff\xfe", b"[" * 100_000, "text", None, 7])
def test_a_broken_row_is_said_and_gives_way(tmp_path: Path, broken: object) -> None:
    file, said = tmp_path / "replies.sqlite", list[str]()
    store = ReplyCache(file, said.append)
    store.put("good", ASKED, Reply(text="yes"))
    store._connection.execute("CREATE TABLE loose (key, request, reply, saved, raw)")
    store._connection.execute("DROP TABLE replies")
    store._connection.execute("ALTER TABLE loose RENAME TO replies")
    store._connection.execute("INSERT INTO replies VALUES ('bad', ?, ?, 0, x'')", (ASKED, broken))
    store._connection.commit()
    assert store.get_many(["bad", "none"]) == {}
    assert store.get_many(["bad"]) == {}
    assert len(said) == 1
    assert "the reply bad in" in said[0]
    assert list(store.rows()) == []
    store.put("bad", ASKED, Reply(text="again"))
    assert store.get_many(["bad"])["bad"].text == "again"
    assert [row.reply.text for row in store.rows()] == ["again"]
