"""A run's lessons as JSON lines in the forms that TRL trains on, and the card that says where they come from."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tutelage.exporting.source import Source, public
from tutelage.lessons import reflection
from tutelage.lessons.feedback import attempt_name
from tutelage.lessons.mistakes import mistakes
from tutelage.markup import Markup, plain, table
from tutelage.runs.history import ExamView
from tutelage.types import Attempt, JsonObject, Lesson

FORMS = {
    "prompt_completion.jsonl": "prompt-completion, in the paper's format `{question} ###` and ` {rationale} --> {answer}`; for models without a chat template",
    "chat.jsonl": "chat: one user turn, one assistant turn; whoever trains applies the model's own template",
    "preference.jsonl": "preference, as turns of a chat: the lesson is chosen, a wrong rationale of this student's is rejected",
}


class Taught(NamedTuple):
    """The lessons of a run, and what the student had answered wrongly."""

    lessons: list[Lesson]
    wrong: dict[str, dict[str, str]]  # question -> wrong rationale, written as a completion -> the attempt it was

    def pairs(self) -> Iterator[tuple[Lesson, str, str]]:
        """Every lesson with every different wrong rationale of its question, and that attempt's name."""
        for lesson in self.lessons:
            for text, attempt in self.wrong.get(lesson.question, {}).items():
                if text != lesson.completion:
                    yield lesson, text, attempt


def gather(source: Source) -> Taught:
    """Everything that was learned in a run, each lesson once, in the order in which it was taught."""
    lessons = reflection.merge((), sorted(source.run.lessons, key=lambda lesson: lesson.round or 1))
    wrong: dict[str, dict[str, str]] = {}
    for view in _on_training_questions(source):
        for mistake in _mistakes(source, view):
            if text := reflection.as_completion(mistake):
                wrong.setdefault(mistake.question, {}).setdefault(text, attempt_name(view.step, mistake))
    return Taught(lessons, wrong)


def _on_training_questions(source: Source) -> list[ExamView]:
    """The exams whose mistakes the rounds learned from: each round's first, of the student as the round before left it."""
    split = source.setting("questions.train", "train")
    ours = [view for view in source.run.exam_views if view.label.who == "student" and view.label.kind == "exam"]
    return [view for view in ours if view.label.split == split]


def _mistakes(source: Source, view: ExamView) -> list[Attempt]:
    sat = sorted(view.attempts, key=lambda attempt: (attempt.question, attempt.sample))
    return mistakes(sat, source.setting("mistakes.keep"))


def write_lessons(source: Source, taught: Taught, folder: Path) -> None:
    """Write the lessons in each form, and the card beside them."""
    folder.mkdir()
    _write(folder / "prompt_completion.jsonl", (_prompt_completion(lesson) for lesson in taught.lessons))
    _write(folder / "chat.jsonl", (_chat(lesson) for lesson in taught.lessons))
    if pairs := list(taught.pairs()):  # a file without rows is no data set
        _write(folder / "preference.jsonl", (_preference(*pair) for pair in pairs))
    (folder / "README.md").write_text(card(source, taught, len(pairs)), encoding="utf-8")


def _write(file: Path, rows: Iterable[JsonObject]) -> None:
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _prompt_completion(lesson: Lesson) -> JsonObject:
    # TRL joins the two as they are: the space and the mark keep question and answer apart.
    return {"prompt": f"{lesson.prompt} ###", "completion": f" {lesson.completion}", "tutelage": _provenance(lesson)}


def _chat(lesson: Lesson) -> JsonObject:
    return {
        "messages": [_turn("user", lesson.prompt), _turn("assistant", lesson.completion)],
        "tutelage": _provenance(lesson),
    }


def _preference(lesson: Lesson, wrong: str, attempt: str) -> JsonObject:
    return {
        "prompt": [_turn("user", lesson.prompt)],
        "chosen": [_turn("assistant", lesson.completion)],
        "rejected": [_turn("assistant", wrong)],
        "tutelage": {**_provenance(lesson), "rejected": attempt},
    }


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _provenance(lesson: Lesson) -> JsonObject:
    """Where a row comes from. The attempts stand in one text: a list that is empty in all early rows has no type."""
    return {
        "question": lesson.question,
        "kind": lesson.kind,
        "round": lesson.round,
        "sample": lesson.sample,
        "key": lesson.key,
        "attempts": ", ".join(lesson.attempts),
        **({"teacher": public(lesson.teacher)} if lesson.teacher else {}),
    }


