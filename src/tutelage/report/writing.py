"""The report: what a person sees of a run, read from its directory and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tutelage import __version__
from tutelage.errors import RunError
from tutelage.report import markdown, page
from tutelage.report.contents import Contents
from tutelage.report.studies import StudyContents
from tutelage.runs import history
from tutelage.runs.files import write_file
from tutelage.studies.study_folder import OpenStudy


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
        write_file(folder / name, text.encode())
    return folder / "report.html"


def write_study(opened: OpenStudy, into: str | Path | None = None) -> Path:
    """Write `study.html`, `study.md` and `study.json`, which holds every number; returns the path of the page.

    They go into the folder `into`, by default the study's; the text and the numbers also beside what is kept of its runs,
    where that is another folder.
    """
    return write_contents(StudyContents(opened), into)


def write_contents(contents: StudyContents, into: str | Path | None = None) -> Path:
    """The same of a study that was read already."""
    opened = contents.opened
    told = {"study": opened.study.model_dump(mode="json"), "findings": contents.findings, "tutelage": __version__}
    plain = msgspec.json.format(msgspec.json.encode(told), indent=1)
    text = markdown.render_study_markdown(contents).encode()
    folder = Path(into or opened.folder)
    for place in dict.fromkeys([folder, *([opened.kept.folder] if opened.kept.folder.parent != opened.folder else [])]):
        place.mkdir(parents=True, exist_ok=True)
        write_file(place / "study.json", plain)
        write_file(place / "study.md", text)
    write_file(folder / "study.html", page.render_study_page(contents).encode())
    return folder / "study.html"
