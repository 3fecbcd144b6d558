"""The model card: what a student can do, with n and intervals, how it was made, and how it is used."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tutelage.evaluation.scoreboard import Score, score
from tutelage.exporting.checking import Checked
from tutelage.exporting.lessons import Taught, counted, named_teachers
from tutelage.exporting.source import Source
from tutelage.markup import Markup, block, front_matter, literal, plain, table
from tutelage.recipes import RECIPES
from tutelage.training.settings import USUAL, objective_choices
from tutelage.types import JsonObject

# Short names of packaged students -> where they come from, and the licence that their file states.
_PACKAGED = {"smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")}


class Written(NamedTuple):
    """What an export holds, for its card."""

    name: str
    dtype: str
    parameters: int
    taught: Taught
    checked: Checked | None
    gguf: Path | None


def card_text(source: Source, written: Written) -> str:
    """The model card as markdown with its YAML head."""
    scores = {title: score(attempts) for title, attempts in source.run.exams().items()}
    parts = [
        f"# {plain(written.name)}",
        f"{plain(source.name('student'))}, taught to reason step by step about the task {plain(_task(source))} by "
        f"{named_teachers(source)} with Tutelage, recipe "
        f"{plain(source.setting('recipe'))}. It writes its reasoning and then `--> ANSWER`.",
        "## What it can do",
        f"{scores[source.title].questions} questions of the split {plain(source.split)}{_untaught(source)}; "
        "intervals at 95 %. This student is in bold; the others are there to compare it with. "
        "What its lessons share with these questions is said in [lessons/](lessons/README.md).",
        _exams(source, scores),
        _check(written.checked),
        "## How to use it",
        _usage(source, written),
        "## How it was made",
        table(["", ""], _making(source, written)),
        "## Limits",
        "It was examined on questions of the one task above, and nothing is known about others. It is a small model: it "
        "states wrong steps and wrong answers as surely as right ones. Keep to the format above, greedily, as in the exam.",
    ]
    return f"{front_matter(_head(source, written, scores[source.title]))}\n" + "\n\n".join(parts) + "\n"


def _head(source: Source, written: Written, score: Score) -> JsonObject:
    base, licence = _origin(source)
    head: JsonObject = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    head |= {"base_model": base, "base_model_relation": "finetune"} if base else {}
    head |= {"license": licence} if licence else {}
    head["tags"] = ["tutelage", "distillation", "reasoning", "chain-of-thought"]
    metrics = [
        {"type": "accuracy", "value": round(score.accuracy, 4), "name": _interval(score)},
        {"type": "unread", "value": round(score.unread, 4), "name": "share of answers that could not be read"},
    ]
    result = {
        "task": {"type": "text-generation", "name": "questions with one right answer"},
        "dataset": {"type": source.task.name, "name": _task(source), "split": source.split},
        "metrics": metrics,
    }
    return {**head, "model-index": [{"name": written.name, "results": [result]}]}


def _origin(source: Source) -> tuple[str, str]:
    """The hub id of the model it began as, and its licence, as far as they are known."""
    name = source.name("student").partition(":")[2]
    if name in _PACKAGED:
        return _PACKAGED[name]
    return (name, "") if name.count("/") == 1 else ("", "")


def _interval(score: Score) -> str:
    return f"accuracy, 95 % interval {score.low:.3f} to {score.high:.3f}, n={score.questions}"


def _task(source: Source) -> str:
    named = source.setting("task")
    options = {key: value for key, value in named.items() if key != "name"} if isinstance(named, dict) else {}
    name = str(named["name"] if isinstance(named, dict) else named)
    shown = ", ".join(f"{key}={value}" for key, value in options.items() if key != "path")
    return f"{name} ({shown})" if shown else name


def _untaught(source: Source) -> str:
    return ", none of which was taught" if source.setting("questions.copies") == "drop" else ""


def _exams(source: Source, scores: dict[str, Score]) -> str:
    rows = []
    for title, found in scores.items():
        samples = f" x {found.samples}" if found.samples > 1 else ""
        rows.append(
            (
                Markup(f"**{plain(title)}**") if title == source.title else title,
                f"{found.accuracy:.1%}",
                f"{found.low:.1%} to {found.high:.1%}",
                f"{found.strict:.1%}",
                f"{found.questions}{samples}",
                f"{found.unread:.1%}",
                f"{found.truncated:.1%}",
            )
        )
    return table(["exam", "accuracy", "95 % interval", "read strictly", "n", "unread", "cut off"], rows)


def _check(checked: Checked | None) -> str:
    if checked is None:
        return "Not checked: the files of this export were not examined again."
    first, *more = checked.lines()
    which = f"These very files were asked {checked.questions} of the exam's {checked.of} questions again: {first}."
    return " ".join([which, *more])


def _usage(source: Source, written: Written) -> str:
    asked = {attempt.question for attempt in source.attempts}
    question = next((q for q in source.task.load(source.split) if q.id in asked), None)
    said = source.task.ask(question).messages[-1].content if question else "…"
    code = f"""from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained({literal(written.name)})  # this folder, or its id on the hub
