"""A model made of engines: many processes answer, and whoever asks sees one model."""

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tutelage import errors
from tutelage.errors import ModelError, TutelageError
from tutelage.launch.engines import Engine, Engines
from tutelage.launch.orders import Answered, Ask, Begun, Cut, CutUp, Drop, Failed, Made, Over, Weigh, Weighed
from tutelage.models.local import streaming
from tutelage.models.local.doubt import Doubt
from tutelage.types import Chat, JsonObject, Model, Reply, Sampling, TokenScores

PACKET = 32  # sequences in an order, where an engine makes batches of what it is given
TRIES = 3  # engines that a question may end before it is given up
_LINES = 5  # of what engines have to say of their answers, each of a part of the questions
_LOST = 0.01  # share of the questions that may be given up


@dataclass
class Packet:
    """Chats that are sent together: places among those of a call."""

    call: "Call"
    places: list[int]
    blame: int = 0  # engines that ended with it in hand


@dataclass
class Call:
    """Something that is asked of the fleet, and what has come of it."""

    chats: Sequence[Chat]
    sampling: Sampling | None  # None: the texts are weighed
    texts: Sequence[str] = ()
    top: int = 0
    found: deque[tuple[int, Any]] = field(default_factory=deque)
    owed: set[int] = field(default_factory=set)
    lost: int = 0
    error: TutelageError | None = None
    cut: bool = False  # into packets
    cuts: int = 0  # engines that ended while they looked at it

    @property
    def samples(self) -> int:
        """Sequences that a chat asks for."""
        return self.sampling.n if self.sampling else 1

    def order(self, number: int, places: Sequence[int]) -> Ask | Weigh:
        """The order to do some of it."""
        chats = [self.chats[place] for place in places]
        if self.sampling:
            return Ask(number=number, chats=chats, sampling=self.sampling)
        return Weigh(number=number, chats=chats, texts=[self.texts[place] for place in places], top=self.top)


