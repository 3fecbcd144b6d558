"""docs/design.md lists every file with its own first sentence. `python -m tests.test_design` writes the list anew."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tutelage"
PAGE = ROOT / "docs" / "design.md"
HEAD = """
## The tree

One line a file, in its own first sentence.

```
src/tutelage/
"""


def sentence(path: Path) -> str:
    """The first sentence of a module."""
    said = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[a-z\])])\. (?=[A-Z])", said)[0].rstrip(".")


def listed(folder: Path = SOURCE, depth: int = 1) -> Iterator[str]:
    """The tree, a line a file or folder."""
    indent, width = "  " * depth, 34 - 2 * depth
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield f"{indent}{path.stem:<{width}}{sentence(path)}"
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").exists()):
        yield f"{indent}{inner.name + '/':<{width}}{sentence(inner / '__init__.py')}"
        yield from listed(inner, depth + 1)


def tree() -> str:
    """The section of the page."""
    return HEAD + "\n".join(listed()) + "\n```\n"


def test_the_tree_is_what_stands_there() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(tree()), "python -m tests.test_design writes it anew"


def test_every_file_says_what_it_is() -> None:
    assert not [line for line in listed() if len(line.split(maxsplit=1)) < 2]


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8").partition("\n## The tree\n")[0].rstrip() + "\n"
    PAGE.write_text(text + tree(), encoding="utf-8")