tokenizer = AutoTokenizer.from_pretrained({literal(written.name)})
messages = [{{"role": "user", "content": {literal(said)}}}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
reply = model.generate(**prompt)  # greedy and with the right stop tokens: generation_config.json says so
print(tokenizer.decode(reply[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))"""
    parts = [block(code, "python")]
    if reply := next((one.text for one in source.attempts if question and one.question == question.id), ""):
        parts += ["In its exam it answered:", block(reply)]
    if written.gguf:
        file = written.gguf.name
        parts.append(
            f"`{file}` is the same student for llama.cpp (`llama-cli -m {file} --jinja --temp 0`) and, with the `Modelfile`, "
            "for Ollama (`ollama create NAME -f Modelfile`)."
        )
    return "\n\n".join(parts)


def _recipe(source: Source) -> str:
    name = str(source.setting("recipe"))
    return RECIPES[name][1] if name in RECIPES else name


def _making(source: Source, written: Written) -> list[tuple[object, object]]:
    facts, lora = source.run.facts, source.setting("training.lora")
    versions = {name: number for name, number in facts.get("versions", {}).items() if number != "not installed"}
    four = ", trained on the base in four bits (NF4)" if lora and lora.get("base") == "nf4" else ""
    how = f"LoRA of rank {lora['r']}{four}, merged here" if lora else "all weights"
    told = (("epochs", "epochs"), ("batch", "batch"), ("learning_rate", "learning rate"))
    how += "".join(
        f", {name} {value:g}" for key, name in told if (value := source.setting(f"training.{key}")) is not None
    )
    later = f"; later rounds {source.setting('later')}" if source.setting("later") else ""
    return [
        ("recipe", _recipe(source)),
        ("teachers" if len(source.teachers()) > 1 else "teacher", ", ".join(source.teachers())),
        ("student", f"{source.name('student')}, {written.parameters:,} parameters"),
        ("this one is", source.why() or source.title),
        ("lessons of the run", Markup(f"{plain(counted(written.taught))}, in [lessons/](lessons/README.md)")),
        ("training", how + later),
        *_objective(source),
        ("weights", f"safetensors, {written.dtype}"),
        ("seed", source.setting("seed")),
        ("begun", facts.get("started", "unknown")),
        ("exported", datetime.now(UTC).date().isoformat()),
        ("versions", ", ".join(f"{name} {number}" for name, number in versions.items()) or "unknown"),
    ]


def _objective(source: Source) -> list[tuple[object, object]]:
    """What was minimised, where it is not the usual."""
    told: list[tuple[object, object]] = []
    for key, title in (("training.objective", "objective"), ("later.objective", "objective of later rounds")):
        chosen = objective_choices(source.setting(key, USUAL))
        named = [
            f"{one.name}, weight {one.weight:g}" if len(chosen) > 1 or one.weight != 1 else one.name for one in chosen
        ]
        options = [", ".join(f"{name} {value}" for name, value in one.options.items()) for one in chosen]
        line = "; ".join(f"{name} ({more})" if more else name for name, more in zip(named, options, strict=True))
        told += [(title, line)] if line != USUAL else []
    return told
