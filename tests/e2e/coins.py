"""Coin flips, and a teacher's script that knows their answers: it reasons, and it corrects in two wordings."""

from tutelage.tasks.catalog import find_task

TASK = "coin_flip?size=100"
ANSWERS = {q.text: q.answer for split in ("train", "dev", "test") for q in find_task(TASK).load(split)}


def teach(messages: list[dict[str, str]]) -> str:
    """The right answer to any question of the task, in the form that is asked for."""
    text = messages[0]["content"]
    answer = next(answer for question, answer in ANSWERS.items() if question in text)
    if "<solution>" in text:
        ways = "".join(f"<solution>Count {way}. The answer is {answer}.</solution>" for way in ("them", "again"))
        return f"<error>A flip was missed.</error>{ways}"
    return f"Count. The answer is {answer}."
