"""What all teachers behind a network have in common: many requests at once, each reply handed on the moment it comes."""

import asyncio
import importlib
import os
import queue
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from tutelage.errors import BudgetError, ConfigError, MissingPackage, ModelError
from tutelage.models import adapting
from tutelage.models.lanes import Lanes
from tutelage.models.metered import Meter
from tutelage.models.pace import Limits
from tutelage.models.traffic import Fault, State, Traffic
from tutelage.types import Chat, Reply, Sampling


class Request(NamedTuple):
    """One reply that is wanted: a chat, how it is drawn, and which of the chat's samples it is."""

    chat: Chat
    sampling: Sampling
    sample: int

    @property
    def seed(self) -> int:
        """The seed to send: samples of one chat count up from the sampling's."""
        return self.sampling.seed + self.sample


class Answer(NamedTuple):
    """A reply and what the server sent, byte for byte."""

    reply: Reply
    raw: bytes
    left_out: tuple[str, ...] = ()  # what of the sampling was not sent, since the model does not take it


def answer(request: Request, reply: Reply, raw: bytes, left_out: tuple[str, ...]) -> Answer:
    """The answer to a request, cut where the server would have ended it if it had been told."""
    return Answer(adapting.cut(reply, request.sampling) if "stop" in left_out else reply, raw, left_out)


Arrival = tuple[int, Answer] | BaseException | None  # an answer, why there are no more, or the end


