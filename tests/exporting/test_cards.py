"""Model card, data card and lessons: the run's own numbers, in forms that others read, whatever a text holds."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import tutelage
from tutelage import runner
from tutelage.exporting import lessons, source
from tutelage.exporting.folder import export
from tutelage.markup import block, front_matter, plain, table
from tutelage.runs import records
from tutelage.types import Attempt, Chat, Lesson

Finished = Callable[[str, str, bool], Path]
NASTY = "What is {} and {}?\n---\n| a | b |\n```python\nx\n````\n<script>alert(1)</script> `` [l](http://e) *b* # {{{{ \\ $1$"


@pytest.fixture(scope="module")
def tailored(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run with feedback and practice, and its export."""
    run = finished("tailored", "base", False)
    return run, export(run, tmp_path_factory.mktemp("cards") / "coins", check=4).path


def test_the_card_holds_the_runs_numbers(tailored: tuple[Path, Path]) -> None:
    from huggingface_hub import ModelCard

    run, out = tailored
    card = ModelCard.load(out / "README.md")
    awarded = source.read_source(run)
    score = runner.scores(run)[awarded.title]
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "text-generation")
    assert "base_model" not in card.data.to_dict()  # the student came from a folder
    results = {result.metric_type: result for result in card.data.eval_results or []}
    assert results["accuracy"].metric_value == round(score.accuracy, 4)
    assert f"{score.low:.3f} to {score.high:.3f}, n={score.questions}" in results["accuracy"].metric_name
    assert results["accuracy"].dataset_type == "coin_flip"
    for title, one in runner.scores(run).items():
        name = f"**{title}**" if title == awarded.title else title
        assert f"| {name} | {one.accuracy:.1%} | {one.low:.1%} to {one.high:.1%} | " in card.text
    assert awarded.why() in card.text
    assert "4 of 4 answers are the exam's to the letter" in card.text


@pytest.mark.parametrize(
    ("student", "base", "licence"),
    [
        ("hf:smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"),
        ("hf:Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", ""),
        ({"kind": "hf", "name": "/home/me/secret/model"}, "", ""),
    ],
)
def test_the_base_is_named_where_it_is_known(
    tailored: tuple[Path, Path], student: Any, base: str, licence: str
) -> None:
    from tutelage.exporting import model_card

    read = source.read_source(tailored[0])
    read = read._replace(run=replace(read.run, config={**read.run.config, "student": student}))
    written = model_card.Written("x", "float32", 1, lessons.gather(read), None, None)
    text = model_card.card_text(read, written)
    assert (f"base_model: {base}\n" in text) == bool(base)
    assert (f"license: {licence}\n" in text) == bool(licence)
    assert "secret" not in text


def test_the_lessons_are_those_the_student_learned_from(tailored: tuple[Path, Path]) -> None:
    run, _ = tailored
    taught = lessons.gather(source.read_source(run))
    inputs = json.loads((run / "2-student" / "step.json").read_text())["inputs"]
    assert len(taught.lessons) == inputs["lessons"]["records"]
    assert {lesson.kind for lesson in taught.lessons} == {"rationale", "feedback", "practice"}
    first = records.read_records(run / "lessons" / "records.jsonl", Lesson)
    assert taught.lessons[: len(first)] == first


def test_the_files_load_as_data_sets_and_trl_knows_their_forms(tailored: tuple[Path, Path]) -> None:
    from datasets import load_dataset

    run, out = tailored
    taught = lessons.gather(source.read_source(run))

    def rows(name: str) -> list[dict[str, Any]]:
        return list(load_dataset("json", data_files=str(out / "lessons" / f"{name}.jsonl"), split="train"))

    joined, chat, preference = rows("prompt_completion"), rows("chat"), rows("preference")
    assert [row["prompt"] + row["completion"] for row in joined] == [
        f"{lesson.prompt} ### {lesson.completion}" for lesson in taught.lessons
    ]
    assert [[turn["content"] for turn in row["messages"]] for row in chat] == [
        [lesson.prompt, lesson.completion] for lesson in taught.lessons
    ]
    assert [turn["role"] for turn in chat[0]["messages"]] == ["user", "assistant"]
    wrong = {
        f"2-exam/{one.question}#{one.sample}": one
        for one in records.read_records(run / "2-exam" / "records.jsonl", Attempt)
    }
    kept = Counter(row["tutelage"]["rejected"].partition("#")[0] for row in preference)
    assert len(preference) == len(list(taught.pairs())) > 0
    assert set(kept) <= {name.partition("#")[0] for name, one in wrong.items() if one.verdict == "wrong"}
    for row in preference:
        attempt = wrong[row["tutelage"]["rejected"]]
        assert attempt.question == row["tutelage"]["question"]
        assert row["rejected"][0]["content"].endswith(f" --> {attempt.answer}")
        assert row["chosen"][0]["content"] in {x.completion for x in taught.lessons if x.question == attempt.question}
    keys = {(row["tutelage"]["kind"], row["tutelage"]["round"]) for row in chat}
    assert keys == {("rationale", 0), ("feedback", 2), ("practice", 2)}


