"""Where a teacher's servers are, and which key is meant for them."""

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from tutelage import redaction
from tutelage.errors import ConfigError, ModelError
from tutelage.models.remote import hiding

Hidden = TypeVar("Hidden")
Shown = TypeVar("Shown")


class Servers:
    """The addresses of a teacher, as they may be written down, and its key.

    `home` is the provider's host, where a teacher is that has no address; `variable` holds the key for it, and
    `elsewhere` an address: who sets both means the key for it. `key` is the variable that the user named, if any.
    """

    def __init__(self, model: str, base_url: str | Sequence[str] | None, home: str, elsewhere: str) -> None:
        self.model = model  # as errors name it
        self.home = home
        kind = model.partition(":")[0]
        given = [base_url] if isinstance(base_url, str) else list(base_url or ())
        self.urls = [hiding.address(url, f"model kind {kind!r}: base_url") for url in given]
        # The identity of its replies: servers that are added behind the first are said to hold the same model.
        self.first = self.urls[0] if self.urls else home
        stated = os.environ.get(elsewhere, "").rstrip("/")
        self._is_stated = bool(given) and all(url.rstrip("/") == stated for url in given)

    def name_key(self, key: object, variable: str) -> None:
        """Say which variable holds the key: the one the user named, or the kind's own."""
        self.is_named = key is not None
        self.key = hiding.key(key, f"model kind {self.model.partition(':')[0]!r}: key") or variable

    @property
    def secret(self) -> str | None:
        """The key, from its environment variable, where it is meant for every one of these servers; no other is sent one."""
        if not (self.is_named or self._is_stated or self.is_home()):
            return None
        key = os.environ.get(self.key, "").strip()
        redaction.know(key)
        return key or None

    def is_home(self) -> bool:
        """Whether all servers are the provider's own."""
        return all(hiding.is_at(address.url, self.home) for address in self.addresses() if address.url)

    def addresses(self) -> list[hiding.Address]:
        """Where the servers are, with what was hidden."""
        if not self.urls:
            return [hiding.Address("", None, {})]
        return [self.shown(hiding.address_with_secrets, url) for url in self.urls]

    def shown(self, reveal: Callable[[Hidden], Shown], hidden: Hidden) -> Shown:
        """What is hidden, as it is sent; an error names what is not known."""
        try:
            return reveal(hidden)
        except redaction.Unknown as error:
            raise ConfigError(
                f"the teacher {self.model}: {error}. Name the config that it came from, or export it as NAME=… "
                "and write ${NAME} in its place"
            ) from None

    def check(self) -> None:
        """Raise what can be known of addresses and key before anything is asked. Servers elsewhere may need no key."""
        self.addresses()
        key = self.secret
        if not key and (self.is_named or self.is_home()):
            named = self.key if redaction.is_clear_name(self.key) else "that `key` names (it is not set)"
            raise ModelError(f"the teacher {self.model} needs a key in the environment variable {named}")
        if key and not (key.isascii() and key.isprintable()):
            raise ModelError(
                f"the key in {self.key} holds a character that no key has, such as a line break or a quote"
            )
