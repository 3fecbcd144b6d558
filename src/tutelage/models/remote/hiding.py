"""Secrets in a model's spec: taken out at the door, so that no config, record or identity can hold them.

What is needed to reach the server stays known to this process (`redaction.reveal`) and is sent; in its place stands a
mark that is the same for the same secret. A key where none belongs is refused, and is not shown.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from tutelage import redaction, suspicion
from tutelage.errors import ConfigError
from tutelage.types import JsonObject

_NAMED = ("code", "subscription", "sas", "pass")  # of a query, beside what `is_secret_name` says
_INSTEAD = "keys are never written into a config: export NAME=… and say key: NAME (the variable's name)"


def spec(given: Mapping[str, object], where: str = "") -> JsonObject:
    """A model's spec without secrets; `where` is what comes before an option's name in an error."""
    found: JsonObject = {}
    for option, value in given.items():
        if redaction.holds_key(str(option)) or suspicion.is_opaque(str(option)):
            raise ConfigError(f"the name of an option in {where.rstrip('.') or 'a model'} holds a key, and {_INSTEAD}")
        name = f"{where}{redaction.redact(str(option))}"
        if option == "base_url" and isinstance(value, str):
            found[option] = address(value, name)
        elif option == "base_url" and isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
            found[option] = [address(one, name) for one in value]
        elif option == "extra" and isinstance(value, Mapping):
            found[option] = hide_fields(value)
        elif option == "key":
            found[option] = key(value, name)
        elif _holds(str(option), value):
            raise ConfigError(f"{name} holds a key, and {_INSTEAD}; for the Hugging Face hub export HF_TOKEN=…")
        else:
            found[option] = value
    return found


def _holds(option: str, value: object) -> bool:
    """Whether there is a secret anywhere in an option."""
    if isinstance(value, Mapping):
        return any(redaction.holds_key(str(key)) or _holds(f"{option}.{key}", inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return any(_holds(option, inner) for inner in value)
    if value is None or isinstance(value, bool) or (isinstance(value, str) and redaction.is_open(value)):
        return False
    named = redaction.is_secret_name(option.rpartition(".")[2]) or "headers" in option.lower().split(".")
    if not isinstance(value, str):
        return named  # one of digits only is read as a number
    opaque = redaction.is_random(value) and option not in ("kind", "name")
    return (named and bool(value)) or redaction.holds_key(value) or opaque


def key(value: object, name: str = "key") -> str | None:
    """The name of the variable that holds a key; a key in its place is refused."""
    if value is None or (isinstance(value, str) and redaction.is_variable_name(value)):
        return value
    raise ConfigError(
        f"{name} must be the name of an environment variable, and is none (it may be the key itself): {_INSTEAD}"
    )


def hide_fields(given: Mapping[str, object], inside: bool = False) -> JsonObject:
    """Fields of a request without their secrets: what is named like one or among headers, and what looks like one."""
    if any(redaction.holds_key(str(name)) or redaction.is_random(str(name)) for name in given):
        raise ConfigError(f"the name of a field in extra holds a key, and {_INSTEAD}")
    return {str(name): _field(str(name), value, inside) for name, value in given.items()}


def _field(name: str, value: object, inside: bool) -> object:
    inside = inside or redaction.is_secret_name(name) or "header" in name.lower()
    if isinstance(value, Mapping):
        return hide_fields(value, inside)
    if isinstance(value, list | tuple):
        return [_field(name, inner, inside) for inner in value]
    if value is None or isinstance(value, bool) or (isinstance(value, str) and redaction.is_open(value)):
        return value
    if isinstance(value, str):
        secret = (inside and bool(value)) or redaction.holds_key(value) or redaction.is_random(value)
    else:
        secret = inside
    return redaction.hide(value) if secret else value


def address(url: str, name: str = "base_url") -> str:
    """A server's address without the secrets in it: user and password, what is named like one, parts that look like a key."""
    if not url.startswith(("http://", "https://")):
        shown = f", and is {url!r}" if not set(url) & set("@?# ") and not suspicion.may_be_secret(url) else ""
        raise ConfigError(f"{name} must begin with http:// or https://{shown}")
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            f"{name} is no address of a server; a character such as / @ : # in a user or password is written as %XX"
        )
    user, at, host = parts.netloc.rpartition("@")
    if redaction.holds_key(host) or redaction.is_random(parts.netloc.rpartition("@")[2].partition(":")[0]):
        raise ConfigError(f"{name} holds a key where the name of a server belongs")
    if parts.fragment:
        raise ConfigError(
            f"{name} has something behind a #, which no server is sent; a # in a password is written as %23"
        )
    query = "&".join(_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    path = "/".join(redaction.hide(part) if _in_path(part) else part for part in parts.path.split("/"))
    return urlunsplit((parts.scheme, f"{_user(user)}{at}{host}", path, query, ""))


def _in_path(part: str) -> bool:
    """Whether a part of a path is a key; one without capitals may as well be the number of an account."""
    return redaction.holds_key(part) or redaction.is_random(unquote(part))


def _user(user: str) -> str:
    """User and password before an address: a password that is named instead of given may stay."""
    first, colon, password = user.partition(":")
    if not user or redaction.is_open(user) or (colon and redaction.is_open(password)):
        return user
    redaction.know(unquote(user), password, *(() if colon else (first,)))
    return redaction.hide(user)


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote(value)
    if not equals or not value or redaction.is_open(plain):
        return pair if not redaction.holds_key(unquote(pair)) else redaction.hide(pair)
    named = redaction.is_secret_name(name) or name.lower() in _NAMED
    secret = named or redaction.holds_key(plain) or suspicion.is_opaque(plain)
    if secret:
        redaction.know(plain)
    return f"{name}={redaction.hide(value)}" if secret else pair


class Address(NamedTuple):
    """Where a server is and what it is told of who asks, with every secret in its place. Never to be written down."""

    url: str
    user: tuple[str, str] | None  # sent as HTTP's basic authentication
    query: dict[str, str]

    def __repr__(self) -> str:
        return "Address(…)"


def address_with_secrets(url: str) -> Address:
    """An address with its secrets put back; raises `redaction.Unknown` where one is not known."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    pair = None
    if user:
        first, _, password = (user if "${" in user else redaction.reveal(user)).partition(":")
        pair = _plain(first), _plain(password)
        redaction.know(":".join(pair), pair[1] or pair[0])
    query = dict[str, str]()
    for one in parts.query.split("&") if parts.query else ():
        name, _, value = redaction.reveal(one).partition("=")
        query[_plain(name)] = _plain(value)
    path = "/".join(redaction.reveal(part) for part in parts.path.split("/"))
    return Address(urlunsplit((parts.scheme, host, path, "", "")), pair, query)


def is_at(url: str, host: str) -> bool:
    """Whether an address is that of a host, or of one below it, and nobody on the way can listen."""
    parts = urlsplit(url)
    there = (parts.hostname or "").rstrip(".")
    return parts.scheme == "https" and (there == host or there.endswith(f".{host}"))


def one_host(value: str, what: str) -> None:
    """Refuse an address, as it stands in a spec, that is another one once its %XX are undone, as a spec's are."""
    if not value.lower().startswith(("http:", "https:")):
        return  # it was encoded whole
    try:
        before, after = (urlsplit(text).netloc.rpartition("@")[2] for text in (value, unquote(value)))
    except ValueError:
        before, after = "", "?"
    if before != after:
        raise ConfigError(
            f"{what}: base_url names another server once its %XX are undone, as those of a spec are: write %25 for each % in "
            "user and password, or encode the whole address"
        )


def _plain(part: str) -> str:
    """A part of an address as it is meant: put in its place, and without %XX where it was written with them."""
    found: str = redaction.reveal(part)
    return found if part.startswith("${") else unquote(found)
