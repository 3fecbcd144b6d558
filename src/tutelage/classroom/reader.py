"""How a task reads and compares the replies to chats about its questions, for models that look at replies themselves."""

from collections.abc import Mapping

from msgspec.structs import replace

from tutelage.grading.verdicts import is_equal, readable, second_reply
from tutelage.tasks.task import Task
from tutelage.types import Chat, Question


class TaskReader:
    """Answers in replies, by the questions that were asked so far."""

    def __init__(self, task: Task, asked: Mapping[str, Question]) -> None:
        self.task = task
        self.asked = asked  # by id; may grow

    def read(self, chat: Chat, text: str) -> str | None:
        """The answer in a reply to a chat; None where it commits to none, or is about no question of the task."""
        question = self.asked.get(chat.question)
        if question is None:
            return None
        return readable(self.task, question, second_reply(text) if chat.purpose == "answer" else text)

    def same(self, chat: Chat, one: str, other: str) -> bool:
        """Whether two answers to a chat are one and the same: one is compared as if the other were gold.

        Nothing of the real gold may take part, or a vote would know the answer: a scorer that looks at more than the answer it
        is given compares nothing here, and the two are the same to the letter or not at all.
        """
        question = self.asked.get(chat.question)
        if question is None or one == other or not self.task.grades_inventions:
            return one == other
        return is_equal(self.task, replace(question, answer=other, facts={}, rationale=""), one)
