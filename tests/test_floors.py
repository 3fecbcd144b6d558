"""Imports point down: a file imports from lower floors and its own folder only."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tutelage"
FLOORS = [
    {"encodings", "regular", "types"},
    {"redaction", "arithmetic"},
    {"errors", "printing", "suspicion"},
    {"parsing", "importing", "surroundings"},
    {"config", "markup", "machine", "rows"},
    {"grading"},
    {"spending"},
    {"tasks", "models", "runs"},
    {"exam", "lessons", "evaluation"},
    {"training", "serve"},
    {"launch", "solvers"},
    {"classroom"},
    {"recipes"},
    {"runner"},
    {"studies"},
    {"report", "exporting"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FILES = [path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py"]
TORCH_MAY = ("training/", "models/local/", "exporting/student.py")


def unit(path: Path) -> str:
    """The folder or file below the package that a module belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, int]]:
    """Every module a file imports, with the column of the statement."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.col_offset) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += [(f"{node.module}.{alias.name}", node.col_offset) for alias in node.names]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    mine = unit(path)
    assert mine in FLOOR_OF, f"{mine} stands on no floor: add it to FLOORS"
    for module, _ in imported(path):
        parts = module.split(".")
        if parts[0] == "tutelage" and len(parts) > 1 and parts[1] not in (mine, "__version__"):
            assert FLOOR_OF[parts[1]] < FLOOR_OF[mine], f"{path} imports {module}: up or sideways"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_type_checking_imports(path: Path) -> None:
    assert "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_torch_stays_where_it_belongs(path: Path) -> None:
    if not str(path.relative_to(SOURCE)).startswith(TORCH_MAY):
        heavy = [module for module, _ in imported(path) if module.split(".")[0] in ("torch", "transformers", "peft")]
        assert not heavy


def test_every_unit_is_on_a_floor() -> None:
    assert {unit(path) for path in FILES} == set(FLOOR_OF)


def module_of(path: Path) -> str:
    """A file's dotted name; a package's face has the package's."""
    return ".".join(["tutelage", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCE.rglob("*.py")}


def own_imports(path: Path) -> set[str]:
    """The modules of ours that a file imports, in its functions too."""
    named = {name for name, _ in imported(path)}
    # "tutelage.a.b" is the module b or a name in the module a.
    return {name if name in MODULES else name.rpartition(".")[0] for name in named} & MODULES.keys() - {"tutelage"}


def test_no_imports_go_in_a_circle() -> None:
    """Not within a folder either, and not by an import that waits in a function."""
    before = {name: own_imports(path) for name, path in MODULES.items()}
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("__init__.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_face_imports_none_of_its_modules(path: Path) -> None:
    mine = module_of(path)
    assert not [name for name in own_imports(path) if name.startswith(mine + ".")]
