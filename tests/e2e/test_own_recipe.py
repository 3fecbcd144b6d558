"""The recipe of docs/add-a-recipe.md in a file of the user's, by its import path, through the command line."""

import re
from pathlib import Path

import pytest
from tests.e2e.outside import report_text, works, write_page

from tutelage.errors import ConfigError
from tutelage.recipes import catalog


@pytest.fixture(scope="module")
def own(base_student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    small = {
        "task": "coin_flip?size=40",
        "student": f"hf:{base_student}",
        "baselines": ["zero_shot"],
        "training": {"epochs": 1, "batch": 8},
        "exam": {"max_tokens": 4},
    }
    assert write_page("add-a-recipe.md", folder, small) == ["two_helpings.py", "helpings.yaml"]
    works(folder, "run", "helpings.yaml", "--into", "runs/helpings")
    return folder


def test_its_report_has_the_right_headline_and_table(own: Path) -> None:
    text = report_text(own, "runs/helpings")
    assert re.search(r"^two helpings: \d+\.\d% right .* of 8 questions; zero-shot: \d+\.\d%\.", text, re.MULTILINE)
    assert re.search(r"\| two helpings \| \d+\.\d% \|", text)
    assert "not known here" not in text
    assert "two_helpings:RECIPE on coin\\_flip" in text or "two\\_helpings:RECIPE" in text


@pytest.mark.parametrize(
    "words",
    [
        ["status", "runs/helpings"],
        ["compare", "runs/helpings", "runs/helpings"],
        ["grade", "runs/helpings"],
        ["plan", "helpings.yaml"],
        ["show", "two_helpings:RECIPE"],
        ["export", "runs/helpings", "--to", "mine", "--check", "4"],
    ],
    ids=lambda words: words[0],
)
def test_every_other_door_takes_it(own: Path, words: list[str]) -> None:
    done = works(own, *words)
    assert {"status": "two helpings: ", "compare": "two helpings: ", "grade": "two helpings", "plan": "rationales: 28 calls", "show": "two helpings", "export": "4 of 4 answers"}[words[0]] in done.stdout  # fmt: skip


def test_it_goes_on_from_where_it_was(own: Path) -> None:
    done = works(own, "run", "runs/helpings/config.yaml")
    assert done.stdout.count("(kept)") >= 5


def test_a_run_opens_where_its_recipe_is_not(own: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    works(elsewhere, "report", str(own / "runs" / "helpings"), "--into", "page")
    text = (elsewhere / "page" / "report.md").read_text()
    assert "| two helpings |" in text
    assert "No module named 'two" in text.partition("not known here")[2].replace("\\_", "_")[:300]


WRONG = {
    "no_such_module:RECIPE": "recipe 'no_such_module:RECIPE' is no package.module:NAME that can be imported: No module named",
    "tutelage.recipes.tailored:NOTHING": "has no attribute 'NOTHING'",
    "tutelage.recipes.tailored:teach": "is a function; it must be a Recipe of tutelage.recipes.recipe",
    "tutelage.recipes.tailored:Tailored": "is the class Tailored; an object is needed: RECIPE = Recipe(",
    "tutelage.recipes.recipe:Recipe": "is the class Recipe; an object is needed",
    "tutelage.recipes.tailored:": "is no package.module:NAME",
    "tailord": "unknown recipe 'tailord'; did you mean 'tailored'?",
    "own_wrong_recipe:LACKING": "recipe 'own_wrong_recipe:LACKING': its settings lack data, seed, cache, budget; derive them from Teaching",
}


@pytest.mark.parametrize(("name", "said"), WRONG.items())
def test_a_name_that_is_no_recipe_is_one_sentence(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_wrong_recipe.py").write_text(
        "from tutelage.config import Settings\nfrom tutelage.recipes.recipe import Recipe\n"
        "class Few(Settings):\n    recipe: str = ''\n    task: str = ''\n"
        "LACKING = Recipe(summary='', settings=Few, teach=print, promised=dict)\n"
    )
    with pytest.raises(ConfigError) as error:
        catalog.check_config({"recipe": name, "task": "coin_flip"}, "c.yaml")
    assert said in str(error.value)


def test_a_settings_class_that_names_no_type_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_odd_settings.py").write_text(
        "from tutelage.recipes.recipe import Recipe\nfrom tutelage.recipes.settings import Teaching\n"
        "class Odd(Teaching):\n    recipe: str = ''\n    second: 'ModlSpec' = 'worked:'\n"
        "RECIPE = Recipe(summary='', settings=Odd, teach=print, promised=dict)\n"
    )
    raw = {"recipe": "own_odd_settings:RECIPE", "task": "coin_flip"}
    said = "^c.yaml: the settings class own_odd_settings.Odd names the type 'ModlSpec', which is not there; import it"
    with pytest.raises(ConfigError, match=said):
        catalog.check_config(raw, "c.yaml")
