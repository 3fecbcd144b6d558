"""Secrets: what is known to be one, or looks like one, is struck out of every text that is written, printed or logged.

Messages, what is printed and what is logged pass `redact`; data (records, replies, small files) pass `strike`, which knows
only what this process was given. What a config needs to reach a server is taken out by `hide` and put back by `reveal`.
"""

import base64
import hashlib
import html
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, AnyStr
from urllib.parse import quote, quote_plus, unquote

from tutelage import encodings

STRUCK = "***"
_MESSAGE = 4  # characters of the shortest secret that can be told from text, in a message
_LONG = 12  # and of one that nobody writes by chance
_DATA = 8  # and in a reply or a lesson, which must not be changed for an everyday word
# What servers that want no key are given in its place: words, and no secret.
_NONE = re.compile(r"none|null|empty|dummy|fake|test|ollama|lm[-_]?studio|(?:sk-)?no(?:t|ne)?[-_]?(?:key|needed|key-?required)", re.IGNORECASE)  # fmt: skip

# Every pattern here takes time that grows with a text and no faster: one begins where a run of letters begins, and what
# it has read of a run it does not read again for the next beginning inside the run.
# Keys as their issuers make them: a mark of the issuer and a long random part.
_ISSUED = (
    r"\b(?:sk|pk|rk|xai|csk|pplx|nvapi|glpat|key)-[A-Za-z0-9_-]{{{n},}}"
    r"|\b(?:hf|gsk|r8|fw|gh[opsur]|github_pat|[spr]k_live|[spr]k_test|tgp_v1)_[A-Za-z0-9_-]{{{n},}}"
    r"|\bAIza[A-Za-z0-9_-]{{{n},}}|\bA[KS]IA[A-Z0-9]{{{n},}}|\bxox[a-z]-[A-Za-z0-9-]{{{n},}}"
    r"|\bya29\.[A-Za-z0-9_.-]{{{n},}}"
    r"|(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{{8,}}+\.[A-Za-z0-9_-]{{4}})"
    r"(?:[A-Za-z0-9_-]*?\b)?eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{4,}}"
)
_KEY = re.compile(_ISSUED.format(n=16))  # surely one
_LIKE = re.compile(_ISSUED.format(n=12))  # not worth showing
_HELD = (  # what stands where a secret does, and beside it; the last of them needs a digit
    re.compile(r"(?P<before>://)[^/\s'\"<>]+(?=@)"),
    re.compile(r"(?P<before>\b(?:bearer|basic)\s+)(?=[^\s,'\"]*[\d=])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?P<before>[?&](?:key|sig|auth|code)=)[^\s'\"&#]{4,}", re.IGNORECASE),
    re.compile(
        r"(?P<before>\b(?:x-)?(?:[a-z]+[-_])?(?:api[-_]?key|access[-_]?key|token|secret|password|passwd|signature"
        r"|authorization)['\"]?\s*[:=]\s*['\"]?)[^\s'\",;}&]{6,}",
        re.IGNORECASE,
    ),
)
# What a server that masks a key leaves of it.
_MASKED = re.compile(
    r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{2,}+\*{3,}+[A-Za-z0-9_-]*|(?<!\*)\*{3,}+[A-Za-z0-9_-]{2,}"
    r"|(?<![\w-])(?=[\w-]++(?:\.{3}|…))(?P<before>[\w-]*?)\b(?:sk|pk|hf|AIza)[-_][\w-]{2,}(?:\.{3}|…)[\w-]*"
)
_SECRET_WORDS = {
    *("key", "apikey", "token", "secret", "password", "passwd", "passphrase", "pwd", "credential", "credentials"),
    *("auth", "authorization", "bearer", "cookie", "signature", "sig"),
}
_PLAIN_WORDS = {"cache", "eos", "bos", "stop", "pad", "unk", "special", "max", "min", "budget", "think", "end"}
_HIDDEN = re.compile(r"hidden-[0-9a-f]{12}")
_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


class _Register:
    """What this process knows. Threads read it while others add to it, so it is replaced and never changed."""

    forms: Mapping[str, bool] = {}  # of every known secret, the longest first; whether it is struck out of data too
    flat: Mapping[str, bool] = {}  # the same of their forms in a text that is laid flat (`encodings`)
    held: Mapping[str, object] = {}  # what stands in the place of a secret -> the secret
    environment = False  # whether it was looked through


_known = _Register()


class Unknown(ValueError):
    """What stands in the place of a secret that this process does not know; the message says what, and not where."""


