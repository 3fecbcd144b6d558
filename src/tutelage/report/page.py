"""The report as one page that needs nothing: no network, no other file, and it opens from disk."""

import base64
import gzip
import hashlib
from importlib import resources
from typing import Any

import msgspec

from tutelage.report.contents import Contents
from tutelage.report.questions import OUTCOMES, pages
from tutelage.report.studies import StudyContents


def render_page(contents: Contents, live: bool = False) -> str:
    """The whole page. What models wrote is in it as data only: escaped in the tables, and among the questions as text nodes.

    A `live` page asks the server that sent it whether there is more, and loads itself again.
    """
    script = _source("page.js")
    data = {"runs": [pages(run) for run in contents.runs], "outcomes": OUTCOMES}
    # Packed, because ten thousand answers are megabytes; mtime=0, so that the same run gives the same page.
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(data), mtime=0)).decode()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    running = any(run.state == "running" for run in contents.runs)
    more = {"packed": packed, "running": running, "outcomes": OUTCOMES}
    return _rendered("page.html", contents=contents, live=live, script=script, digest=digest, **more)


def render_study_page(contents: StudyContents, live: bool = False) -> str:
    """The page of a study. It has no script: every number is in a table. A `live` one loads itself again now and then."""
    return _rendered("study.html", contents=contents, live=live)


def _source(name: str) -> str:
    return resources.files("tutelage.report").joinpath(name).read_text(encoding="utf-8")


def _rendered(name: str, script: str = "", **given: Any) -> str:
    """A page of ours with what is given, all of it escaped but our own style and script."""
    import jinja2  # a tenth of what the command line takes to start, and only pages need it
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {"style": Markup(_source("page.css")), "script": Markup(script)}  # noqa: S704 - our own files
    return environment.get_template(name).render(**own, **given)
