"""What may be asked for in a day: counted in a file, so that a server that is begun anew goes on counting."""

import json
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from tutelage.errors import RunError
from tutelage.parsing import json_file


class DayCaps:
    """Calls and dollars of a day (UTC). Whoever asks takes its place first, and pays what it came to afterwards.

    Dollars are known when a reply is there, so that those that are in flight together may pass the cap by what they take.
    """

    def __init__(
        self, file: Path, calls: int | None, dollars: float | None, clock: Callable[[], float] = time.time
    ) -> None:
        self.file, self.calls, self.clock = file, calls, clock
        self.dollars = None if dollars is None else Decimal(str(dollars))
        self._lock = threading.Lock()

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

    def _day(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(self.clock()))

    def _read(self) -> tuple[int, Decimal]:
        if not self.file.exists():
            return 0, Decimal(0)
        held = json_file(self.file)
        if held.get("day") != self._day():
            return 0, Decimal(0)
        return int(held["calls"]), Decimal(held["dollars"])

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
