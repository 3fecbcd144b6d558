"""Every shipped config is valid, every setting is read somewhere, every setting says what it is."""

import re
from pathlib import Path

import pytest
import yaml

from tutelage import recipes
from tutelage.demo import demo_config
from tutelage.recipes import RECIPES, Recipe
from tutelage.recipes.classroom import Classroom
from tutelage.types import Lesson

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_configs(path: Path) -> None:
    recipes.check(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))


def test_the_demo_is_a_valid_config() -> None:
    assert recipes.check(demo_config(), "demo").model_dump()["recipe"] == "tailored"


def test_the_readme_config_is_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        recipes.check(yaml.safe_load(block), "README.md")


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_is_read_somewhere(name: str) -> None:
    for key in (row.key for row in recipes.options(name) if row.key != "preset"):  # it is resolved before it is read
        last = key.rpartition(".")[2]
        assert re.search(rf"(config|self|held|adapters?|splits|settings|wanted)\.(\w+\.)*{last}\b", CODE), (
            f"{key} is never read"
        )


@pytest.mark.parametrize("name", RECIPES)
def test_defaults_alone_make_a_config(name: str) -> None:
    needed = {row.key: "x" for row in recipes.options(name) if row.default == "required"}
    needed |= {"model": "worked:", "task": "coin_flip"} if "model" in needed else {}
    assert recipes.check({"recipe": name, **needed}, "test")


def test_the_recipe_in_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "add-a-recipe.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "two_helpings.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(RECIPES, "two_helpings", Recipe("two_helpings", "TwoHelpings", "from the docs"))
    taught: list[int] = []

    def fit(room: Classroom, step: str, who: object, lessons: list[Lesson], training: object) -> str:
        taught.append(len(lessons))
        return "worked:"

    monkeypatch.setattr(Classroom, "fit", fit)
    raw = {"recipe": "two_helpings", "task": "coin_flip?size=40", "student": "worked:", "baselines": []}
    scores = recipes.run(raw, tmp_path / "run")
    assert taught == [14, 14]
    assert scores["two helpings"].questions == 8
