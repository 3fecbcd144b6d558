"""The lessons that were kept of what a teacher wrote, and the account of what was dropped and why."""

from collections.abc import Mapping

from msgspec import Struct

from tutelage.types import Lesson


class Kept(Struct, frozen=True, kw_only=True):
    """Lessons, and what became of the rest of what they were chosen from."""

    lessons: tuple[Lesson, ...]
    source: str  # what they were chosen from, in the plural: rationales, calls, exercises
    total: int  # how many of these there were
    dropped: Mapping[str, int]  # reason -> how often, in the order to be said; what is 0 is not said

    def line(self) -> str:
        """The account in one line."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        told = f" (dropped: {reasons})" if reasons else ""
        return f"{len(self.lessons)} lessons from {self.total} {self.source}{told}"
