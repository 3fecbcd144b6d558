r"""Final answers of mathematics, as LaTeX: what is compared with what. Pure: strings and a prover in, a verdict out.

Sets, tuples, intervals, matrices, equations, units and words are taken apart here; a prover only ever sees two plain
expressions. Why not leave it all to a computer algebra system: see the cases in tests/tasks/expressions.tsv.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from tutelage.grading.notation import LONGEST, normal

Prover = Callable[[str, str, str], bool | None]  # "value" or "equation", two expressions -> equal, or not decided
_MOST_PARTS = 24  # of two answers, that are compared each with each

_ASSIGNED = re.compile(
    r"^[a-zA-Z](?:_\{?\w+\}?)?(?:\([a-zA-Z](?:,[a-zA-Z])*\))?\s*=(?!=)\s*|^[a-zA-Z]\s*\\in(?![a-z])\s*"
)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:/\d+)?$")
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z' -]+$")
_BASED = re.compile(r"\w+_\{?\d+\}?$")  # a number in another base
_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}$", re.DOTALL)
_ORDER = re.compile(r"\\leq?(?![a-z])|\\geq?(?![a-z])|≤|≥|<|>|\\lt(?![a-z])|\\gt(?![a-z])")
_SIGN = {r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥", r"\lt": "<", r"\gt": ">"}


def equal(answer: str, gold: str, prove: Prover) -> bool | None:
    """Whether two final answers are the same; None when that cannot be decided."""
    if max(len(answer), len(gold)) > LONGEST:
        return None
    return _equal(normal(answer), normal(gold), prove)


def _equal(a: str, b: str, prove: Prover) -> bool | None:
    if (plain := _plainly(a, b)) is not None:
        return plain
    a, b = _without_name(*_worked_out(a, b))
    shapes = _shape(a), _shape(b)
    if shapes != (None, None):
        return _same_shape(shapes[0] or ("", [a]), shapes[1] or ("", [b]), prove)
    if ("=" in a) != ("=" in b):
        return False
    return prove("equation" if "=" in a else "value", a, b)


def _worked_out(a: str, b: str) -> tuple[str, str]:
    """Of "3 + 2 = 5" and of "5 = 2 + 3" the number, where the other answer is no equation."""
    if ("=" in a) == ("=" in b):
        return a, b
    return _result(a), _result(b)


def _result(text: str) -> str:
    bare = _ASSIGNED.sub("", text, count=1)
    sides = [side.strip() for side in bare.split("=")]
    if len(sides) == 1 or re.search("[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", bare)):
        return text
    bare_sides = (side.replace(" ", "") for side in (sides[-1], sides[0]))
    numbers = [side for side in bare_sides if _NUMBER.match(side)]
    if len(sides) == len(numbers) == 2 and _fraction(numbers[0]) != _fraction(numbers[1]):
        return text  # "5 = 6" comes to nothing
    return numbers[0] if numbers else sides[-1]


def _plainly(a: str, b: str) -> bool | None:
    """What needs no algebra: the same writing, two numbers, two words; else None."""
    a, b = a.replace(" ", ""), b.replace(" ", "")
    if not a or not b:
        return False
    if _NUMBER.match(a) and _NUMBER.match(b):
        return a == b or (_fraction(a) is not None and _fraction(a) == _fraction(b))
    if _WORDS.match(a) and _WORDS.match(b) and max(len(a), len(b)) > 3:
        return _words(a) == _words(b)
    if any(len(x) > 3 and _WORDS.match(x) and _NUMBER.match(y) for x, y in ((a, b), (b, a))):
        return False
    if _BASED.match(a) or _BASED.match(b):
        return re.sub("[{}]", "", a) == re.sub("[{}]", "", b)
    return True if a == b else None


def _fraction(number: str) -> Fraction | None:
    top, _, bottom = number.partition("/")
    return None if bottom and not int(bottom) else Fraction(top) / int(bottom or 1)


def _words(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _without_name(a: str, b: str) -> tuple[str, str]:
    """Without "x =" or "x in" before either, unless both are equations of several letters."""
    bare_a, bare_b = _ASSIGNED.sub("", a, count=1), _ASSIGNED.sub("", b, count=1)
    if "=" in a and "=" in b and (bare_a == a) != (bare_b == b):
        return a, b
    if "=" in bare_a or "=" in bare_b:
        return a, b
    if bare_a != a and bare_b != b and a[0] != b[0] and re.search("[a-zA-Z]", bare_a):
        return a, b  # y = 2x and x = 2y are different lines
    return bare_a, bare_b


Shape = tuple[str, list[str]]  # the brackets, or "matrix", "or" (a union), "" for a bare list; and the parts


def _shape(text: str) -> Shape | None:
    """The parts of a compound answer, or None for a plain expression."""
    for look in (_matrix, _interval, _union, _bracketed, _listed):
        if shape := look(text):
            return shape
    return None


def _matrix(text: str) -> Shape | None:
    matrix = _MATRIX.match(text)
    if matrix is None:
        return None
    rows = [row.split("&") for row in re.split(r"\\\\", matrix[2]) if row.strip()]
    return f"matrix {len(rows)}", [cell.strip() for row in rows for cell in row]


def _union(text: str) -> Shape | None:
    parts = [part.strip() for part in re.split(r"\\cup(?![a-z])|∪|\bor\b", text)]
    return ("or", parts) if len(parts) > 1 else None


def _bracketed(text: str) -> Shape | None:
    found = _brackets(text)
    if found is None:
        return None
    kind, inside = found
    parts = [part for part in _split(inside) if part]
    if len(parts) == 1 and kind in ("()", "[]"):  # plain brackets around one thing
        return _shape(parts[0]) or ("", parts)
    return kind, parts


def _listed(text: str) -> Shape | None:
    parts = _split(re.sub(r"\band\b", ",", text))
    if len(parts) > 1:
        return "", parts
    if r"\pm" in text:
        return "", [text.replace(r"\pm", "+", 1).lstrip("+ "), text.replace(r"\pm", "-", 1)]
    return None


def _interval(text: str) -> Shape | None:
    """x > 2 as (2, infinity); 1 <= x < 2 as [1, 2)."""
    signs = [_SIGN.get(match[0], match[0]) for match in _ORDER.finditer(text)]
    sides = [side.strip() for side in _ORDER.split(text)]
    if len(signs) == 1 and re.fullmatch("[a-zA-Z]", sides[1]):
        sides, signs = sides[::-1], [{"<": ">", ">": "<", "≤": "≥", "≥": "≤"}[signs[0]]]
    if len(signs) == 1 and re.fullmatch("[a-zA-Z]", sides[0]):
        closed = signs[0] in "≤≥"
        if signs[0] in "<≤":
            return ("(]" if closed else "()"), [r"-\infty", sides[1]]
        return ("[)" if closed else "()"), [sides[1], r"\infty"]
    if len(signs) == 2 and re.fullmatch("[a-zA-Z]", sides[1]):
        if set(signs) <= set(">≥"):
            sides, signs = sides[::-1], [{">": "<", "≥": "≤"}[sign] for sign in reversed(signs)]
        if set(signs) <= set("<≤"):
            return ("[" if signs[0] == "≤" else "(") + ("]" if signs[1] == "≤" else ")"), [sides[0], sides[2]]
    return None


def _brackets(text: str) -> tuple[str, str] | None:
    """The kind and the inside of brackets that enclose the whole text; an interval may mix them."""
    text = text.replace(r"\lbrace", r"\{").replace(r"\rbrace", r"\}")
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return "{}", text[2:-2]
    if text[:1] not in "([" or text[-1:] not in ")]" or len(text) < 3:
        return None
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and place < len(text) - 1:
            return None
    return text[0] + text[-1], text[1:-1]


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter in ",;" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _same_shape(a: Shape, b: Shape, prove: Prover) -> bool | None:
    (kind_a, parts_a), (kind_b, parts_b) = a, b
    loose = {kind_a, kind_b}
    if "or" in loose and 1 in (len(parts_a), len(parts_b)):  # "0.6 or 3/5"
        return _all([_equal(x, y, prove) for x in parts_a for y in parts_b])
    if len(parts_a) != len(parts_b) or (kind_a != kind_b and not (loose == {"", "{}"} or loose <= {"", "()"})):
        return False
    if loose <= {"", "{}", "or"}:
        return _unordered(parts_a, parts_b, prove)
    return _all([_equal(x, y, prove) for x, y in zip(parts_a, parts_b, strict=True)])


def _all(verdicts: Sequence[bool | None]) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _unordered(a: Sequence[str], b: Sequence[str], prove: Prover) -> bool | None:
    """Each part of one has its own equal among the other's. What is written alike is paired first, and the rest by its value."""
    left_a, left_b = Counter(map(_key, a)), Counter(map(_key, b))
    rest_a, rest_b = list((left_a - left_b).elements()), list((left_b - left_a).elements())
    if len(rest_a) > _MOST_PARTS:
        return None
    undecided = False
    for x in rest_a:
        verdicts = []
        for place, y in enumerate(rest_b):
            verdicts.append(_equal(x, y, prove))
            if verdicts[-1]:
                del rest_b[place]
                break
        else:
            if None not in verdicts:
                return False
            undecided = True
    return None if undecided else True


def _key(part: str) -> str:
    """The same for two parts that are the same number, or written alike."""
    bare = part.replace(" ", "")
    return str(_fraction(bare)) if _NUMBER.match(bare) else bare
