"""`import tutelage` is light, and so is every door that needs no model."""

import importlib
import inspect
import subprocess
import sys

import pytest
import typer

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "pyarrow",
    "pandas",
    "openai",
    "reasoning_gym",
    "peft",
    "numpy",
    "starlette",
    "uvicorn",
)


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    assert loaded_after("import tutelage") == set()


@pytest.mark.parametrize(
    "module",
    [
        "tutelage.cli.main",
        "tutelage.recipes.catalog",
        "tutelage.exam",
        "tutelage.training.settings",
    ],
)
def test_no_door_loads_torch(module: str) -> None:
    assert "torch" not in loaded_after(f"import {module}")


def test_public_names_exist() -> None:
    import tutelage

    for name in tutelage.__all__:
        assert getattr(tutelage, name) is not None


def test_unknown_public_name_is_an_attribute_error() -> None:
    import tutelage

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tutelage.nothing


def test_windows_is_told_where_it_runs() -> None:
    code = "import os; os.name = 'nt'; import tutelage"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: Tutelage runs on Linux and macOS; on Windows install it in WSL" in done.stderr


def test_a_command_loads_its_own_module_alone() -> None:
    code = "import sys; sys.argv[1:] = ['cache', '--help']; from tutelage.cli.main import main; main()"
    program = f"import atexit, sys; atexit.register(lambda: print(*(n for n in sys.modules if n.startswith('tutelage.cli.')))); {code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == {"tutelage.cli.main", "tutelage.cli.cache"}


def test_what_help_says_of_a_command_is_what_the_command_says() -> None:
    from tutelage.cli.main import COMMANDS

    for name, (place, summary) in COMMANDS.items():
        module, _, function = place.partition(":")
        found = getattr(importlib.import_module(f"tutelage.cli.{module}"), function)
        said = found.info.help if isinstance(found, typer.Typer) else inspect.getdoc(found)
        assert " ".join(said.split("\n\n")[0].split()) == summary, name
