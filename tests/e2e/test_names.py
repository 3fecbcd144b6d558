"""Names that no file and no model can have, at every door of the command line: one sentence and exit code 2."""

import sys
from pathlib import Path

import pytest

from tutelage.cli.main import main

LONG = "x" * 300
DOORS = [
    "run {config} --into {long}",
    "run {long}",
    "run {config} student={long}",
    "run {config} student=hf:{long}",
    "run {config} student=hf:{long}/{long}",
    "run {config} student=hf:{long}.gguf",
    "run {config} student=hf:my\u00a0org/a\u00a0student",
    "run {config} teacher=recorded:{long}",
    "run {config} task={long}",
    "lessons {config} --into {long}",
    "plan {config} teacher={long}:",
    "exam {long} --task coin_flip --into e",
    "exam hf:{long} --task coin_flip --into e",
    "exam hf:{long} --task coin_flip --into {long}",
    "serve hf:{long}",
    "report {long}",
    "status {long}",
    "compare {long} {long}",
    "export {long} --to e",
    "grade {long} --task coin_flip",
    "grade {long}.jsonl --task coin_flip",
    "audit --task {long}",
    "contamination {long} --task coin_flip",
    "contamination {long}.jsonl --task coin_flip",
    "watch {long}",
    "run {config} task={{name:\u00a0local,\u00a0path:\u00a0{long}.jsonl,\u00a0kind:\u00a0number}}",
]


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_cannot_be_is_one_sentence(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "c.yaml"
    config.write_text("recipe: finetune_cot\ntask: coin_flip?size=20\nteacher: 'worked:'\nbaselines: []\n")
    words = [word.replace("\u00a0", " ") for word in door.format(config="c.yaml", long=LONG).split(" ")]
    monkeypatch.setattr(sys, "argv", ["tutelage", *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} <= {"c.yaml", "e", "runs"}
