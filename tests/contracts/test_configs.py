"""Every shipped config is valid, every setting is read somewhere, every setting says what it is."""

import re
from pathlib import Path

import pytest
import yaml

from tutelage.cli.demo import demo_config
from tutelage.recipes import RECIPES
from tutelage.recipes.catalog import check_config, find_recipe
from tutelage.recipes.presets import options

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_configs(path: Path) -> None:
    check_config(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))


def test_the_demo_is_a_valid_config() -> None:
    assert check_config(demo_config(), "demo").model_dump()["recipe"] == "tailored"


def test_the_readme_config_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        check_config(yaml.safe_load(block), "README.md")


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_is_read_somewhere(name: str) -> None:
    for key in (
        row.key for row in options(find_recipe(name).settings) if row.key != "preset"
    ):  # it is resolved before it is read
        last = key.rpartition(".")[2]
        assert re.search(rf"(config|self|held|adapters?|splits|settings|wanted)\.(\w+\.)*{last}\b", CODE), (
            f"{key} is never read"
        )


@pytest.mark.parametrize("name", RECIPES)
def test_defaults_alone_make_a_config(name: str) -> None:
    needed = {
        row.key: "x" for row in options(find_recipe(name).settings) if row.default == "required" and "." not in row.key
    }
    needed |= {"model": "worked:", "task": "coin_flip"} if "model" in needed else {}
    needed |= {"scorer": "scripted:mine:white"} if "scorer" in needed else {}
    needed |= {"peers": ["scripted:mine:peer"]} if "peers" in needed else {}
    assert check_config({"recipe": name, **needed}, "test")