class Endpoint(ABC):
    """A teacher behind HTTP. A dialect gives `open` (a client for one event loop) and `send` (one request, one answer)."""

    kind: str  # of model spec
    host: str  # where it is without a base_url
    variable: str  # environment variable of the key, unless the spec names another
    package: str  # the SDK

    def __init__(
        self,
        name: str,
        base_url: str | None = None,
        key: str | None = None,
        system: str | None = None,
        limits: Limits | None = None,
        meter: Meter | None = None,
    ) -> None:
        if not name:
            raise ConfigError(f"{self.kind}: needs the name of a model, such as {self.kind}:NAME")
        for option, value in (("name", name), ("base_url", base_url), ("key", key), ("system", system)):
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"model kind {self.kind!r}: {option} must be text, and is {value!r}")
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"model kind {self.kind!r}: base_url must begin with http:// or https://, and is {base_url!r}"
            )
        self.model = name
        self.base_url = base_url
        self.key_is_named = key is not None
        self.key = key or self.variable
        self.system = system
        # The identity in every cache key: another endpoint or system prompt is another teacher.
        self.name = f"{self.kind}:{name}@{base_url or self.host}" + (f"#{system}" if system else "")
        self.limits = limits or Limits()
        self.meter = meter or Meter(name)
        self.tell: Callable[[State], None] = lambda state: None
        self.stopping: Callable[[], bool] = lambda: False  # asked while nothing arrives
        self._stop: Callable[[], None] | None = None
        # What this model does not take, found out from its refusals: field -> its name here, or "" for none at all.
        self.adapted: dict[str, str] = {}

    @abstractmethod
    def optional(self, request: Request) -> dict[str, Any]:
        """The sampling's fields that a request would carry and can go without."""

    def sent(self, request: Request) -> dict[str, Any]:
        """Those of the optional fields that the model takes, as far as is known."""
        return {field: value for field, value in self.optional(request).items() if field not in self.adapted}

    def left_out(self, request: Request) -> tuple[str, ...]:
        """Those of the optional fields that are not sent."""
        return tuple(sorted(self.optional(request).keys() & self.adapted.keys()))

    def adapt(self, status: int, message: str, sent: Collection[str], param: str | None = None) -> Fault | None:
        """Learn from a refusal what the model does not take; None if that is not what it says."""
        field = adapting.refused(message, param, sent) if status in (400, 422) else ""
        if not field:
            return None
        self.adapted = {**self.adapted, field: ""}  # another thread reads it
        return Fault("mended", redact(message, self.secret))

    @property
    def secret(self) -> str | None:
        """The key, from its environment variable."""
        return os.environ.get(self.key)

    def check(self) -> None:
        """Raise what can be known before anything is asked: that there is no key, or no SDK."""
        if not self.secret:
            raise ModelError(f"the teacher {self.kind}:{self.model} needs a key in the environment variable {self.key}")
        try:
            importlib.import_module(self.package)
        except ImportError:
            name = self.package.replace(".", "-")
            raise MissingPackage(name, f"a teacher of kind {self.kind!r}", f"'tutelage[{self.kind}]'") from None

    # Which statuses ask for less, and which others than a 5xx pass by themselves.
    busy = frozenset({429, 503, 529})
    again = frozenset({408, 409, 425})

    def fault(self, status: int, message: object, headers: Any, hopeless: bool = False) -> Fault:
        """A refusal by its HTTP status; `hopeless` ones end the call whatever their status."""
        said = redact(f"HTTP {status}: {message}", self.secret)
        if hopeless or status in (401, 403, 404):
            return Fault("fatal", f"{said}; check the key ({self.key}), base_url and model name")
        after = seconds_to_wait(headers)
        if status in self.busy:
            return Fault("busy", said, after)
        return Fault("passing" if status >= 500 or status in self.again else "row", said, after)

    @abstractmethod
    def open(self) -> Any:
        """A client, to be used on one event loop and closed after the call."""

    @abstractmethod
    async def send(self, client: Any, request: Request) -> Answer:
        """Ask once; raises Fault."""

    async def shut(self, client: Any) -> None:
        """Close a client."""
        await client.close()

    def stop(self) -> None:
        """Send nothing new: the running `ask` yields what is in flight and ends."""
        if self._stop is not None:
            self._stop()

    def ask(self, requests: Sequence[Request]) -> Generator[tuple[int, Answer]]:
        """Yield `(index, answer)` as they come; a request that failed for good is an answer with an error.

        Raises ModelError when nothing can succeed, and BudgetError when the meter refuses what is left, after
        everything that was in flight has been yielded.
        """
        if not requests:
            return
        self.check()
        arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        worker = threading.Thread(target=self._work, args=(requests, arrived), daemon=True)
        worker.start()
        try:
            while (item := self._next(arrived)) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        except GeneratorExit:
            self.stop()
            worker.join(timeout=self.limits.timeout)
            raise
        except BaseException:  # nothing came of it, or the user wants to leave now: nobody waits
            self.stop()
            raise
        finally:
            self._stop = None

    def _next(self, arrived: "queue.SimpleQueue[Arrival]") -> "Arrival":
        """What arrives next; while nothing does, the user may ask to stop."""
        while True:
            try:
                return arrived.get(timeout=0.25)
            except queue.Empty:
                if self.stopping():
                    self.stop()

    def _work(self, requests: Sequence[Request], arrived: "queue.SimpleQueue[Arrival]") -> None:
        try:
            asyncio.run(self._run(requests, arrived.put))
        except BaseException as error:  # handed over to the thread that asked
            arrived.put(error)
        arrived.put(None)

    async def _run(self, requests: Sequence[Request], put: Callable[[tuple[int, Answer]], None]) -> None:
        lanes = Lanes(self.open)

        def deliver(index: int, result: Answer | Fault) -> None:
            if isinstance(result, Fault):
                self.meter.release(index)
                result = Answer(Reply(text="", finish="error", error=str(result), model=self.model), b"")
            else:
                self.meter.settle(index, result.reply)
            put((index, result))

        sizes = [self.meter.tokens(request.chat, request.sampling) for request in requests]
        traffic = Traffic[Answer](
            lambda index: lanes.through(lambda client: self.send(client, requests[index])),
            deliver,
            self.limits,
            admit=lambda index: self.meter.reserve(index, requests[index].chat, requests[index].sampling),
            tell=self.tell,
            lost=self.meter.lost,
        )
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(traffic.stop)

        self._stop = stop
        try:
            await traffic.run(sizes)
        except Fault as fault:
            raise ModelError(f"{self.name}: {fault}") from None
        finally:
            self._stop = None
            self.meter.end()
            await lanes.close(self.shut)
        if traffic.refused:
            raise BudgetError(self.meter.refusal())


def split_thinking(text: str, apart: str | None = None) -> tuple[str, str]:
    """The answer and the thinking before it: `apart` where the server keeps them apart, else what stands in <think>.

    A thinking that was cut off leaves no answer.
    """
    if apart:
        return text, apart
    thinking, ended, said = text.partition("</think>")
    opened = thinking.lstrip()
    if ended:
        return said.lstrip(), opened.removeprefix("<think>").strip()
    return ("", opened.removeprefix("<think>").strip()) if opened.startswith("<think>") else (text, "")


def redact(message: str, *secrets: str | None) -> str:
    """A server's message in one short line, without keys."""
    for secret in secrets:
        if secret:
            message = message.replace(secret, "***")
    message = re.sub(r"\b(?:sk|pk|key|AIza)[-_A-Za-z0-9]{12,}", "***", message)
    line = " ".join(message.split())
    return line if len(line) <= 300 else line[:300] + " …"


def seconds_to_wait(headers: Any, now: float | None = None) -> float | None:
    """What a Retry-After header asks for, in seconds: a number, or a date [RFC 9110, 10.2.3]; None without one."""
    value = headers.get("retry-after-ms")
    if value is not None:
        try:
            return max(0.0, float(value) / 1000)
        except ValueError:
            pass
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (TypeError, ValueError):
        return None
