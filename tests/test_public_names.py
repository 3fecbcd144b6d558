"""One public name stands for one thing: in the package, in what `import tutelage` offers, and in the reference."""

import ast
import importlib
import re
from collections import defaultdict
from pathlib import Path

import pytest

import tutelage

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tutelage"

# Names that a contract gives to every file of a table: whoever knows one file finds the same thing in the next.
CONTRACTS: dict[str, tuple[str, str]] = {
    "make": ("tasks/", "what makes a task: TASKS names it"),
    "worked": ("tasks/", "the worked solution of a task's question, as in Task.worked"),
    "teach": ("recipes/", "a recipe's method, as in Recipe.teach"),
    "promised": ("recipes/", "the exams of a recipe's table, as in Recipe.promised"),
    "lessons": ("recipes/", "a recipe's teacher's part alone, as in Recipe.lessons"),
}


def test_a_public_name_is_defined_once() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                where[node.name].append(path.relative_to(SOURCE).as_posix())
    twice = {name: files for name, files in where.items() if len(files) > 1}
    for name, (folder, _) in CONTRACTS.items():
        assert all(file.startswith(folder) for file in twice.pop(name, ())), f"{name} outside {folder}"
    assert not twice


def test_what_the_package_offers_is_no_module_of_it() -> None:
    """A module that is loaded later would take the name's place."""
    modules = {path.stem for path in SOURCE.iterdir()}
    assert not modules & set(tutelage.__all__)


@pytest.mark.parametrize(
    "name", re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
)
def test_the_reference_names_what_there_is(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        assert getattr(importlib.import_module(module), last).__doc__
