"""The report: what a person sees of a run, read from its directory and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

from tutelage.errors import RunError
from tutelage.report import markdown, page
from tutelage.report.contents import Contents
from tutelage.runs import history


def write_report(runs: Sequence[str | Path], into: str | Path | None = None) -> Path:
    """Write `report.html` and `report.md` on one run or on several side by side; returns the path of the page.

    They go into the folder `into`, by default the first run's. A run that was killed is reported as far as it came.
    """
    contents = Contents(history.open_runs([Path(run) for run in runs]))
    folder = Path(into or runs[0])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder {folder} cannot be made: {error.strerror}; choose another --into") from None
    for name, text in (("report.md", markdown.render_markdown(contents)), ("report.html", page.render_page(contents))):
        draft = folder / f"{name}.part"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)
    return folder / "report.html"
