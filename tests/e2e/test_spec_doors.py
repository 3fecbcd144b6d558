"""A spec is the same at every door: options in its name, a spec on one line, a solver; and what is wrong with it is one sentence."""

import json
from pathlib import Path

import pytest
from tests import door
from tests.e2e.outside import cli, works
from tests.e2e.test_serve import ask, serving, texts

from tutelage.models.opening import open_model
from tutelage.types import Chat, Message, Sampling

COINS = ["--task", "coin_flip?size=40", "--limit", "4", "exam.max_tokens=4"]


def test_options_in_a_name_count_wherever_it_is_named(chat_student: Path, tmp_path: Path) -> None:
    spec = f"{chat_student}?dtype=float32&batch=2"
    for number, one in enumerate([f"hf:{spec}", spec, f'{{kind: hf, name: "{spec}"}}', f'{{name: "hf:{spec}"}}']):
        works(tmp_path, "exam", one, *COINS, "--into", f"sat{number}")
        made = json.loads((tmp_path / f"sat{number}" / "exam" / "step.json").read_text())
        assert made["inputs"]["model"] == {"dtype": "float32", "kind": "hf", "name": str(chat_student)}
        assert (made["made_on"]["precision"], made["made_on"]["rows"]) == ("float32", [2])
    with serving(f"hf:{spec}", "--max-tokens", "4") as served:
        assert served.name == chat_student.name
        assert len(texts(ask(served))) == 1
    said = door.tutelage("chat", f"hf:{spec}", "--max-tokens", "4", text="Is it?\n")
    assert said.returncode == 0, said.stderr
    assert said.stdout
    (tmp_path / "c.yaml").write_text(
        f'recipe: exam\nmodel: "hf:{spec}"\ntask: coin_flip?size=40\nlimit: 4\nexam: {{max_tokens: 4}}\n'
    )
    for more in ([], ["model.device=cpu"]):
        works(tmp_path, "run", "c.yaml", "--into", f"run{len(more)}", *more)
    kept = json.loads((tmp_path / "run1" / "exam" / "step.json").read_text())["inputs"]["model"]
    assert kept == {"device": "cpu", "dtype": "float32", "kind": "hf", "name": str(chat_student)}


def test_a_solver_is_served(chat_student: Path) -> None:
    spec = f'{{kind: vote, of: "hf:{chat_student}?dtype=float32", n: 3}}'
    with serving(spec, "--max-tokens", "6") as served:
        assert served.name == "vote"
        got = ask(served, temperature=0.5, seed=5)
    sampling = Sampling(max_tokens=6, temperature=0.5, seed=5)
    ((_, (wanted,)),) = open_model(spec).answer(
        [Chat(messages=(Message("user", "Is the coin still heads up?"),))], sampling
    )
    assert texts(got) == [wanted.text]
    assert got.usage.completion_tokens == wanted.tokens_out  # of all votes
    assert got.choices[0].finish_reason in ("stop", "length")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{kind: vote, of: openai:gpt-4o-mini, n: 2}", "OPENAI_API_KEY"),
        ("{kind: vote, of: {kind: vote, of: {kind: vote, n: 2}}}", "of"),
        ("hf:x?dtype=float32&dtype=float16", "the option 'dtype' is given twice"),
        ('{name: "hf:x?dtype=float32", dtype: float16}', "the option 'dtype' is given twice"),
        ('{kind: vote, of: ["worked:", "worked:"]}', "of must be a model"),
        ('{kind: vote, of: "worked:", n: many}', "model kind 'vote', option 'n': Expected `int`, got `str` ('many')"),
        ("vote:", "model kind 'vote' needs the option 'of'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(tmp_path: Path, spec: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = cli(tmp_path, "exam", spec, *COINS, "--into", "sat")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "sat" / "exam").exists()
