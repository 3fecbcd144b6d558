"""The report as a live page on this machine: it grows as steps finish."""

import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tutelage.errors import RunError
from tutelage.report import page, status
from tutelage.report.contents import Contents
from tutelage.report.studies import StudyContents
from tutelage.report.study_status import study_lines
from tutelage.runs import history
from tutelage.studies.study_folder import study_alone

SECONDS = 10  # that a client may take to ask, or to take its answer
_OURS = {"127.0.0.1", "localhost", "[::1]"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a browser opens several connections at once, and so may other programs

    def handle_error(self, request: Any, client_address: object) -> None:
        """A client that has left, or says nothing, is no failure to be shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def watch_runs(runs: Sequence[Path], port: int, tell: Callable[[str], None]) -> None:
    """Serve the report of some runs on loopback until Ctrl-C; `tell` is given the page's address. Port 0 is any free one."""
    _page(runs)  # what is no run is said before anything is served

    class Answers(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_GET(self) -> None:
            # Another page in the same browser must not read this one by a name that points here.
            if self.headers.get("Host", "").rpartition(":")[0] not in _OURS:
                self._send(HTTPStatus.FORBIDDEN, "text/plain", "this page answers to its loopback address only")
            elif self.path == "/":
                self._send(HTTPStatus.OK, "text/html", _page(runs))
            elif self.path == "/stamp":
                self._send(HTTPStatus.OK, "text/plain", _stamp(runs))
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", "there is the report at / and nothing else")

        def _send(self, code: HTTPStatus, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Say nothing of each request."""

    try:
        server = _Server(("127.0.0.1", port), Answers)
    except (OSError, OverflowError) as error:
        raise RunError(
            f"port {port} cannot be served: {getattr(error, 'strerror', None) or error}; choose another --port (0: any free one)"
        ) from None
    with server:
        tell(f"http://127.0.0.1:{server.server_address[1]}/")
        server.serve_forever(poll_interval=0.2)


def _page(runs: Sequence[Path]) -> str:
    """The page of runs, which asks whether there is more; or of a study, which loads itself again."""
    if study := study_alone(runs):
        return page.render_study_page(StudyContents(study, study_lines(study)[1:]), live=True)
    return page.render_page(Contents(history.open_runs(runs)), live=True)


def _stamp(runs: Sequence[Path]) -> str:
    """What tells the page whether to load itself again, and then a line a run on what it does now."""
    read = history.open_runs(runs)
    sign = "/".join(f"{run.state}{sum(step.whole for step in run.steps)}" for run in read)
    return "\n".join([sign, *(f"{run.name}: {status.now(run)}" for run in read)])
