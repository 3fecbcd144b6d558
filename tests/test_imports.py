"""`import tutelage` is light, and so is every door that needs no model."""

import subprocess
import sys

import pytest

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