class Fleet:
    """Answers with many engines of one model.

    A sample's seed depends on its content alone, so what is answered does not depend on who answers. Questions in the
    hands of an engine that ends go to another; one that ends `TRIES` of them, alone, is given up as an error.
    """

    def __init__(self, twin: Model, engines: Engines) -> None:
        self.twin = twin  # the model as it would be opened here; nothing of it is loaded but its outline
        self.name = twin.name
        self.engines = engines
        self.again = 0  # questions that were asked again
        self._waiting: deque[Packet] = deque()
        self._out: dict[int, Packet] = {}  # by the number of the order
        self._cutting: dict[int, Call] = {}
        self._calls: list[Call] = []
        self._number = itertools.count(1)
        self._lock = threading.RLock()
        self._known: JsonObject = {}
        self._rows: list[int] = []
        self.doubt = Doubt()
        self._remarks: list[str] = []
        self._told: dict[str, tuple[int, ...]] = {}  # what `_since` counted the last time

    def answer(self, chats: Sequence[Chat], sampling: Sampling) -> Iterator[tuple[int, list[Reply]]]:
        """Yield replies as engines finish them, each chat's once."""
        return self._called(Call(chats, sampling))

    def score(self, chats: Sequence[Chat], replies: Sequence[str], top: int = 0) -> Iterator[tuple[int, TokenScores]]:
        """Yield how likely each text is, as engines finish them."""
        return self._called(Call(chats, None, replies, top))

    def check_room(self, chats: Sequence[Chat], sampling: Sampling, taught: bool = False) -> None:
        """Refuse questions that the model cannot hold, knowing its tokenizer and no weights."""
        streaming.check_room(self.twin, chats, sampling, taught)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text is to the model."""
        return int(self.twin.count_tokens(text))  # type: ignore[attr-defined]

    def conditions(self) -> JsonObject:
        """What the rounding of its answers depends on, and where they were made, once there are some."""
        if not self._known:
            return {}
        return {**self._known, "engines": self.engines.count, "rows": list(self._rows)}

    def places(self) -> JsonObject:
        """Where the answers since the last time were made: how many engines were ready since when, and what became of them."""
        deaths, again, _ = self._since("places")
        return {"model": self.name, "deaths": deaths, "asked_again": again, **self.engines.places()}

    def remarks(self) -> list[str]:
        """What a reader should know of how the answers were made, once each."""
        every, self._remarks = list(dict.fromkeys(self._remarks)), []
        said = [*every[:_LINES], *([f"and {len(every) - _LINES} lines more like these"] if every[_LINES:] else [])]
        deaths, again, stalls = self._since("remarks")
        if deaths:
            stalled = f" ({stalls} of them had fallen silent)" if stalls else ""
            said.append(
                f"{deaths} of its processes ended{stalled} and were replaced, {again} questions were asked again; the last ended "
                f"with {self.engines.last_words}"
            )
        return said

    def _since(self, what: str) -> list[int]:
        """Deaths, questions asked again and processes fallen silent since the same was told the last time."""
        now = (self.engines.deaths, self.again, self.engines.stalls)
        had, self._told[what] = self._told.get(what, (0, 0, 0)), now
        return [count - before for count, before in zip(now, had, strict=True)]

    def release(self) -> None:
        """End the engines; asked again, it starts others."""
        with self._lock:
            self.engines.end()
            self._out.clear()
            self._waiting.clear()
            self._cutting.clear()
            for call in self._calls:
                call.error = ModelError(f"{self.name} was let go of while it answered")

    def _called(self, call: Call) -> Iterator[tuple[int, Any]]:
        if not call.chats:
            return
        call.owed = set(range(len(call.chats)))
        with self._lock:
            self._calls.append(call)
        try:
            while call.owed or call.found or self._is_out(call):
                while call.found:
                    yield call.found.popleft()
                if call.error:
                    raise call.error
                if call.owed or self._is_out(call):
                    self._go_on(0.05)
        finally:
            with self._lock:
                self._forget(call)

    def _is_out(self, call: Call) -> bool:
        """Whether an engine may have something to say of it yet."""
        return any(packet.call is call for packet in list(self._out.values()))

    def _forget(self, call: Call) -> None:
        """Let go of what is left of a call that nobody waits for."""
        self._calls.remove(call)
        self._waiting = deque(packet for packet in self._waiting if packet.call is not call)
        mine = [number for number, packet in self._out.items() if packet.call is call]
        for number in [*mine, *(number for number, cutting in self._cutting.items() if cutting is call)]:
            self._out.pop(number, None)
            self._cutting.pop(number, None)
            for engine in self.engines.live.values():
                if number in engine.held:
                    engine.hand.tell(Drop(number=number))

    def _go_on(self, seconds: float) -> None:
        """Start engines, give them what waits, and take what they say. Whoever waits does it for all who do."""
        with self._lock:
            self.engines.start()
            self._deal()
            for engine, said in self.engines.words(seconds):
                if said is None:
                    self._bury(engine)
                else:
                    self._take(engine, said)
            if self.engines.is_hopeless:
                raise ModelError(
                    f"{self.name}: no process came to be ready in {self.engines.restarts} tries each; the last ended with "
                    f"{self.engines.last_words}"
                )

    def _deal(self) -> None:
        ready = [engine for engine in self.engines.live.values() if engine.ready]
        for call in self._calls:
            if not call.cut and (free := [engine for engine in ready if not engine.held]):
                call.cut = True
                self._cut(call, free[0])
        while self._waiting:
            packet = self._waiting[0]
            size, suspect = len(packet.places) * packet.call.samples, packet.blame >= TRIES - 1
            free = [engine for engine in ready if engine.has_room(size, suspect)]
            if not free:
                return
            engine, number = min(free, key=lambda one: sum(one.held.values())), next(self._number)
            self._waiting.popleft()
            self._out[number] = packet
            engine.give(packet.call.order(number, packet.places), size, suspect)

    def _cut(self, call: Call, engine: Engine) -> None:
        """Cut a call into packets, or ask an engine how, which knows what it can hold."""
        if not call.sampling:
            longest = sorted(range(len(call.chats)), key=lambda place: -len(call.texts[place]))
            size = max(1, min(PACKET, -(-len(longest) // (2 * self.engines.count))))
            self._put(call, [longest[at : at + size] for at in range(0, len(longest), size)])
        elif engine.at_once:
            size = max(1, min(PACKET // call.samples, -(-len(call.chats) // self.engines.count)))
            places = range(len(call.chats))
            self._put(call, [list(places[at : at + size]) for at in range(0, len(places), size)])
        else:
            number, shared = next(self._number), self.engines.count
            self._cutting[number] = call
            engine.give(Cut(number=number, chats=call.chats, sampling=call.sampling, engines=shared))

    def _put(self, call: Call, batches: Sequence[list[int]]) -> None:
        self._waiting.extend(Packet(call, batch) for batch in batches)

    def _take(self, engine: Engine, said: Any) -> None:
        number = said.number
        packet = self._out.get(number)
        if isinstance(said, CutUp):
            engine.is_over(number)
            if call := self._cutting.pop(number, None):
                self._put(call, said.batches)
        elif isinstance(said, Answered | Weighed):
            found = said.replies if isinstance(said, Answered) else said.scores
            if packet and packet.places[said.place] in packet.call.owed:
                self._found(packet.call, packet.places[said.place], found)
        elif isinstance(said, Over):
            engine.is_over(number)
            self._out.pop(number, None)
            self._remarks += said.remarks
            self.doubt.add(said.doubt)
            if packet and not packet.call.owed.isdisjoint(packet.places):
                name = packet.call.chats[min(packet.call.owed.intersection(packet.places))].question
                packet.call.error = ModelError(f"{self.name} left the question {name!r} unanswered")
        elif isinstance(said, Made):
            self._rows += said.conditions.get("rows") or []
            self._known = said.conditions
        elif isinstance(said, Failed):
            self._fail(engine, said)
        elif isinstance(said, Begun):
            engine.begun.add(number)

    def _found(self, call: Call, place: int, found: Any) -> None:
        call.owed.discard(place)
        call.found.append((place, found))

    def _fail(self, engine: Engine, said: Failed) -> None:
        """What an engine cannot do for a reason of the user's, no engine can."""
        kind: Any = getattr(errors, said.kind, ModelError)
        error = kind(said.message)
        engine.is_over(said.number)
        packet, cutting = self._out.pop(said.number, None), self._cutting.pop(said.number, None)
        calls = [packet.call] if packet else [cutting] if cutting else []
        if not said.number:  # it cannot even be opened
            calls = self._calls
            self.engines.end()
        for call in calls:  # none: nobody waits for it any more
            call.error = error

    def _bury(self, engine: Engine) -> None:
        """Have what an engine had in hand done by others, and find out what of it may have ended it."""
        for number in engine.held:
            if call := self._cutting.pop(number, None):
                call.cut, call.cuts = False, call.cuts + 1
                if call.cuts >= TRIES:
                    call.error = ModelError(
                        f"{self.name}: its processes end before anything is asked; the last ended with {self.engines.last_words}"
                    )
            packet = self._out.pop(number, None)
            if packet is None:
                continue
            left = [place for place in packet.places if place in packet.call.owed]
            self.again += len(left)
            blame = packet.blame + (number in engine.begun)
            if blame >= TRIES and len(left) == 1:
                self._give_up(packet.call, left[0])
            elif blame >= TRIES - 1:  # each alone, so that the one that does it is found
                self._waiting.extendleft(Packet(packet.call, [place], blame) for place in reversed(left))
            elif left:
                self._waiting.appendleft(Packet(packet.call, left, blame))

    def _give_up(self, call: Call, place: int) -> None:
        name, why = call.chats[place].question, self.engines.last_words
        said = f"question {name!r} ended {TRIES} of the processes of {self.name}, the last time alone in it; it ended with {why}"
        call.lost += 1
        if call.sampling is None or call.lost > max(1, _LOST * len(call.chats)):
            call.error = ModelError(said)
            return
        failed = Reply(text="", finish="error", error=said)
        self._found(call, place, [failed] * call.samples)
