"""Configuration: what is written is what is used, and a slip is told from the nearest right thing."""

from pathlib import Path

import pytest
import yaml

from tutelage.config import differences, dump, expand_path, override, read_yaml
from tutelage.errors import ConfigError
from tutelage.recipes.catalog import check_config
from tutelage.recipes.finetune_cot import FinetuneCot


def test_overrides_nest_and_are_yaml() -> None:
    raw = {"training": {"epochs": 1, "lora": None}, "task": "coin_flip"}
    changed = override(raw, ["training.epochs=3", "training.lora.r=4", "task.flips=2", "baselines=[teacher]"])
    assert changed == {
        "training": {"epochs": 3, "lora": {"r": 4}},
        "task": {"name": "coin_flip", "flips": 2},
        "baselines": ["teacher"],
    }
    assert raw["training"] == {"epochs": 1, "lora": None}


@pytest.mark.parametrize("slip", ["training.epochs", "=3", "exam.n=[1"])
def test_a_slip_in_an_override_is_told(slip: str) -> None:
    with pytest.raises(ConfigError):
        override({}, [slip])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1\nb: 2", r"c\.yaml:\d is not YAML"),
        (b"- 1", "must hold keys and values, not a list"),
        (b"\xff\xfe\x00", "not a text file|not YAML"),
        (b"", "and is empty"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_yaml(tmp_path / "none.yaml")


def test_the_resolved_config_is_the_same_config() -> None:
    config = check_config({"recipe": "finetune_cot", "training": {"epochs": 2, "lora": {}}}, "test")
    assert check_config(yaml.safe_load(dump(config)), "test") == config
    assert isinstance(config, FinetuneCot)


def test_differences_are_named() -> None:
    assert differences({"exam": {"n": 4}, "a": 1}, {"exam": {"n": 8}, "b": 2}) == [
        "exam.n: 4 -> 8",
        "a: 1 -> None",
        "b: None -> 2",
    ]
    assert differences({"a": [1, 2]}, {"a": [1, 2]}) == []


def test_paths_expand_or_say_what_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/data")
    assert expand_path("${WHERE}/x") == expand_path("$WHERE/x") == Path("/data/x")
    monkeypatch.delenv("WHERE")
    with pytest.raises(ConfigError, match="variable WHERE"):
        expand_path("$WHERE/x")


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("recipe: exam\nexam:\n  n: 1\n  n: 2\n")
    with pytest.raises(ConfigError, match=r"c.yaml:4 is not YAML: the key 'n' stands twice"):
        read_yaml(file)
