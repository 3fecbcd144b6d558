"""The pages docs/add-a-*.md as a newcomer uses them: their files in a folder outside the tree, and the command line there."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests import door

DOCS = Path(__file__).parents[2] / "docs"


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process and a folder of its own, as the console script starts it: not from a module's folder."""
    environment = {**os.environ, "COLUMNS": "200", "PYTHONSAFEPATH": "1"}
    return door.tutelage(*words, cwd=folder, env=environment)


def works(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command line that ends well."""
    done = cli(folder, *words)
    assert done.returncode == 0, done.stderr
    return done


def report_text(folder: Path, run: str) -> str:
    """A run's report as Markdown, written now."""
    works(folder, "report", run)
    return (folder / run / "report.md").read_text(encoding="utf-8")


def write_page(page: str, folder: Path, small: Mapping[str, Any]) -> list[str]:
    """Write every block of a page that begins with "# FILE.py" or "# FILE.yaml"; a config is made `small`. Returns the names."""
    names = []
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
        named = re.match(r"# ([\w/]+\.(?:py|yaml))\n", block)
        if named is None:
            continue
        text = block
        if named[1].endswith(".yaml"):
            text = yaml.safe_dump({**yaml.safe_load(block), **small}, allow_unicode=True)
        (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
        (folder / named[1]).write_text(text, encoding="utf-8")
        names.append(named[1])
    assert names, f"{page} holds no block that begins with a file's name"
    return names
