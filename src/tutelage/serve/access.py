"""Who may come in: loopback names only, the right key, and no body that is too large."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tutelage.serve.openai_requests import Problem

_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
MOST_BYTES = 4 << 20  # of a request's body


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine and no other can reach it."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Rules(NamedTuple):
    """What a request must bring."""

    host: str  # the address that is listened to
    key: str = ""  # the bearer key, if one is needed

    def check(self, headers: Mapping[str, str], path: str) -> None:
        """Raise Problem for a request that may not come in."""
        self._check_names(headers)
        if self.key and path != "/health":
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.key.encode()):
                raise Problem(401, "the key is missing or wrong; send it as a bearer key", code="invalid_api_key")

    def _check_names(self, headers: Mapping[str, str]) -> None:
        """A web page that was loaded from elsewhere may not talk to this machine, even when its name now leads here."""
        host, origin = _name(headers.get("host", "")), headers.get("origin")
        local = is_loopback(self.host)
        if local and not is_loopback(host):
            raise Problem(403, f"the Host {host!r} is not this machine", code="host_not_allowed")
        if origin is not None:
            page = _name(origin.partition("://")[2])
            if page != host and not (local and is_loopback(page)):
                raise Problem(403, "pages from another origin may not ask this server", code="origin_not_allowed")


def _name(place: str) -> str:
    """The host of a "name:port", in lower case; of anything else none."""
    found = _PLACE.fullmatch(place)
    return found[1].strip("[]").lower() if found else ""


class Access:
    """Asks the rules before the app sees a request."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app = app
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it in, or say why not."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                self.rules.check(request.headers, request.url.path)
            except Problem as problem:
                await problem_response(problem)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    more = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}
    return Response(problem.body(), problem.status, more.get(problem.status), "application/json")


async def body_of(request: Request) -> bytes:
    """The body, as long as it is not too large; what is too large is read and dropped, so that the client hears why."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MOST_BYTES:
            body += chunk
        elif size > 16 * MOST_BYTES:
            break
    if size > MOST_BYTES:
        raise Problem(413, f"the body is larger than {MOST_BYTES >> 20} MB", code="request_too_large")
    return bytes(body)
