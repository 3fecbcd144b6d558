"""What a student can hold: a default gives way to it and says so, a number of the user's is refused before money is spent."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import make_student

import tutelage
from tutelage import runner
from tutelage.errors import ModelError
from tutelage.exam import ExamConfig
from tutelage.models.local.hf import Hf
from tutelage.recipes import catalog
from tutelage.runs import records
from tutelage.types import Attempt, Chat, JsonObject, Message, Sampling


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with as many positions as the paper's: 1,024 for prompt and answer together."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = make_student(tmp_path_factory.mktemp("gpt2") / "student", chat=False)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=600, n_embd=32, n_layer=1, n_head=2, n_positions=1024, eos_token_id=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def raw(student: Path, **more: Any) -> dict[str, Any]:
    return {
        "recipe": "finetune_cot",
        "task": "coin_flip?size=60",
        "teacher": "worked:",
        "student": {"name": f"hf:{student}", "dtype": "float32"},
        "questions": {"train_limit": 12, "test_limit": 2},
        "training": {"epochs": 1, "precision": "float32"},
        **more,
    }


def notes(run: Path) -> list[str]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [f"{event['step']}: {event['line']}" for event in events if event["event"] == "note"]


def test_the_papers_own_student_goes_through_the_papers_own_recipe(gpt2: Path, tmp_path: Path) -> None:
    """All defaults, all baselines, through the command line; and again, where every step is read back."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(raw(gpt2)))
    command = [sys.executable, "-m", "tutelage", "run", "c.yaml", "--into", "it"]
    # A model as small as this one waits for its threads longer than it computes.
    environment = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    for words in (command, [*command[:4], "it/config.yaml"]):
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
    said = "\n".join(notes(tmp_path / "it"))
    for step in ("zero_shot", "zero_shot_cot", "few_shot_cot", "fine_tune", "finetune_cot"):
        assert f"{step}: max_tokens 1024 -> " in said
    assert "of the 1,024 tokens that" in said
    assert "few_shot_cot: shots 8 -> " in said
    for attempt in records.read_records(tmp_path / "it" / "zero_shot" / "records.jsonl", Attempt):
        assert attempt.tokens_in + attempt.tokens_out <= 1024
        assert attempt.truncated or attempt.tokens_out < 1024
    tutelage.export(tmp_path / "it", tmp_path / "handed", check=0)
    handed = json.loads((tmp_path / "handed" / "generation_config.json").read_text())
    assert (handed["max_length"], handed.get("max_new_tokens")) == (1024, None)  # whoever generates stops there, too
    with pytest.raises(ModelError, match="--gguf does not know the architecture GPT2LMHeadModel"):
        tutelage.export(tmp_path / "it", tmp_path / "file", gguf="f16")
    assert not (tmp_path / "file").exists()


def test_what_the_user_asked_for_is_refused_before_the_teacher_is_asked(gpt2: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"with 1000 new ones it passes the 1024 that hf:.* can hold.*lower max_tokens"
    ):
        runner.run(raw(gpt2, exam={"max_tokens": 1000}), tmp_path / "run")
    assert not (tmp_path / "run" / "rationales").exists()
    tailored = {**raw(gpt2, exam={"max_tokens": 1000}), "recipe": "tailored"}
    with pytest.raises(ModelError, match="with 1000 new ones"):
        runner.run(tailored, tmp_path / "rounds")
    assert not (tmp_path / "rounds" / "rationales").exists()
    assert catalog.check_config(raw(gpt2), "test").model_dump()["exam"]["max_tokens"] is None


def test_a_prompt_that_fits_alone_with_nothing_is_refused(gpt2: Path) -> None:
    setup = ExamConfig().setup("few_shot_cot", 0)
    turns = (Message("user", "coin " * 600), Message("assistant", "It is. "), Message("user", "coin " * 600))
    with pytest.raises(ModelError, match=r"question 'long'.* with 1 new ones .*show fewer worked examples"):
        Hf(str(gpt2)).check_room([Chat(messages=turns, question="long")], setup.sampling)


def test_each_question_has_the_room_that_its_own_prompt_leaves(gpt2: Path) -> None:
    model = Hf(str(gpt2), dtype="float32", device="cpu")
    chats = [Chat(messages=(Message("user", "coin " * count),), question=str(count)) for count in (4, 900, 990)]
    sampling = Sampling(max_tokens=200, temperature=1.0, seed=1, flexible=True)
    answers = [row[0] for _, row in sorted(model.answer(chats, sampling))]
    room = [1024 - answer.tokens_in for answer in answers]
    assert all(answer.tokens_out <= min(200, left) for answer, left in zip(answers, room, strict=True))
    said = model.remarks()
    assert any(f"max_tokens 200 -> {min(room)} to {sorted(room)[1]} on 2 questions" in line for line in said)
    assert model.remarks() == []
    with pytest.raises(ModelError, match="with 200 new ones"):
        list(model.answer(chats, Sampling(max_tokens=200)))


def test_worked_examples_that_cannot_fit_are_refused_before_the_teacher_is_asked(gpt2: Path, tmp_path: Path) -> None:
    asked = raw(gpt2, shots=30, questions={"train_limit": 30, "test_limit": 2}, baselines=["few_shot_cot"])
    with pytest.raises(ModelError, match="passes the 1024 that hf:.*show fewer worked examples"):
        runner.run(asked, tmp_path / "run")
    assert not (tmp_path / "run" / "rationales").exists()


def test_a_local_teachers_feedback_notes_what_it_was_made_on(gpt2: Path, tmp_path: Path) -> None:
    local = {"name": f"hf:{gpt2}", "dtype": "float32"}
    kind = catalog.check_config({**raw(gpt2), "recipe": "tailored", "teacher": local}, "test")
    with runner.open_classroom(kind, tmp_path / "run") as room:
        chats = [Chat(messages=(Message("user", "coin"),), question=str(i), purpose="feedback") for i in range(3)]
        room.ask_teacher("2-feedback", local, chats, Sampling(max_tokens=4), {})
    made_on = json.loads((tmp_path / "run" / "2-feedback" / "step.json").read_text())["made_on"]
    assert made_on["precision"] == "float32"
    assert {"processor", "torch", "transformers", "rows"} <= made_on.keys()


def test_what_a_local_teacher_shortened_in_its_feedback_is_said(gpt2: Path, tmp_path: Path) -> None:
    local = {"name": f"hf:{gpt2}", "dtype": "float32"}
    kind = catalog.check_config({**raw(gpt2), "recipe": "tailored", "teacher": local}, "test")
    said: list[JsonObject] = []
    with runner._working(kind, tmp_path / "run", told=(said.append, None)) as (room, _):
        chats = [Chat(messages=(Message("user", "coin " * 900),), question="1", purpose="feedback")]
        room.ask_teacher("2-feedback", local, chats, Sampling(max_tokens=200, flexible=True), {})
    assert any("max_tokens 200 -> " in event.get("line", "") and event["step"] == "2-feedback" for event in said)
