"""The contract of every kind of model: opened without loading what computes, and a wrong option is told from the nearest."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tutelage.errors import ConfigError
from tutelage.models import LOCAL, MODELS, PAID, SOLVERS
from tutelage.models.context import Context
from tutelage.models.kinds import parts_of
from tutelage.models.opening import open_model

HEAVY = ("torch", "transformers", "vllm")
NEEDS = {"anthropic": "anthropic", "google": "google.genai"}  # the package of an extra, by kind


def spec(kind: str, folder: Path) -> dict[str, Any]:
    """The least that names a model of a kind."""
    (folder / "replies.jsonl").write_text(json.dumps({"id": 1, "reply": "yes"}) + "\n")
    if kind in SOLVERS:
        part = f"recorded:{folder / 'replies.jsonl'}"
        return {"kind": kind} | {name: [part] * 2 if several else part for name, several in parts_of(kind).items()}
    names = {"scripted": "textwrap:dedent", "recorded": str(folder / "replies.jsonl"), "worked": ""}
    return {"kind": kind, "name": names.get(kind, "name")}


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_opened_without_what_computes_it(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(kind, "tutelage"))
    program = (
        "import sys\nfrom tutelage.models.context import Context\nfrom tutelage.models.opening import open_model\n"
        f"model = open_model({spec(kind, tmp_path)!r}, Context(worked=lambda chat, sample: 'yes'))\n"
        f"print(bool(model.name), *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split()) - {"True"}
    # What a model on this machine is made of imports PyTorch; its weights are loaded for the first answer.
    assert not (loaded if kind not in LOCAL else loaded - {"torch", "transformers"})


@pytest.mark.parametrize("kind", MODELS)
def test_an_unknown_option_names_the_nearest(kind: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(kind, "tutelage"))
    known = {
        "hf": "batch",
        "vllm": "gpus",
        "vote": "temperature",
        "cascade": "temperature",
        "adaptive": "select",
        "prompted": "form",
    } | dict.fromkeys(PAID, "concurrency")
    option = known.get(kind, "name")
    wrong = f"{option[:-1]}x" if option != "name" else "nam"
    with pytest.raises(ConfigError, match=rf"model kind '{kind}' has no option '{wrong}'; did you mean '{option}'") as error:  # fmt: skip
        open_model({**spec(kind, tmp_path), wrong: 1}, Context(worked=lambda chat, sample: "yes"))
    assert "\n" not in str(error.value)
