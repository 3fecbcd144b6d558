"""What all teachers behind a network have in common: many requests at once, each reply handed on the moment it comes."""

import asyncio
import importlib
import queue
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial

from tutelage import redaction
from tutelage.errors import BudgetError, ConfigError, MissingPackage, ModelError
from tutelage.models.remote import adapting, hiding, received
from tutelage.models.remote.answers import Answer, Request, take
from tutelage.models.remote.dispatch import Fault, State, Traffic
from tutelage.models.remote.lanes import SdkClient
from tutelage.models.remote.meter import Meter
from tutelage.models.remote.pace import Limits, seconds_to_wait
from tutelage.models.remote.received import Read
from tutelage.models.remote.rotation import Rotation
from tutelage.models.remote.servers import Servers
from tutelage.models.remote.usage import TokensSaid, Usage, unread, usage
from tutelage.types import JsonObject, Reply

Arrival = tuple[int, Answer] | BaseException | None  # an answer, why there are no more, or the end

NO_KEY = "none"  # what an SDK is given where no key is meant for the server: it asks for one


class Endpoint(ABC):
    """A teacher behind HTTP. A dialect gives `open` (a client for one event loop) and `send` (one request, one answer)."""

    kind: str  # of model spec
    host: str  # where it is without a base_url
    variable: str  # environment variable of the key, unless the spec names another
    elsewhere: str  # and of an address: who sets both means the key for it
    package: str  # the SDK

    def __init__(
        self,
        name: str,
        base_url: str | Sequence[str] | None = None,
        key: str | None = None,
        system: str | None = None,
        limits: Limits | None = None,
        meter: Meter | None = None,
    ) -> None:
        if not name:
            raise ConfigError(f"{self.kind}: needs the name of a model, such as {self.kind}:NAME")
        for option, value in (("name", name), ("system", system)):
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"model kind {self.kind!r}: {option} must be text, and is {value!r}")
        self.model = name
        self.servers = Servers(f"{self.kind}:{name}", base_url, self.host, self.elsewhere)
        self.servers.name_key(key, self.variable)
        self.system = system
        # The identity in every cache key: another endpoint or system prompt is another teacher.
        self.name = f"{self.kind}:{name}@{self.servers.first}" + (f"#{system}" if system else "")
        self.limits = limits or Limits()
        self.meter = meter or Meter(name)
        self.meter.system = system or ""
        self.tell: Callable[[State], None] = lambda state: None
        self.stopping: Callable[[], bool] = lambda: False  # asked while nothing arrives
        self.say: Callable[[str], None] = warnings.warn  # what a user should know of the answers, each once
        self._said: set[str] = set()
        self._stop: Callable[[], None] | None = None
        # What this model does not take, found out from its refusals: field -> its name here, or "" for none at all.
        self.adapted: dict[str, str] = {}

    @abstractmethod
    def optional(self, request: Request) -> JsonObject:
        """The sampling's fields that a request would carry and can go without."""

    def sent(self, request: Request) -> JsonObject:
        """Those of the optional fields that the model takes, as far as is known."""
        return {field: value for field, value in self.optional(request).items() if field not in self.adapted}

    def left_out(self, request: Request) -> tuple[str, ...]:
        """Those of the optional fields that are not sent."""
        return tuple(sorted(self.optional(request).keys() & self.adapted.keys()))

    def answer(self, request: Request, read: Read, raw: bytes, left_out: tuple[str, ...]) -> Answer:
        """The answer to a request; what a user should know of it is said once."""
        answer = take(request, read, raw, left_out, self.system or "")
        for about in [one for one in answer.remarks if one not in self._said]:
            self._said.add(about)
            self.say(f"{self.kind}:{self.model}: {answer.remarks[about]}")
        return answer._replace(reply=self.meter.priced(answer.reply))

    def adapt(self, status: int, refusal: adapting.Refusal, sent: Mapping[str, object]) -> Fault | None:
        """Learn from a refusal what the model does not take; None if that is not what it says."""
        field = adapting.refused(refusal, sent) if status in (400, 422) else ""
        if not field:
            return None
        self.adapted = {**self.adapted, field: ""}  # another thread reads it
        return Fault("mended", refusal.message)

    def check(self) -> None:
        """Raise what can be known before anything is asked: that there is no key, or no SDK. Other servers may need no key."""
        self.servers.check()
        try:
            importlib.import_module(self.package)
        except ImportError:
            name = self.package.replace(".", "-")
            raise MissingPackage(name, f"a teacher of kind {self.kind!r}", f"'tutelage[{self.kind}]'") from None

    # Which statuses ask for less, and which others than a 5xx pass by themselves.
    busy = frozenset({429, 503, 529})
    again = frozenset({408, 409, 425})

    def fault(self, status: int, message: str, headers: Mapping[str, str], hopeless: bool = False) -> Fault:
        """A refusal by its HTTP status; `hopeless` ones end the call whatever their status."""
        said = f"HTTP {status}: {redaction.told(message, most=200)}"
        if status in (401, 403) and not self.servers.secret:
            return Fault(
                "fatal", f"{said}; no key was sent: if the server wants one, name its variable, key: {self.servers.key}"
            )
        if hopeless or status in (401, 403, 404):
            return Fault("fatal", f"{said}; check the key ({self.servers.key}), base_url and model name")
        after = seconds_to_wait(headers)
        if status in self.busy:
            return Fault("busy", said, after)
        return Fault("passing" if status >= 500 or status in self.again else "row", said, after)

    def passing(self, error: BaseException) -> Fault:
        """What an SDK says of a connection, or the fault that it wraps."""
        cause = error.__cause__ or error.__context__
        if isinstance(cause, Fault):
            return cause
        more = f" ({type(cause).__name__}: {cause})" if cause and str(cause) else ""
        return Fault("passing", f"{type(error).__name__}: {error}{more}")

    @abstractmethod
    def open(self, address: hiding.Address) -> SdkClient:
        """A client of a server, to be used on one event loop and closed after the call."""

    @abstractmethod
    async def send(self, client: SdkClient, request: Request) -> Answer:
        """Ask once; raises Fault."""

    @abstractmethod
    def used(self, done: Mapping[str, object]) -> TokensSaid:
        """What a reply's JSON says of tokens read and written, whatever that is."""

    def spoiled(self, request: Request, raw: bytes) -> Usage | None:
        """What a reply took that came and is none; None where it says that it is an error, and names no tokens."""
        try:
            done = received.object_in(raw, "reply")
        except Fault:
            return unread(request.chat, request.sampling, self.system or "", written=not raw)
        said = self.used(done)
        if done.get("error") and not any(said):
            return None
        return usage(said, request.chat, request.sampling, Reply(text=""), self.system or "")

    async def attempt(self, client: SdkClient, request: Request, index: int) -> Answer:
        """Ask once. What brings no answer holds nothing of the budget any longer, and counts where the server worked for it."""
        from tutelage.models.remote import transport

        try:
            return await self.send(client, request)
        except Fault:
            answer = transport.received()
            spent = self.spoiled(request, answer.content) if 200 <= answer.status < 300 else None
            if spent is None:
                self.meter.rest(index)
            else:
                self.meter.settle(index, spent, "unreadable")
            raise

    async def shut(self, client: SdkClient) -> None:
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
        openers = [partial(self.open, address) for address in self.servers.addresses()]
        rotation = Rotation(
            self.servers.urls or [self.host], openers, lambda line: self.say(f"{self.kind}:{self.model}: {line}")
        )

        def deliver(index: int, result: Answer | Fault) -> None:
            if isinstance(result, Fault):
                result = Answer(Reply(text="", finish="error", error=str(result), model=self.model), b"")
            else:
                self.meter.settle(index, result.usage, result.reply.finish)
            put((index, result))

        sizes = [self.meter.tokens(request.chat, request.sampling) for request in requests]
        traffic = Traffic[Answer](
            lambda index: rotation.through(index, lambda client: self.attempt(client, requests[index], index)),
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
            await rotation.close(self.shut)
        if traffic.refused:
            raise BudgetError(self.meter.refusal())
