"""The report as Markdown: the same tables without figures, for a pull request or a terminal."""

import re

from tutelage.report.contents import Contents
from tutelage.report.sections import Section, Table


def render(contents: Contents) -> str:
    """The whole text."""
    parts = [f"# {_plain(contents.title)}", *map(_plain, contents.headlines), *map(_plain, contents.states)]
    for section in contents.parts:
        parts += _section(section)
    for section in contents.making:
        parts += _section(section._replace(lines=()))
        parts.append(_code(section.lines[0]))
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    return [f"## {_plain(section.title)}", *map(_table, section.tables), *map(_plain, section.lines)]


def _table(table: Table) -> str:
    lines = [table.headings, ["---"] * len(table.headings), *table.rows]
    drawn = "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)
    return f"{drawn}\n\n{_plain(table.note)}" if table.note else drawn


def _plain(text: str) -> str:
    """Text that stays text: one line, without a meaning in Markdown or HTML."""
    line = " ".join(text.split())
    if set(line) == {"-"}:
        return line
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", line)


def _code(text: str) -> str:
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"
