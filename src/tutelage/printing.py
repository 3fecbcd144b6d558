"""The one way to print: what is printed is text, so no markup in it is obeyed and nothing in it commands the terminal."""

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.text import Text

from tutelage.redaction import redact, redacted

# Control characters but newline and tab, the marks that turn the direction of writing, and halves of a character.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """A text as a terminal may see it: without secrets, and a control character is shown as its escape, such as \\x1b."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), redact(text))


def shown(*parts: str | tuple[str, str]) -> Text:
    """Parts, each a text or (text, style), as one text that a terminal may see."""
    return Text.assemble(*(visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts))


def console(stderr: bool = False) -> Console:
    """A terminal, or whatever stands in its place, that reads no markup."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def say(*parts: str | tuple[str, str], stderr: bool = False) -> None:
    """Print one line as it is, however long."""
    console(stderr).print(shown(*parts), soft_wrap=True)


def emit(line: str) -> None:
    """Print one line for a program that waits for it: not a character is changed, and it is there at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def emit_event(event: Mapping[str, object]) -> None:
    """Print an event as one line of JSON, for a program; no secret is in it, and control characters are escaped."""
    emit(json.dumps(redacted(msgspec.to_builtins(event, enc_hook=str))))


class _Stream:
    """A stream without secrets, whoever writes to it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what may be shown."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def guarded_streams() -> Iterator[None]:
    """Nothing that this process prints shows a secret: no library's log, warning or traceback either."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(before[0]), _Stream(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
