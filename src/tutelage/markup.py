"""Markdown with text from outside in it: a question or a name may hold anything, and must stay text."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

from tutelage.printing import visible

_MARKS = re.compile(r"([\\`*_\[\]<>|~#$])")


def plain(text: object) -> str:
    """Any text on one line, with nothing in it that markdown or a table would read as markup."""
    return _MARKS.sub(r"\\\1", " ".join(visible(str(text)).replace("&", "&amp;").split()))


def block(text: str, language: str = "") -> str:
    """Any text as a block of code: its fence is longer than any run of backticks inside."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{visible(text)}\n{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are plain text, but for those that are markdown already (`Markup`)."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


class Markup(str):
    """Text that is markdown already."""

    __slots__ = ()


def _cell(cell: object) -> str:
    return cell if isinstance(cell, Markup) or cell == "---" else plain(cell)


def front_matter(fields: Mapping[str, object]) -> str:
    """The YAML that heads a card."""
    return f"---\n{yaml.safe_dump(_on_one_line(fields), sort_keys=False, allow_unicode=True, width=10_000)}---\n"


def _on_one_line(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _on_one_line(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_on_one_line(inner) for inner in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def literal(text: str) -> str:
    """Any text as a string that Python reads."""
    return json.dumps(text, ensure_ascii=False)