def test_trl_takes_the_forms(tailored: tuple[Path, Path]) -> None:
    trl = pytest.importorskip("trl", reason="needs trl")
    from transformers import AutoTokenizer

    _, out = tailored
    tokenizer = AutoTokenizer.from_pretrained(out)
    first = {path.name: json.loads(path.read_text().splitlines()[0]) for path in (out / "lessons").glob("*.jsonl")}
    assert [trl.is_conversational(first[name]) for name in sorted(first)] == [True, True, False]
    row = {key: first["preference.jsonl"][key] for key in ("prompt", "chosen", "rejected")}
    asked = trl.apply_chat_template(row, tokenizer)
    plain_row = first["prompt_completion.jsonl"]
    assert asked["prompt"] == f"{row['prompt'][0]['content']} ###"
    assert asked["chosen"] == f" {row['chosen'][0]['content']}<end>"
    assert plain_row["prompt"].endswith(" ###")
    assert plain_row["completion"].startswith(" ")


def test_the_data_card_says_where_lessons_come_from(tailored: tuple[Path, Path]) -> None:
    run, out = tailored
    card = (out / "lessons" / "README.md").read_text()
    notes = {e["step"]: e["line"] for e in source.read_source(run).run.events if e.get("event") == "note"}
    taught = lessons.gather(source.read_source(run))
    counts = Counter(lesson.kind for lesson in taught.lessons)
    assert f"| first lessons | rationale | {counts['rationale']} |" in card
    assert f"| 2 | feedback | {counts['feedback']} |" in card
    assert f"| 2 | practice | {counts['practice']} |" in card
    assert plain(notes["train"]) in card
    assert plain(notes["2-practice"]) in card
    assert "terms of use" in card


def test_without_mistakes_there_is_no_preference_file(finished: Finished, tmp_path: Path) -> None:
    made = tutelage.export(finished("finetune_cot", "base", False), tmp_path / "out", check=0)
    assert sorted(path.name for path in (made.path / "lessons").iterdir()) == [
        "README.md", "chat.jsonl", "prompt_completion.jsonl",
    ]  # fmt: skip
    assert "There is no preference data" in (made.path / "lessons" / "README.md").read_text()


def worked(chat: Chat, sample: int) -> str:
    """The right answer to a nasty question, with a nasty rationale."""
    answer = 2 * int(chat.question.rpartition(" ")[2])
    return f"| twice ``` <b>{chat.question}</b>\n---\nmakes it. The answer is {answer}."


def test_no_text_from_outside_becomes_markup(base_student: Path, tmp_path: Path) -> None:
    from markdown_it import MarkdownIt

    rows = [{"id": f"q|`<i> {i}", "question": NASTY.format(i, i), "answer": str(2 * i)} for i in range(12)]
    for split, part in (("train", rows[:8]), ("test", rows[8:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    paths = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    raw = {
        "recipe": "finetune_cot",
        "task": {"name": "local", "path": paths, "kind": "number"},
        "teacher": f"scripted:{__name__}:worked",
        "student": {"name": f"hf:{base_student}", "dtype": "float32"},
        "baselines": [],
        "training": {"epochs": 1, "batch": 4, "learning_rate": 0.01},
        "exam": {"max_tokens": 8},
    }
    tutelage.run(raw, tmp_path / "run")
    made = tutelage.export(tmp_path / "run", tmp_path / "na|me <b> `x`", check=2)
    markdown = MarkdownIt("commonmark").enable("table")
    for card in (made.path / "README.md", made.path / "lessons" / "README.md"):
        text = card.read_text()
        body = text.split("\n---\n", 1)[1] if text.startswith("---") else text
        tokens = markdown.parse(body)
        inner = [child for token in tokens for child in token.children or []]
        assert not [token for token in (*tokens, *inner) if token.type.startswith("html")]
        assert not [token for token in inner if token.type == "link_open" and token.attrs["href"] == "http://e"]
    body = (made.path / "README.md").read_text().split("\n---\n", 1)[1]
    code = next(token for token in markdown.parse(body) if token.type == "fence")
    assert json.dumps(NASTY.format(8, 8))[1:-1] in code.content
    compile(code.content, "card", "exec")
    rows_of_chat = [json.loads(line) for line in (made.path / "lessons" / "chat.jsonl").read_text().splitlines()]
    assert rows_of_chat[0]["messages"][0]["content"] == NASTY.format(0, 0)


@pytest.mark.parametrize(
    "text", ["a|b", "`x`", "<b>", "a\nb", "[x](y)", "*a*_b_", "\\|", "&lt;", "$x$", "~~s~~", "| `"]
)
def test_plain_text_stays_text_in_a_cell(text: str) -> None:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(table(["a", "b"], [[text, "end"]]))
    cells = [token for token in tokens if token.type == "inline"]
    assert [cell.children and "".join(child.content for child in cell.children) for cell in cells] == [
        "a", "b", " ".join(text.split()), "end",
    ]  # fmt: skip
    assert {child.type for cell in cells for child in cell.children or []} <= {"text", "text_special"}


def test_a_block_of_code_cannot_be_left() -> None:
    from markdown_it import MarkdownIt

    text = "a\n````\n# out\n```"
    (token,) = MarkdownIt().parse(block(text, "python"))
    assert (token.type, token.content) == ("fence", text + "\n")


def test_the_head_of_a_card_cannot_be_left() -> None:
    import yaml

    head = front_matter({"name": "a\n---\nb: c", "tags": ["x: y", "- z"]})
    assert head.count("---\n") == 2
    assert yaml.safe_load(head.split("---\n")[1]) == {"name": "a --- b: c", "tags": ["x: y", "- z"]}
