"""The engines of a fleet: each is started, listened to, and replaced when it ends or falls silent."""

import queue
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tutelage.launch.channel import within
from tutelage.launch.hand import Hand, Hire
from tutelage.launch.orders import Open, Ready
from tutelage.types import JsonObject

_LOG = 200  # changes in their number that are told of
_BACK_OFF = 60.0  # seconds between two starts at the most


@dataclass
class Engine:
    """One of the engines, and what is in its hands."""

    hand: Hand
    number: int
    ready: bool = False
    at_once: int = 0
    held: dict[int, int] = field(default_factory=dict)  # sequences of each order
    begun: set[int] = field(default_factory=set)
    alone: bool = False  # what it holds is suspected of ending engines, and nothing else is given to it
    heard: float = field(default_factory=time.monotonic)

    def give(self, order: Any, sequences: int = 0, alone: bool = False) -> None:
        """Give it an order of so many sequences."""
        self.held[order.number] = sequences
        self.heard = time.monotonic()
        self.alone = alone
        self.hand.tell(order)

    def is_over(self, number: int) -> None:
        """An order is out of its hands."""
        self.held.pop(number, None)
        self.begun.discard(number)

    def has_room(self, sequences: int, alone: bool = False) -> bool:
        """Whether it should be given so many sequences more: one that makes its own batches has one order at a time."""
        if not self.ready or (self.held and (alone or self.alone)):
            return False
        return not self.held or (self.at_once > 0 and sum(self.held.values()) + sequences <= self.at_once)


class Engines:
    """So many engines of one model, each started again where it ends, later and later where that is in vain."""

    def __init__(self, hire: Hire, count: int, order: Open, stall: float, restarts: int) -> None:
        self.count = count
        self.live: dict[int, Engine] = {}
        self.deaths = 0
        self.stalls = 0
        self.last_words = ""
        self.restarts = restarts
        self._hire, self._order, self._stall = hire, order, stall
        self._words: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._machines: set[str] = set()
        self._in_vain = 0  # starts in a row of which none came to be ready
        self._not_before = 0.0
        self._begun = time.monotonic()
        # How many were ready, and since how many seconds after the beginning.
        self._log: deque[tuple[float, int]] = deque(maxlen=_LOG)

    def start(self) -> None:
        """Start what is missing, when it is time."""
        if time.monotonic() < self._not_before:
            return
        for number in range(self.count):
            if number not in self.live:
                hand = self._hire(number, lambda one, said: self._words.put((one, said)))
                self.live[number] = Engine(hand, number)
                hand.tell(self._order)

    @property
    def is_hopeless(self) -> bool:
        """Whether none is there, and too many starts in a row have come to nothing."""
        return self._in_vain > self.restarts * self.count and not any(one.ready for one in self.live.values())

    def words(self, seconds: float) -> "list[tuple[Engine, Any]]":
        """What engines have said, None for one that has ended and is no longer there; waits so long for the first."""
        found: list[tuple[Engine, Any]] = []
        for hand, said in within(self._words, seconds):
            if (engine := self._of(hand)) is not None:
                found.append((engine, self._noted(engine, said)))
        for engine in list(self.live.values()):
            if engine.hand.is_waiting:
                engine.heard = time.monotonic()
            # One that is loading, or has something in hand, should say something now and then.
            if (engine.held or not engine.ready) and time.monotonic() - engine.heard > self._stall:
                self.stalls += 1
                engine.hand.kill()  # and so it is heard to have ended
                engine.heard = time.monotonic()
        return found

    def _of(self, hand: Any) -> Engine | None:
        return next((one for one in self.live.values() if one.hand is hand), None)

    def _noted(self, engine: Engine, said: Any) -> Any:
        engine.heard = time.monotonic()
        if isinstance(said, Ready):
            engine.ready, engine.at_once, self._in_vain = True, said.at_once, 0
            self._machines |= {engine.hand.where} - {""}
        elif said is None:
            del self.live[engine.number]
            self.deaths += not engine.hand.is_waiting
            self.last_words = f"{engine.hand.how_it_ended}{_shown(engine.hand.said())}"
            if not engine.ready:
                self._in_vain += 1
                self._not_before = time.monotonic() + min(_BACK_OFF, 0.5 * 2 ** min(self._in_vain, 7))
        else:
            return said
        ready = sum(one.ready for one in self.live.values())
        self._log.append((round(time.monotonic() - self._begun, 1), ready))
        return said

    def places(self) -> JsonObject:
        """How many there are, how many were ready from which moment on, and the machines they were on, if not this one."""
        machines = {"machines": sorted(self._machines)} if self._machines else {}
        return {"engines": self.count, "ready": list(self._log), **machines}

    def end(self) -> None:
        """End all of them; the next use starts others."""
        for engine in list(self.live.values()):
            engine.hand.kill()
        self.live.clear()
        self._in_vain, self._not_before = 0, 0.0
        while not self._words.empty():
            self._words.get_nowait()


def _shown(words: str) -> str:
    return f": {words}" if words else ""
