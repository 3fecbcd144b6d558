"""What may be asked for in a day: counted in a file, so that a server that is begun anew goes on counting."""

import json
import math
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tutelage.errors import ConfigError, RunError
from tutelage.parsing import json_file


class DayCaps:
    """Calls and dollars of a day (UTC). Whoever asks takes its place first, and pays what it came to afterwards.

    Dollars are known when a reply is there, so that those that are asked for together may pass the cap by what they take.
    """

    def __init__(
        self, file: Path, calls: int | None, dollars: float | None, clock: Callable[[], float] = time.time
    ) -> None:
        for option, value in (("calls_a_day", calls), ("dollars_a_day", dollars)):
            if value is not None and (isinstance(value, bool) or not math.isfinite(value) or value < 0):
                raise ConfigError(f"{option} must be 0 or more, and is {value!r}; leave it out for no limit")
        self.file, self.calls, self.clock = file, calls, clock
        self.dollars = None if dollars is None else Decimal(str(dollars))
        self._lock = threading.Lock()
        if self.is_set:
            self._read()  # one that cannot be read is told before anything is asked

    @property
    def is_set(self) -> bool:
        """Whether there is any cap."""
        return self.calls is not None or self.dollars is not None

    def take(self) -> str:
        """Take the place of one call; what stands against it in a few words, empty where nothing does."""
        if not self.is_set:
            return ""
        with self._lock:
            calls, dollars = self._read()
            if self.calls is not None and calls >= self.calls:
                return f"the day's {self.calls} calls are used"
            if self.dollars is not None and dollars >= self.dollars:
                return f"the day's ${self.dollars} are used"
            self._write(calls + 1, dollars)
            return ""

    def paid(self, dollars: str | None) -> None:
        """Count what a call came to; one whose price is not known counts as a call alone."""
        if self.dollars is None or not dollars or not Decimal(dollars):
            return
        with self._lock:
            calls, known = self._read()
            self._write(calls, known + Decimal(dollars))

    def give_back(self, calls: int) -> None:
        """Places that were taken for what was stored already, and cost nothing."""
        if self.is_set and calls:
            with self._lock:
                taken, dollars = self._read()
                self._write(max(0, taken - calls), dollars)

    def _day(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self.clock()))

    def _read(self) -> tuple[int, Decimal]:
        if not self.file.exists():
            return 0, Decimal(0)
        held = json_file(self.file)
        if held.get("day") != self._day():
            return 0, Decimal(0)
        try:
            calls, dollars = int(held["calls"]), Decimal(str(held["dollars"]))
        except (KeyError, TypeError, ValueError, ArithmeticError):
            calls, dollars = -1, Decimal(0)
        if calls < 0 or not dollars.is_finite():
            raise RunError(
                f"{self.file} is no count of a day's calls; it was changed since: remove it to begin the day anew"
            )
        return calls, dollars

    def _write(self, calls: int, dollars: Decimal) -> None:
        part = self.file.with_suffix(".part")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(
                json.dumps({"day": self._day(), "calls": calls, "dollars": f"{dollars:f}"}), encoding="utf-8"
            )
            part.replace(self.file)
        except OSError as error:
            raise RunError(f"the day's calls cannot be counted in {self.file}: {error.strerror}") from error
