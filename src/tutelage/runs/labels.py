"""What the steps of a run are: labels as they are written, and those of runs from before there were any."""

from collections.abc import Mapping

import msgspec

from tutelage.types import JsonObject, Label

Labels = Mapping[str, Label]  # by step


def label_as_json(label: Label) -> JsonObject:
    """A label as JSON."""
    told: JsonObject = msgspec.to_builtins(label)
    return told


def labelled(label: Label | None) -> JsonObject:
    """What a step's note holds of its label."""
    return {} if label is None else {"label": label_as_json(label)}


def read_label(told: object) -> Label | None:
    """A label from JSON; None where there is none that can be read."""
    try:
        return msgspec.convert(told, Label)
    except msgspec.ValidationError:
        return None


def round_of(step: str) -> int | None:
    """The round that a step's name begins with, as in "2-exam"."""
    number, dash, _ = step.partition("-")
    return int(number) if dash and number.isdecimal() else None


def student(after: int) -> str:
    """Which of a run's students it is."""
    return f"after round {after}" if after else "as it came"


# ---- version 0.1 wrote no labels: what its three recipes called their steps

_ALONE: dict[str, tuple[str, str, int | None]] = {
    "zero_shot": ("exam", "student", 0),
    "zero_shot_cot": ("exam", "baseline", 0),
    "few_shot_cot": ("exam", "baseline", 0),
    "fine_tune": ("exam", "baseline", None),
    "finetune_cot": ("exam", "student", 1),
    "exam": ("exam", "student", 0),
    "teacher": ("exam", "teacher", None),
    "rationales": ("rationales", "teacher", 1),
    "lessons": ("lessons", "teacher", 1),
    "answers-student": ("training", "baseline", None),
}
# Of a round: what it is, who made it, how a reader is told of it, and how many rounds of teaching lie behind a student.
_IN_A_ROUND: dict[str, tuple[str, str, str, int]] = {
    "exam": ("exam", "student", "training questions", -1),
    "review": ("review", "student", "taught questions again", 0),
    "dev": ("exam", "student", "dev questions", 0),
    "test": ("exam", "student", "test questions", 0),
    "student": ("training", "student", "", 0),
    "rationales": ("rationales", "teacher", "", 0),
    "votes": ("votes", "teacher", "", 0),
    "feedback": ("feedback", "teacher", "", 0),
    "lessons": ("lessons", "teacher", "", 0),
    "practice": ("lessons", "teacher", "", 0),
}


def guessed(step: str, inputs: Mapping[str, object], config: Mapping[str, object]) -> Label:
    """The label of a step that has none, by its name and by what it was made from."""
    number, name = round_of(step), step.partition("-")[2]
    if step == "student":  # awarded, or trained in a recipe of one round
        return Label(kind="training" if "lessons" in inputs else "award", round=1 if "lessons" in inputs else None)
    if number is not None and name in _IN_A_ROUND:
        kind, who, what, behind = _IN_A_ROUND[name]
        title = f"{what}, {student(number + behind)}" if what else _by_the_teacher(kind, name, number)
        return Label(kind=kind, who=who, round=number + behind, split=_split(name, config), title=title)
    kind, who, after = _ALONE.get(step, (_kind(inputs), "baseline", number))
    return Label(kind=kind, who=who, round=after)


def _split(name: str, config: Mapping[str, object]) -> str:
    splits = config.get("questions")
    known: Mapping[str, object] = splits if isinstance(splits, Mapping) else {}
    split = {"exam": "train", "review": "train", "dev": "dev", "test": "test"}.get(name, "")
    return str(known.get(split) or split)


def _by_the_teacher(kind: str, name: str, number: int) -> str:
    return f"teacher's {name} in round {number}" if kind in ("rationales", "votes") else ""


def _kind(inputs: Mapping[str, object]) -> str:
    kinds = {"paper": "exam", "chats": "feedback", "training": "training"}
    return next((kind for key, kind in kinds.items() if key in inputs), "lessons")


def promised_by_0_1(config: Mapping[str, object]) -> dict[str, Label]:
    """The exams of the final table of a run whose run.json promises none, by its config."""
    names = {"zero_shot": "zero-shot", "zero_shot_cot": "zero-shot-CoT", "few_shot_cot": "few-shot-CoT", "fine_tune": "fine-tune"}  # fmt: skip
    asked, training = config.get("baselines"), config.get("training")
    asked = asked if isinstance(asked, list) else []
    training = training if isinstance(training, Mapping) else {}
    rounds = config.get("rounds", 0)
    rounds = min(rounds, 1000) if isinstance(rounds, int) else 0
    taught = {"exam": "exam"} if config.get("recipe") == "exam" else {"finetune_cot": "Fine-tune-CoT"}
    if config.get("recipe") == "tailored":
        taught = {f"{number}-test": f"tailored, round {number}" for number in range(1, rounds + 1)}
        if training.get("reflection") is None and not training.get("prompt_weight"):
            taught["1-test"] = "Fine-tune-CoT (round 1)"  # plain rationales and nothing else
    ours = {step: title for step, title in names.items() if step in asked} | taught
    titles = {**ours, **({"teacher": "teacher"} if "teacher" in asked else {})}
    split = str(config.get("split") or _split("test", config))
    told = {step: guessed(step, {"paper": ""}, config) for step in titles}
    return {step: msgspec.structs.replace(told[step], title=title, split=split) for step, title in titles.items()}
