"""The mistakes of an exam: what a student got wrong and can learn from."""

from collections.abc import Iterable

from tutelage.types import Attempt


def mistakes(attempts: Iterable[Attempt], keep: int | None = None) -> list[Attempt]:
    """The wrong attempts, at most `keep` different ones a question; unread and truncated ones are no mistakes to learn from."""
    seen: dict[str, set[str]] = {}
    found = []
    for attempt in attempts:
        said = seen.setdefault(attempt.question, set())
        words = " ".join(attempt.text.lower().split())
        if attempt.verdict == "wrong" and not attempt.truncated and words not in said:
            said.add(words)
            if keep is None or len(said) <= keep:
                found.append(attempt)
    return found
