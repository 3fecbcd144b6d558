"""The report as one page that needs nothing: no network, no other file, and it opens from disk."""

import base64
import gzip
import hashlib
from importlib import resources

import jinja2
import msgspec
from markupsafe import Markup

from tutelage.report.contents import Contents
from tutelage.report.questions import OUTCOMES, pages


def render_page(contents: Contents, live: bool = False) -> str:
    """The whole page. What models wrote is in it as data only: escaped in the tables, and among the questions as text nodes.

    A `live` page asks the server that sent it whether there is more, and loads itself again.
    """
    here = resources.files("tutelage.report")
    style, script = (here.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    source = here.joinpath("page.html").read_text(encoding="utf-8")
    data = {"runs": [pages(run) for run in contents.runs], "outcomes": OUTCOMES}
    # Packed, because ten thousand answers are megabytes; mtime=0, so that the same run gives the same page.
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(data), mtime=0)).decode()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(
        contents=contents,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        digest=digest,
        packed=packed,
        live=live,
        running=any(run.state == "running" for run in contents.runs),
        outcomes=OUTCOMES,
    )
