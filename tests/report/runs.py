"""Run directories made by the store itself, with whatever texts a test wants in them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.lessons import feedback, replies
from tutelage.recipes.catalog import check_config
from tutelage.runs.run import Run
from tutelage.types import Attempt, Feedback, Lesson, Question, Verdict

FACTS = {"started": "2026-01-01T00:00:00+00:00", "command": "tutelage run c.yaml", "what": "a test"}


def config(**more: Any) -> dict[str, Any]:
    raw = {
        "recipe": "tailored",
        "task": "coin_flip",
        "preset": "paper",
        "rounds": 2,
        "baselines": ["zero_shot"],
        **more,
    }
    raw = {key: value for key, value in raw.items() if value is not None}
    return check_config(raw, "test").model_dump(mode="json")


def attempt(name: str, verdict: Verdict, text: str, **more: Any) -> Attempt:
    return Attempt(question=name, verdict=verdict, strict=verdict, text=text, answer="no", tokens_out=9, **more)


class Made:
    """A run that is written step by step."""

    def __init__(self, path: Path, questions: Sequence[Question], **more: Any) -> None:
        self.path = path
        self.run = Run.start(path, config(**more), FACTS)
        self.run.know(questions)

    def exam(self, step: str, attempts: Iterable[Attempt]) -> None:
        rows = list(attempts)
        self.run.records(step, Attempt, lambda kept: rows, {"paper": {"form": "taught"}, "model": "hf:x"})
        self.run.say(event="note", step=step, line=f"{len(rows)} attempts")

    def feedback(self, step: str, replies: Iterable[Feedback]) -> None:
        self.run.records(step, Feedback, lambda kept: list(replies), {"chats": []})

    def lessons(self, step: str, lessons: Iterable[Lesson]) -> None:
        self.run.records(step, Lesson, lambda kept: list(lessons), {"replies": []})

    def training(self, step: str, losses: Sequence[float]) -> None:
        facts: Mapping[str, Any] = {
            "lessons": 4, "steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1], "losses": list(losses),
            "tokens": 99, "seconds": 1.0, "active": 0.5, "reflection": [one / 10 for one in losses],
        }  # fmt: skip
        self.run.artifact(step, lambda folder: facts, {})

    def end(self) -> Path:
        self.run.say(event="done")
        self.run.close()
        return self.path


def story(path: Path, count: int = 6, text: str = "Count the flips.", rationales: bool = False, **more: Any) -> Made:
    """Two rounds on `count` training and as many test questions: the first is mended, the last is broken.

    `lesson` is what else the mending lesson says of itself.
    """
    lesson: dict[str, Any] = more.pop("lesson", {})
    names = [(split, i) for split in ("train", "test") for i in range(count)]
    questions = [
        Question(id=f"{split}-{i}", text=f"Coin {i}. {text}", answer="no", split=split, template=f"kind {i % 2}")
        for split, i in names
    ]
    made = Made(path, questions, **more)
    if rationales:  # the teacher's come before any exam of the student
        made.exam("rationales", [attempt(f"train-{i}", "right", f"Rational {text}") for i in range(count)])
    made.exam("zero_shot", [attempt(f"test-{i}", "unread", text) for i in range(count)])
    made.lessons("lessons", [Lesson(question=f"train-{i}", prompt=f"Coin {i}. {text}", completion=f"Rational {text}", kind="rationale", round=1) for i in range(count)])  # fmt: skip
    made.training("1-student", [2.0, 1.0, 0.5])
    made.exam("1-test", [attempt(f"test-{i}", "wrong" if i == 0 else "right", f"One step is bad, {text}") for i in range(count)])  # fmt: skip
    made.exam("2-exam", [attempt("train-0", "wrong", f"Before it. A bad step. {text}", key="k1")])
    named = (feedback.attempt_name("2-exam", attempt("train-0", "wrong", "")),)
    parts = replies.FeedbackParts(f'The step "A bad step" is wrong. {text}', (f"Good. {text}",), ())
    made.feedback("2-feedback", [Feedback(question="train-0", attempts=named, prompt=f"Please look. {text}", text=replies.write_feedback(parts), key="k2", tokens_out=50)])  # fmt: skip
    made.lessons("2-lessons", [Lesson(question="train-0", prompt=f"Coin 0. {text}", completion=f"Good. {text}", kind="feedback", round=2, attempts=named, key="k2", **lesson)])  # fmt: skip
    made.training("2-student", [0.6, 0.4])
    made.exam("2-review", [attempt("train-0", "right", f"Before it. A good step. {text}")])
    made.exam("2-test", [attempt(f"test-{i}", "wrong" if i == count - 1 else "right", f"Two. {text}") for i in range(count)])  # fmt: skip
    return made
