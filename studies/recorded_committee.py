"""Three recorded teachers of SVAMP, their remarks, solutions and scores of each other, as a task and as models of one's own.

The replies are those of GPT, Gemini and Mistral that were published with Li et al. (2024) for questions which Llama-2-7B-chat got wrong; they are
no part of this project. `folder` holds committee/svamp.rationale.jsonl and committee/svamp.feedback.jsonl, `svamp` is a copy of the data set.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.config import expand_path
from tutelage.errors import DataError
from tutelage.grading.answers import READERS
from tutelage.tasks.task import Task
from tutelage.types import Chat, Question, Reply, Sampling

NAMES = ("gpt", "gemini", "mistral")


@cache
def _rows(folder: str) -> dict[str, dict[str, Any]]:
    """What all of them said, by the words of the question."""
    told: dict[str, dict[str, Any]] = {}
    for kind in ("rationale", "feedback"):
        file = expand_path(folder) / "committee" / f"svamp.{kind}.jsonl"
        if not file.is_file():
            raise DataError(
                f"there is no {file}: set TUTELAGE_DATA to the folder of the data sets, beside which `recorded` lies"
            )
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            told.setdefault(_words(row["question"]), {}).update(row)
    return told


def _words(text: str) -> str:
    return " ".join(text.lower().split())


def questions(folder: str, svamp: str) -> Task:
    """SVAMP's test questions, and of its training questions those that the committee was asked; the others are dev.

    What the committee said of test questions is not used.
    """
    known = _rows(folder)
    found: dict[str, list[Question]] = {"train": [], "dev": [], "test": []}
    for line in Path(expand_path(svamp)).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        split = row["split"] if row["split"] == "test" or _words(row["question"]) in known else "dev"
        one = Question(id=f"svamp-{row['id']}", text=row["question"], answer=row["answer"], split=split)
        found[split].append(one)
    read, same = READERS["number"]
    return Task(
        name="svamp_committee", kind="number", splits=tuple(found), load=found.__getitem__, read=read, same=same
    )


class Member:
    """One of the three: says what is wrong with the recorded mistake, solves, or scores another's solution."""

    def __init__(self, who: str, folder: str) -> None:
        if who not in NAMES:
            raise DataError(f"no recorded teacher {who!r}: {', '.join(NAMES)}")
        self.name, self._who, self._folder = f"recorded-{who}", who, folder

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """What it said, as whole text; what it never was asked is a failure."""
        rows = _rows(self._folder)
        for index, chat in enumerate(chats):
            asked = _words(chat.messages[-1].content)
            row = next((row for words, row in rows.items() if words in asked), None)
            text = self._said(chat, row) if row else None
            said = (
                Reply(text=text, finish="eos", model=self.name)
                if text
                else Reply(text="", finish="error", error="not recorded")
            )
            yield index, [said] * sampling.n

    def _said(self, chat: Chat, row: dict[str, Any]) -> str | None:
        if chat.purpose == "explain":
            return str(row[f"{self._who}_feedback"])
        if chat.purpose != "review":
            return str(row[f"{self._who}_rationale"][0])
        shown = re.sub(r"^> ?", "", chat.messages[-1].content, flags=re.MULTILINE)
        for author in (name for name in NAMES if name != self._who):
            solution, *scores = row[f"{author}_rationale"]
            if _words(solution) in _words(shown):
                place = [name for name in NAMES if name != author].index(self._who)
                return f"[{scores[place]}]" if place < len(scores) else None
        return None
