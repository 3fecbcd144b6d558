"""A process that says whether two expressions are equal: `python -m tutelage.grading.prover`, one JSON object a line.

It runs apart because a computer algebra system can take for ever, or all memory, over a short line; it gives up when its
time is over, and whoever asks kills it when even that takes too long. It ends with whoever asks, however that ends. The parser is latex2sympy, the one of math-verify; equality is decided here, by exact arithmetic and at points.
"""

import contextlib
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Expression = Any  # of sympy, which has no types
MEMORY = 2 << 30  # bytes
_AWAKE = 0.25  # seconds between two looks for whoever asks
_SLACK = 2  # seconds of processor time beyond what a question may take
_DIGITS = 40
_POINTS = ((3, 7), (-5, 11), (13, 4), (-17, 9), (29, 23), (2, 19), (-31, 37), (41, 43))  # numerator, denominator
_NOISE = 1e-36  # what 40 digits leave of zero
_EXACT, _DECIMAL = 1e-25, 1e-9  # relative; an answer with a decimal point carries a float's rounding


def parse_latex(latex: str) -> Expression:
    """A sympy expression, with i as the imaginary unit and e as Euler's number."""
    import sympy
    from latex2sympy2_extended import latex2sympy

    made = latex2sympy(latex)
    if not isinstance(made, sympy.Basic):
        raise ValueError("no expression")
    return made.subs({sympy.Symbol("i"): sympy.I, sympy.Symbol("e"): sympy.E})


def same_function(a: str, b: str) -> bool | None:
    """Equal as numbers, or at every point where both are real."""
    import sympy

    x, y = parse_latex(a), parse_latex(b)
    if isinstance(x, sympy.Set) or isinstance(y, sympy.Set) or _relational(x) or _relational(y):
        return bool(x.doit() == y.doit())
    decimal = "." in a or "." in b
    values: list[bool] = []
    for point in _points(x, y):
        pair = _number(x, point), _number(y, point)
        if None not in pair and not _close(*pair, _DECIMAL if decimal else _EXACT):
            return False
        values.append(None not in pair)
    return True if sum(values) >= min(3, len(values)) else None


def same_equation(a: str, b: str) -> bool | None:
    """The same line, circle and so on: one side less the other differs by a constant factor alone."""
    import sympy

    f, g = (left - right for left, right in map(_sides, (a, b)))
    if f.free_symbols != g.free_symbols:
        return False
    ratios = []
    for point in _points(f, g):
        top, bottom = _number(f, point), _number(g, point)
        if top is not None and bottom is not None and bottom != 0:
            ratios.append(top / bottom)
    if len(ratios) < 3 or not all(isinstance(ratio, sympy.Expr) for ratio in ratios):
        return None
    return bool(ratios[0] != 0) and all(_close(ratio, ratios[0], _EXACT) for ratio in ratios[1:])


def _sides(text: str) -> tuple[Expression, Expression]:
    left, _, right = text.partition("=")
    return parse_latex(left), parse_latex(right)


def _relational(x: Expression) -> bool:
    import sympy

    return isinstance(x, sympy.core.relational.Relational | sympy.logic.boolalg.Boolean | sympy.MatrixBase)


def _points(x: Expression, y: Expression) -> list[dict[Expression, Expression]]:
    """Values for the letters of both; a single empty point where there are none."""
    import sympy

    symbols = sorted(x.free_symbols | y.free_symbols, key=str)
    if not symbols:
        return [{}]
    pairs = [sympy.Rational(*pair) for pair in _POINTS]
    return [
        {symbol: pairs[(start + step * 3) % len(pairs)] + step for step, symbol in enumerate(symbols)}
        for start in range(len(pairs))
    ]


def _number(x: Expression, point: dict[Expression, Expression]) -> Expression:
    """The value at a point with 40 digits, or None where it is none; at a point of letters only real values count."""
    import sympy

    found = sympy.N(x.subs(point).doit(), _DIGITS)
    if found in (sympy.oo, -sympy.oo) and not point:
        return found
    if not found.is_number or found.has(sympy.nan, sympy.zoo, sympy.oo) or not found.is_finite:
        return None
    return None if point and sympy.im(found) != 0 else found


def _close(a: Expression, b: Expression, tolerance: float) -> bool:
    import sympy

    if a == b or sympy.oo in (a, b) or -sympy.oo in (a, b):
        return bool(a == b)
    return bool(abs(a - b) <= (_NOISE if 0 in (a, b) else tolerance * max(abs(a), abs(b))))


ASKED: dict[str, Callable[[str, str], bool | None]] = {"value": same_function, "equation": same_equation}


class _Late(BaseException):
    """A question has had its time; no `except Exception` of a library stops it."""


def _late(*_: object) -> None:
    raise _Late


def answer(what: str, a: str, b: str, seconds: float) -> bool | str | None:
    """The verdict; None where it cannot be decided, "late" where that would take longer."""
    # Python looks at no alarm within a function that is written in C: then the kernel ends the process.
    spent = int(time.process_time() + seconds) + _SLACK
    resource.setrlimit(resource.RLIMIT_CPU, (spent, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
        try:
            return ASKED[what](a, b)
        except (Exception, RecursionError):
            return None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Late:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return "late"


def _end_with(parent: int) -> None:
    """End this process when whoever started it is gone, even in the middle of a question."""
    while os.getppid() == parent:
        time.sleep(_AWAKE)
    os._exit(1)


def answer_requests() -> None:
    """Answer requests until there are no more; what fails is not decided."""
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(ValueError, OSError):  # macOS knows this limit and lets nobody set it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(5000)
    signal.signal(signal.SIGALRM, _late)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    same_function(r"\frac{\sqrt{2}}{2}+x", r"\frac{1}{\sqrt{2}}+x")  # the first parse is slow
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)


if __name__ == "__main__":
    answer_requests()
