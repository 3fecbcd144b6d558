"""An engine: a model in a process of its own, which answers what a fleet (`launch/fleet.py`) asks of it."""

import contextlib
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tutelage.errors import TutelageError
from tutelage.launch.channel import Parent
from tutelage.launch.orders import (
    Answered,
    AnyOrder,
    AnyWord,
    Ask,
    Begun,
    Cut,
    CutUp,
    Drop,
    Failed,
    Made,
    Open,
    Over,
    Ready,
    Weigh,
    Weighed,
)
from tutelage.models.answering import answers_of
from tutelage.models.local import streaming
from tutelage.models.local.doubt import doubt_of
from tutelage.models.opening import open_model
from tutelage.types import JsonObject

AT_ONCE = 256  # sequences in the hands of a model that makes batches of what it is given


class Answerer:
    """A model that takes orders, one after the other, and says what came of each."""

    def __init__(self, tell: Callable[[AnyWord], None]) -> None:
        self.tell = tell
        self.waiting: queue.Queue[AnyOrder | None] = queue.Queue()
        self._dropped: set[int] = set()
        self._model: Any = None
        self._at_once = 0
        self._told: Any = None  # of what its answers depend on

    def take(self, order: AnyOrder | None) -> None:
        """Put an order behind those that wait; None ends the work. May be called from another thread."""
        if isinstance(order, Drop):
            self._dropped.add(order.number)
        else:
            self.waiting.put(order)

    def work(self) -> None:
        """Do what is ordered until the end is. Whatever nobody foresaw is raised: the engine is not to be trusted then."""
        put_back: AnyOrder | None = None
        while (order := put_back or self.waiting.get()) is not None:
            put_back = None
            orders: list[AnyOrder] = [order]
            if isinstance(order, Ask) and self._at_once:
                put_back = self._gather(orders)
            live = [one for one in orders if not self._is_dropped(one)]
            try:
                self._do(live)
            except TutelageError as error:
                for one in live:
                    self.tell(Failed(number=one.number, kind=type(error).__name__, message=str(error)))

    def _is_dropped(self, order: AnyOrder) -> bool:
        """Whether nobody waits for it; then it is over."""
        if order.number not in self._dropped:
            return False
        self._dropped.discard(order.number)
        self.tell(Over(number=order.number))
        return True

    def _gather(self, orders: list[AnyOrder]) -> AnyOrder | None:
        """Add what else waits and can be answered together; returns the first order that cannot."""
        first = orders[0]
        assert isinstance(first, Ask)
        room = self._at_once // first.sampling.n - len(first.chats)
        with contextlib.suppress(queue.Empty):
            while room > 0:
                more = self.waiting.get_nowait()
                if not isinstance(more, Ask) or more.sampling != first.sampling:
                    if more is None:
                        self.waiting.put(None)
                    return more
                orders.append(more)
                room -= len(more.chats)
        return None

    def _do(self, orders: list[AnyOrder]) -> None:
        if not orders:
            return
        first = orders[0]
        if isinstance(first, Open):
            self._open(first)
            return
        for one in orders:
            self.tell(Begun(number=one.number))
        if isinstance(first, Cut):
            self.tell(
                CutUp(number=first.number, batches=self._model.batches(first.chats, first.sampling, first.engines))
            )
        elif isinstance(first, Weigh):
            for place, scores in self._model.score(first.chats, first.texts, first.top):
                self.tell(Weighed(number=first.number, place=place, scores=scores))
            self._end([first])
        else:
            asked = [one for one in orders if isinstance(one, Ask)]
            self._answer(asked)
            self._end(asked)

    def _open(self, order: Open) -> None:
        self._model = open_model(order.spec)
        if hasattr(self._model, "sharing"):
            self._model.sharing = order.sharing
        streaming.load_weights(self._model)
        self._at_once = 0 if hasattr(self._model, "batches") else int(getattr(self._model, "at_once", AT_ONCE))
        self.tell(Ready(number=order.number, at_once=self._at_once))

    def _answer(self, orders: list[Ask]) -> None:
        whose = [(one.number, place) for one in orders for place in range(len(one.chats))]
        chats = [chat for one in orders for chat in one.chats]
        with contextlib.closing(_as_generator(answers_of(self._model, chats, orders[0].sampling))) as answers:
            for index, replies in answers:
                number, place = whose[index]
                self._say_conditions()
                self.tell(Answered(number=number, place=place, replies=replies))
                if self._dropped.issuperset(one.number for one in orders):
                    return

    def _say_conditions(self) -> None:
        known = streaming.conditions(self._model)
        told = (len(known.get("rows") or []), {**known, "rows": (known.get("rows") or [])[-1:]})
        if known and told != self._told:
            self._told = told
            self.tell(Made(conditions=told[1]))

    def _end(self, orders: Iterable[Ask | Weigh]) -> None:
        told: JsonObject = {"remarks": streaming.remarks(self._model), "doubt": doubt_of(self._model)}
        for one in orders:
            self.tell(Over(number=one.number, **told))
            told = {}


def _as_generator(rows: Iterator[Any]) -> Any:
    yield from rows


def answer_orders() -> None:
    """What such a process does, until nobody speaks to it any more."""
    parent = Parent()
    answerer = Answerer(parent.tell)

    def listen() -> None:
        try:
            for order in parent.messages(AnyOrder):
                answerer.take(order)
        finally:
            parent.leave()  # whoever asked is gone, and what is in hand is for nobody

    threading.Thread(target=listen, daemon=True).start()
    try:
        answerer.work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # at once: what a broken engine leaves behind may wait for ever


if __name__ == "__main__":
    answer_orders()