def know(*secrets: str | None) -> None:
    """These are secrets: they are struck out from now on, in whatever form they are met."""
    for secret in secrets:
        if secret and len(secret.strip()) >= _MESSAGE and not _NONE.fullmatch(secret.strip()):
            # A word as anybody writes it stays in data: a lesson is not to be changed for a password such as "apple".
            data = len(secret) >= _DATA and not (secret.isalpha() and secret.islower())
            _learn(dict.fromkeys(_forms_of(secret), data))
            _learn_flat(secret, data)


def _learn_flat(secret: str, data: bool) -> None:
    """Know a secret's odd forms too; made once, since a key is told at every request."""
    known, plain = _known.flat, encodings.flat(secret)
    if known.get(plain, False) < data or plain not in known:
        _known.flat = {**known, **{form: data or known.get(form, False) for form in encodings.forms_of(secret)}}


def _learn(fresh: Mapping[str, bool]) -> None:
    before = _known.forms
    merged = {**before, **{form: data or before.get(form, False) for form, data in fresh.items()}}
    if merged != before:
        _known.forms = dict(sorted(merged.items(), key=lambda item: -len(item[0])))


def _forms_of(secret: str) -> Iterator[str]:
    """A secret as it may be met: plain, in a URL, in JSON, in Python, in HTML, in hexadecimal and in base64."""
    for text in {secret, secret.strip(), unquote(secret)}:
        once, raw = json.dumps(text)[1:-1], text.encode("utf-8", "surrogatepass")
        whole = quote(text, safe="")
        yield from (text, whole, quote(text), quote_plus(text), re.sub("%..", lambda found: found[0].lower(), whole))
        yield from (once, json.dumps(once)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
        yield from (html.escape(text), raw.hex(), raw.hex().upper())
        yield from _base64_of(raw)


def _base64_of(content: bytes) -> Iterator[str]:
    """The base64 of a content wherever it stands in what is encoded: what its bytes alone decide, at each of three places."""
    if len(content) < 6:
        yield base64.b64encode(content).decode()
        return
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * shift + content).decode()
            yield text[math.ceil(shift * 8 / 6) : (shift + len(content)) * 8 // 6]


def strike(data: AnyStr) -> AnyStr:
    """Data without the secrets that this process has been given; all else stays as it is, to the byte."""
    if isinstance(data, bytes):
        if (odd := _without_odd(text := data.decode("utf-8", "surrogateescape"))) != text:
            data = odd.encode("utf-8", "surrogateescape")
        for form, always in _known.forms.items():
            if always and (raw := form.encode("utf-8", "surrogatepass")) in data:
                data = re.sub(re.escape(raw) + _REST.encode(), STRUCK.encode(), data)
        return data
    data = _without_odd(data)
    for form, always in _known.forms.items():
        if always and form in data:
            data = re.sub(re.escape(form) + _REST, STRUCK, data)
    return data


def _without_odd(text: str) -> str:
    """A text without the odd forms; looked for first, since they know where an escape begins, and leave no half of one."""
    flat = [form for form, always in _known.flat.items() if always]
    return encodings.struck(text, flat, STRUCK) if flat else text


_REST = "(?:[A-Za-z0-9+/_-]?={1,2})?"  # of a run of base64, which shows a few bits more


def redact(text: str, *secrets: str | None) -> str:
    """A message without secrets: those that are known, those of the environment, and what looks like one."""
    know(*secrets)
    if not _known.environment:
        know_environment()
    for form in _known.forms:
        if form in text:
            text = re.sub(re.escape(form) + _REST, STRUCK, text)
    text = encodings.struck(text, _known.flat, STRUCK) if _known.flat else text
    text = _MASKED.sub(_beside, text)
    for pattern in _HELD[:-1]:
        text = pattern.sub(_beside, text)
    text = _HELD[-1].sub(
        lambda found: _beside(found) if re.search(r"\d", found[0][len(found[1]) :]) else found[0], text
    )
    return _LIKE.sub(STRUCK, text)


def _beside(found: re.Match[str]) -> str:
    return f"{found['before'] or ''}{STRUCK}"


def redacted(value: object) -> Any:
    """A message made of mappings and lists, each text in it without secrets."""
    if isinstance(value, Mapping):
        return {key: redacted(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


_READ, _EDGE = 8_000, 2_000  # characters of what somebody says, and at their end those that may be half a secret


def told(message: object, *secrets: str | None, most: int = 300) -> str:
    """What somebody else's server or library says, in one short line and without secrets."""
    text = str(message)
    shown = redact(text[:_READ], *secrets)
    if len(text) > _READ:  # a secret that was cut in two is not known: what may be the half of one is not shown
        shown = shown[: -max(_EDGE, max(map(len, _known.forms), default=0))]
    line = " ".join(shown.split())
    return line if len(line) <= most and len(text) <= _READ else line[:most] + " …"


def know_environment() -> None:
    """Secrets are what variables with such a name hold, and what stands before the @ of an address."""
    _known.environment = True
    for name, value in os.environ.items():
        password = re.match(r"[a-z]+://([^/\s@]+)@", value)
        if password:
            know(password[1], *password[1].split(":", 1)[1:])
        elif is_secret_name(name) and len(value) >= 12 and not value.startswith(("/", "~")) and re.search(r"\d", value):
            _learn(dict.fromkeys(_forms_of(value), False))
            _learn_flat(value, False)


def arguments(words: Sequence[str]) -> list[str]:
    """The words of a command without secrets; the value of an option with such a name is none to be kept."""
    kept = []
    for word in words:
        name, equals, value = word.partition("=")
        last = name.rpartition(".")[2].lstrip("-")
        hidden = equals and is_secret_name(last) and not is_clear_name(value)
        kept.append(f"{redact(name)}={STRUCK}" if hidden else redact(word))
    return kept


def is_secret_name(name: str) -> bool:
    """Whether an option, a field or a variable of this name holds a secret: api_key, accessToken, DB_PASSWORD."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return bool(words & _SECRET_WORDS) and not words & _PLAIN_WORDS


def holds_key(text: str) -> bool:
    """Whether a text holds a key as an issuer makes them, or a secret that is known."""
    if not _known.environment:
        know_environment()
    return bool(_KEY.search(text)) or any(len(form) >= _LONG and form in text for form in _known.forms)


def is_random(text: str) -> bool:
    """Whether a text is one long word of letters and digits without sense, as keys of no known issuer are."""
    mixed = all(any(map(kind, text)) for kind in (str.islower, str.isupper)) and sum(map(str.isdigit, text)) > 2
    return mixed and bool(re.fullmatch(r"[A-Za-z0-9+]{20,}={0,2}", text))


def is_variable_name(text: str) -> bool:
    """Whether a text can be the name of an environment variable, and is no key that was put where the name belongs."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,99}", text) or _KEY.search(text):
        return False
    return is_clear_name(text) or sum(map(str.isdigit, text)) < 3


def is_clear_name(text: str) -> bool:
    """Whether it is such a name beyond doubt, and may be shown: it is set, or written as they are by custom."""
    return text in os.environ or bool(re.fullmatch(r"[A-Z][A-Z0-9]{0,30}(?:_[A-Z0-9]{1,30})+|[A-Z]{1,20}", text))


def is_open(value: str) -> bool:
    """Whether a value names its secret instead of holding it: `${NAME}`, or what stands in the place of a hidden one."""
    return bool(_VARIABLE.fullmatch(value) or _HIDDEN.fullmatch(value))


def is_hiding(text: str) -> bool:
    """Whether anything in a text stands in the place of a secret."""
    return bool(_HIDDEN.search(text))


def hide(secret: object) -> str:
    """What stands in the place of a secret from now on: the same for the same secret, and nobody can tell it from that.

    The digest is slow to make and short, so that trying out passwords finds none.
    """
    text = secret if isinstance(secret, str) else json.dumps(secret, default=str)
    slow = hashlib.pbkdf2_hmac("sha256", text.encode("utf-8", "surrogatepass"), b"tutelage", 100_000)
    mark = f"hidden-{slow[:6].hex()}"
    _known.held = {**_known.held, mark: secret}
    know(text)
    return mark


def reveal(value: object) -> Any:
    """A value as it is sent: what stands in the place of secrets is replaced by them. Raises Unknown."""
    if isinstance(value, Mapping):
        return {key: reveal(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [reveal(inner) for inner in value]
    if not isinstance(value, str) or not is_open(value):
        return value
    if found := _VARIABLE.fullmatch(value):
        secret = os.environ.get(found[1], "").strip()
        if not secret:
            raise Unknown(f"the environment variable {found[1]} is not set")
        know(secret)
        return secret
    if value not in _known.held:
        raise Unknown("a secret was taken out when the config was kept")
    return _known.held[value]
