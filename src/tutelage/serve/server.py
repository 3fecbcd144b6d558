"""The endpoint: routes over one batcher, each request awaited from the event loop, and the server that runs them."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tutelage.errors import ConfigError
from tutelage.serve import openai_requests, openai_responses
from tutelage.serve.access import Access, Rules, body_of, problem_response
from tutelage.serve.batcher import Batcher, Closed, Event, Full, PendingRequest, TooLong, Unfit
from tutelage.serve.connection import Connection
from tutelage.serve.metrics import CONTENT_TYPE, Metrics, Watched
from tutelage.serve.openai_requests import ChatRequest, Problem, Terms
from tutelage.types import Reply

T = TypeVar("T")
_OURS = 500  # statuses from here on are no fault of a client's


def make_app(batcher: Batcher, terms: Terms, rules: Rules) -> Starlette:
    """The routes, before the rules of access."""
    since = int(time.time())
    metrics = Metrics(lambda: batcher.waiting)

    async def health(request: Request) -> Response:
        return _json({"status": "ok"})

    async def counts(request: Request) -> Response:
        return Response(metrics.shown(), media_type=CONTENT_TYPE)

    async def models(request: Request) -> Response:
        return _json(openai_responses.models(terms.name, since))

    async def model(request: Request) -> Response:
        openai_requests.check_model(request.path_params["name"], terms)
        return _json(openai_responses.model(terms.name, since))

    async def chat(request: Request) -> Response:
        watched = Watched(metrics)
        try:
            asked = openai_requests.read_request(await body_of(request), terms)
            handle = RequestHandle(batcher, asked, watched, lambda reply: metrics.answered(reply, terms.name))
        except Problem:
            watched.ended("refused")
            raise
        answer = _stream if asked.stream else _whole
        return await _unless_gone(request, handle, answer(handle, openai_responses.Completion(terms.name), asked))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", counts),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/v1/chat/completions", chat, methods=["POST"]),
        ],
        middleware=[Middleware(Access, rules=rules)],
        exception_handlers={Problem: _refuse, HTTPException: _refuse, ClientDisconnect: _ignore, Exception: _refuse},
    )


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    """Any error as OpenAI shapes it; what nobody foresaw tells nothing of itself."""
    if isinstance(error, HTTPException):
        where = f"{request.method} {request.url.path}"
        error = Problem(error.status_code, f"{where}: {error.detail.lower()}; known: POST /v1/chat/completions")
    return problem_response(_problem(error))


async def _ignore(request: Request, error: Exception) -> Response:
    """The client has gone; nobody reads this."""
    return Response(status_code=499)


def _problem(error: Exception) -> Problem:
    """What a client is told of an error."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TooLong):
        return Problem(400, f"{error}; shorten it or lower max_tokens", "messages", "context_length_exceeded")
    if isinstance(error, Unfit):
        return Problem(400, str(error), "messages", "invalid_value")
    if isinstance(error, Full):
        return Problem(429, "too many requests are waiting; ask again later", code="rate_limit_exceeded")
    if isinstance(error, Closed):
        return Problem(503, "the server is stopping", code="server_stopping")
    return Problem(500, "the server failed; its log says why")


class RequestHandle:
    """One request as the event loop sees it."""

    def __init__(
        self, batcher: Batcher, asked: ChatRequest, watched: Watched, answered: Callable[[Reply], None]
    ) -> None:
        self._watched, self._answered = watched, answered
        self._told: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._job = PendingRequest(asked.chat, asked.sampling, self._tell, asked.flexible)
        self.samples = self._owed = asked.sampling.n
        try:
            batcher.hand_in(self._job)
        except (Full, Closed) as error:
            raise _problem(error) from None

    def _tell(self, told: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
            self._loop.call_soon_threadsafe(self._told.put_nowait, told)

    async def next(self) -> tuple[int, str | Reply]:
        """What comes next; raises Problem when there is no answer."""
        told = await self._told.get()
        if isinstance(told, Exception):
            problem = _problem(told)
            self._watched.ended("failed" if problem.status >= _OURS else "refused")
            raise problem from None
        self._watched.heard()
        if isinstance(told[1], Reply):
            self._count(told[1])
        return told

    def _count(self, reply: Reply) -> None:
        if reply.error:
            self._watched.ended("failed")
            raise Problem(502, f"the model behind this server did not answer: {reply.error}", code="no_answer")
        self._answered(reply)
        self._owed -= 1
        if not self._owed:
            self._watched.ended("answered")

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self._job.left = True
        self._watched.ended("left")  # unless it has ended in another way


async def _whole(handle: RequestHandle, completion: openai_responses.Completion, asked: ChatRequest) -> Response:
    replies: dict[int, Reply] = {}
    while len(replies) < handle.samples:
        sample, piece = await handle.next()
        if isinstance(piece, Reply):
            replies[sample] = piece
    body = completion.whole([replies[sample] for sample in sorted(replies)])
    return Response(body, media_type="application/json")


async def _stream(handle: RequestHandle, completion: openai_responses.Completion, asked: ChatRequest) -> Response:
    first = await handle.next()  # what cannot be answered gets a status of its own
    events = _events(handle, completion, first, asked.usage)
    return StreamingResponse(events, headers={"cache-control": "no-cache"}, media_type="text/event-stream")


async def _events(
    handle: RequestHandle, completion: openai_responses.Completion, first: tuple[int, str | Reply], usage: bool
) -> AsyncIterator[bytes]:
    replies: dict[int, Reply] = {}
    try:
        for sample in range(handle.samples):
            yield completion.first(sample)
        sample, piece = first
        while True:
            if isinstance(piece, Reply):
                replies[sample] = piece
                yield completion.last(sample, piece)
            else:
                yield completion.more(sample, piece)
            if len(replies) == handle.samples:
                break
            sample, piece = await handle.next()
        if usage:
            yield completion.used(list(replies.values()))
        yield openai_responses.DONE
    except Problem as problem:
        yield openai_responses.event(problem.body())
    finally:
        handle.leave()


async def _unless_gone(request: Request, handle: RequestHandle, answer: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer as long as its client does."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return answering.result()
    except BaseException:
        handle.leave()
        raise
    finally:
        answering.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
        # Each answer is several small writes, and none is to wait for the client to acknowledge the one before.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        said = os.strerror(number) if (number := getattr(error, "errno", None) or 0) > 0 else str(error)
        raise ConfigError(f"cannot listen at {host}, port {port}: {said}; choose another --port or --host") from None


class Server(uvicorn.Server):
    """Runs an app until Ctrl-C; `asked(times)` is told of each."""

    def __init__(self, app: Starlette, asked: Callable[[int], None]) -> None:
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", http=Connection, ws="none")
        super().__init__(config)
        self.asked = asked
        self.times = 0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Once: answer what is in hand. Twice: stop now. Its own way would raise the signal again at the end."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _stop(self, number: int, frame: object) -> None:
        self.times += 1
        self.should_exit, self.force_exit = True, self.times > 1
        if self.force_exit:  # the answers that are dropped now are no failure to be logged
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.asked(self.times)
