"""A secret that is met in a form nobody writes it in: encoded, in pieces, in other letters. Every search takes linear time.

A text is laid flat, that is without what may stand between the letters, its escapes taken for what they mean, and in small
letters; so are the forms of a secret, and then the one is looked for in the other. What is found is struck where it stands.
"""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from math import ceil

_LEAST = 12  # letters of a secret that is looked for so: a shorter one, or a word, would be found in what is none
_NAMED = {"amp": "&", "quot": '"', "apos": "'", "lt": "<", "gt": ">"}
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "/": "/", '"': '"'}
# Every repetition has an end, so that no text makes one begin at every letter and run through all of it.
_ESCAPE = re.compile(
    r"(?:\x1b|(?<!\\)\\{1,64}(?:u001[bB]|x1[bB]|033|e))\[[0-9;]{0,16}[A-Za-z]"  # what colours a terminal
    r"|</?[A-Za-z]{1,16}>"  # <think>, <b>
    r"|%(?:25){0,4}(?P<url>[0-9A-Fa-f]{2})"
    r"|(?<!\\)\\{1,64}(?:u(?P<long>[0-9A-Fa-f]{4})|x(?P<short>[0-9A-Fa-f]{2})|(?P<letter>[nrt/\"]))"
    r"|&(?:amp;){0,4}(?:#[xX]0{0,6}(?P<hex>[0-9A-Fa-f]{1,6})|#0{0,6}(?P<number>[0-9]{1,7}));?"
    r"|&(?P<name>amp|quot|apos|lt|gt);"
)
_MARKS = set("\\%&<\x1b")  # one of which every escape begins with
_BETWEEN = (*range(0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x61C, 0x180E, *range(0x2000, 0x2010), *range(0x2028, 0x2030), 0x205F)
_BETWEEN += (*range(0x2060, 0x2070), 0x3000, 0xFEFF, ord(":"), ord(","))
_SMALL: dict[int, int | None] = {**dict.fromkeys(_BETWEEN, None), **{letter: letter + 32 for letter in range(65, 91)}}
_REST = re.compile("(?:[A-Za-z0-9+/_-]?={1,6})?")  # of a run of base64, which shows a few bits more


def forms_of(secret: str) -> list[str]:
    """A secret as it may be met in a text that is laid flat; none for one that could be found in what is no secret."""
    plain = flat(secret)
    if len(plain) < _LEAST or not (any(map(str.isdigit, plain)) and any(map(str.isalpha, plain))):
        return []
    raw = secret.encode("utf-8", "surrogatepass")
    wide = secret.encode("utf-16-le", "surrogatepass")
    found = [plain, plain[::-1], flat(raw.decode("latin-1")), raw.hex(), wide.hex()]
    for content in (raw, wide, *(encode(raw) for encode in (base64.b64encode, base64.urlsafe_b64encode))):
        found += [*_cut(content, base64.b64encode, 3, 6), *_cut(content, base64.urlsafe_b64encode, 3, 6)]
    found += [*_cut(raw, base64.b32encode, 5, 5), *_in_fours(raw)]
    return [form for form in dict.fromkeys(map(flat, found)) if len(form) >= _LEAST]


def _cut(content: bytes, encode: Callable[[bytes], bytes], places: int, bits: int) -> Iterator[str]:
    """What the bytes of a content alone decide, at each of the places it may have in what is encoded."""
    for shift in range(places):
        text = encode(b"\0" * shift + content).decode()
        yield text[ceil(shift * 8 / bits) : (shift + len(content)) * 8 // bits]


def _in_fours(content: bytes) -> Iterator[str]:
    """The same in base85, whose groups of four bytes are whole or say nothing."""
    for shift in range(4):
        whole = content[shift : shift + (len(content) - shift) // 4 * 4]
        yield from (base64.b85encode(whole).decode(), base64.a85encode(whole).decode())


def flat(text: str) -> str:
    """A text without what may stand between letters, its escapes taken for what they mean, and in small letters."""
    if not _MARKS.isdisjoint(text):
        text = _ESCAPE.sub(_meant, text)
    return text.translate(_SMALL)


def _meant(escape: re.Match[str]) -> str:
    kind = escape.lastgroup
    if kind is None:
        return ""
    told = escape[kind]
    if kind in ("letter", "name"):
        return _LETTERS.get(told) or _NAMED[told]
    number = int(told, 10 if kind == "number" else 16)
    return chr(number) if number < 0x110000 else ""


def struck(text: str, forms: Iterable[str], instead: str) -> str:
    """A text in which each of these forms is replaced wherever it stands; all else stays as it is."""
    forms = list(forms)
    text = _struck(text, forms, instead, True)
    # Once more as it is written: a % before it may have made an escape of its first letters.
    return text if _MARKS.isdisjoint(text) else _struck(text, forms, instead, False)


def _struck(text: str, forms: Iterable[str], instead: str, escapes: bool) -> str:
    laid = flat(text) if escapes else text.translate(_SMALL)
    there = [form for form in forms if form in laid]
    if not there:
        return text
    begins, ends = _places(text, escapes)
    spans = sorted((begins[at], ends[at + len(form) - 1]) for form in there for at in _all(laid, form))
    parts, done = list[str](), 0
    for begin, end in spans:
        if begin >= done:
            parts += [text[done : max(done, _whole(text, begin))], instead]
        done = max(done, end)
        if rest := _REST.match(text, done):
            done = rest.end()
    return "".join([*parts, text[done:]])


def _whole(text: str, begin: int) -> int:
    """Where a place begins that would else lie inside of an escape such as \\" and leave half of it."""
    before = text[max(begin - 64, 0) : begin]
    return begin - (len(before) - len(before.rstrip("\\"))) % 2


def _all(laid: str, form: str) -> Iterator[int]:
    at = laid.find(form)
    while at >= 0:
        yield at
        at = laid.find(form, at + len(form))


def _places(text: str, escapes: bool) -> tuple[list[int], list[int]]:
    """Where each letter of the flat text begins and ends in the text."""
    begins, ends, done = list[int](), list[int](), 0

    def add(part: str, begin: int, end: int) -> None:
        for letter in part.translate(_SMALL):
            del letter  # one place for each that is left
            begins.append(begin)
            ends.append(end)

    for escape in _ESCAPE.finditer(text) if escapes else ():
        for at in range(done, escape.start()):
            add(text[at], at, at + 1)
        add(_meant(escape), *escape.span())
        done = escape.end()
    for at in range(done, len(text)):
        add(text[at], at, at + 1)
    return begins, ends