def counted(taught: Taught) -> str:
    """How many lessons of which kind, in words."""
    counts = Counter(lesson.kind for lesson in taught.lessons)
    return f"{len(taught.lessons)} ({', '.join(f'{count} {kind}' for kind, count in counts.items())})"


def named_teachers(source: Source) -> str:
    """Who wrote the lessons, in words."""
    *others, last = source.teachers()
    return f"the teachers {plain(', '.join(others))} and {plain(last)}" if others else f"the teacher {plain(last)}"


def card(source: Source, taught: Taught, pairs: int) -> str:
    """The data card."""
    counts = Counter((lesson.round, lesson.kind) for lesson in taught.lessons)
    rows = [(number or "first lessons", kind, count) for (number, kind), count in sorted(counts.items())]
    files = [
        (Markup(f"`{name}`"), pairs if name.startswith("pref") else len(taught.lessons), Markup(form))
        for name, form in FORMS.items()
        if pairs or not name.startswith("pref")
    ]
    parts = [
        "# Lessons",
        f"What {plain(source.name('student'))} learned about the task {plain(source.task.name)} from "
        f"{named_teachers(source)}, made by the recipe {plain(source.setting('recipe'))} of Tutelage.",
        table(["file", "rows", "form"], files),
        table(["round", "kind", "lessons"], rows),
        ""
        if pairs
        else "There is no preference data: the run noted no mistakes of the student on questions it had lessons for.",
        "## How they were filtered",
        _filters(source),
        _accounts(source),
        _control(source),
        "## What they share with questions that are asked in exams",
        _contamination(source),
        "## Terms",
        _terms(source),
        "Each row's `tutelage` says which question it is about, in which round and of what kind it was made, which of the "
        "teacher's samples it is, the key of the request in the reply cache, the wrong attempts it answers, and who wrote "
        "it, where that is known.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _terms(source: Source) -> str:
    several = len(source.teachers()) > 1
    written, held = ("teachers", "each of them") if several else ("teacher", "that teacher")
    return (
        f"The texts were written by the {written} named above. The terms of use of {held}, and the licence of the data set "
        "that the questions come from, hold for them."
    )


def _filters(source: Source) -> str:
    lines = ["- rationale: kept where its answer is right, it is whole, and it repeats no other of its question"]
    if settings := source.setting("feedback"):
        lines.append("- feedback: written about a wrong attempt of the student's; kept where its answer is right")
        if settings.get("practice"):
            lines.append(
                f"- practice: a new exercise with its solution; kept where at least {settings['agree']} of {settings['votes']} "
                "fresh solutions of the teacher agree, and no exam holds it"
            )
    return "\n".join(lines)


def _accounts(source: Source) -> str:
    """What the run said about kept and dropped lessons."""
    return "\n".join(f"- step {plain(step.name)}: {plain(step.note)}" for step in source.run.of("lessons") if step.note)


def _control(source: Source) -> str:
    """What whoever trains on these lessons elsewhere must know of control tokens in their texts."""
    held = [one.facts for one in source.run.trainings if one.facts.get("control")]
    if not held:
        return ""
    return (
        f"Of the lessons of the last training {held[-1]['control']} hold what reads like a control token of the student's, "
        f"such as {plain(held[-1]['control_token'])}. Here it was learned as text; encode contents without special tokens "
        "elsewhere too, or it ends a turn there."
    )


def _contamination(source: Source) -> str:
    notes = source.run.notes("train")
    shown = {event["kind"]: event for event in source.run.events if event["event"] == "contamination"}
    kept = "left in" if source.setting("questions.copies") == "keep" else "left out"
    lines = [
        f"{plain(notes[-1])}. Training questions that are the same as a held-out one were {kept}."
        if notes
        else "Not looked for."
    ]
    for kind, event in shown.items():
        lines.append(
            f"- {plain(kind)}: {plain(event['question'])} and {plain(event['held_out'])}, {plain(event['text'])}"
        )
    return "\n".join(lines)
