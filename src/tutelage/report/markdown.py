"""The report as Markdown: the same tables without figures, for a pull request or a terminal."""

from tutelage.markup import block, plain, table
from tutelage.report.contents import Contents
from tutelage.report.sections import Section
from tutelage.report.studies import StudyContents


def render_markdown(contents: Contents) -> str:
    """The whole text."""
    parts = [f"# {plain(contents.title)}", *map(plain, contents.headlines), *map(plain, contents.states)]
    for section in contents.parts:
        parts += _section(section)
    for section in contents.making:
        parts += _section(section._replace(lines=()))
        parts.append(block(section.lines[0].rstrip(), "yaml"))
    return "\n\n".join(parts) + "\n"


def render_study_markdown(contents: StudyContents) -> str:
    """A study as text that can be pasted into a log."""
    parts = [f"# {plain(contents.title)}", *map(plain, contents.headlines), *map(plain, contents.states)]
    for section in (*contents.parts, contents.making._replace(lines=())):
        parts += _section(section)
    return "\n\n".join([*parts, block(contents.making.lines[0].rstrip(), "yaml")]) + "\n"


def _section(section: Section) -> list[str]:
    tables = [part for one in section.tables for part in (table(one.headings, one.rows), plain(one.note)) if part]
    return [f"## {plain(section.title)}", *tables, *map(plain, section.lines)]
