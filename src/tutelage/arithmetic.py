"""A chain of sums worked out rightly: what an answer would be if its writer had a calculator."""

import re
from decimal import Decimal, DivisionByZero, InvalidOperation, localcontext

_NUMBER = r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,15})?|\d{1,15}(?:\.\d{1,15})?"
_SIGN = r"[-+*/x×÷−]"
# "3 + 4 * 2 = 11", with a dollar in front of a number left alone.
_SUM = re.compile(
    rf"((?:\$?(?:{_NUMBER}))(?:\s*{_SIGN}\s*\$?(?:{_NUMBER})){{1,12}})\s*=\s*(\$?)((?:{_NUMBER}))(?![\d]|\.\d)"
)
# What shows that a sum is a part of something longer, and is left as it is: a sign, a bracket, another number, a letter or a "="
# before it; a sign, a letter, a "=" or a bracket behind it, which goes on.
_BEFORE = re.compile(rf"(?:{_SIGN}|[=(\[{{)%\]}}^\d/])\s*$|[A-Za-z_.,]$")
_BEHIND = re.compile(rf"\s*(?:{_SIGN}\s*[$(\d]|=|[(^/%!])|[A-Za-z_]*\s*[*/^]")
_OPERAND = re.compile(_NUMBER)
_TOKEN = re.compile(rf"({_NUMBER})|({_SIGN})")
_AS = {"x": "*", "×": "*", "÷": "/", "−": "-"}
_CLOSE = Decimal("0.01")  # of a result, relative: what a writer rounds


def worked_out(text: str) -> str:
    """The text with each sum's result put right, and with every later number that was a wrong result put right, too.

    A wrong result is followed by its number: from "35 - 30 = 15" on, each 15 stands for 5 until another sum gives 15. A number of the
    question that happens to be the same is taken along. What cannot be worked out stays as it is: a rounded result, and a sum that
    is part of something longer, as in "2 * 3 + 4 = 6 + 4 = 10", "(3 + 4) * 2 + 1 = 15" or "5 apples * 3 + 2 = 17".
    """
    mended: dict[str, str] = {}
    pieces: list[str] = []
    end = 0
    for match in _SUM.finditer(text):
        if _is_part(text, match):
            continue
        pieces.append(_put_right(text[end : match.start()], mended))
        sum_text, dollar, said = _put_right(match.group(1), mended), match.group(2), match.group(3)
        true = _value(sum_text)
        result = said if true is None or _is_close(true, said) else _written(true)
        mended.pop(_plain(said), None)
        if result != said:
            mended[_plain(said)] = result
        pieces.append(f"{sum_text} = {dollar}{result}")
        end = match.end()
    return "".join([*pieces, _put_right(text[end:], mended)])


def has_sums(text: str) -> bool:
    """Whether there is anything to work out."""
    return any(not _is_part(text, match) for match in _SUM.finditer(text))


def false_sum(text: str) -> str:
    """The first sum of a text whose result is not its own, as it is written there; empty where there is none.

    What is part of something longer is no sum, and a rounded result is none that is false.
    """
    for match in _SUM.finditer(text):
        true = None if _is_part(text, match) else _value(match.group(1))
        if true is not None and not _is_close(true, match.group(3)):
            return match.group()
    return ""


def _is_part(text: str, match: re.Match[str]) -> bool:
    """Whether a sum is part of something longer, so that by itself it says nothing."""
    before, behind = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 40]
    return bool(_BEFORE.search(before) or _BEHIND.match(behind))


def _put_right(text: str, mended: dict[str, str]) -> str:
    return _OPERAND.sub(lambda found: mended.get(_plain(found.group()), found.group()), text) if mended else text


def _plain(number: str) -> str:
    return number.replace(",", "")


def _is_close(true: Decimal, said: str) -> bool:
    stated = Decimal(_plain(said))
    whole = true == true.to_integral_value()
    return true == stated if whole else abs(true - stated) <= _CLOSE * max(abs(true), Decimal(1))


def _written(value: Decimal) -> str:
    rounded = value.quantize(Decimal("0.0001")).normalize()
    return f"{rounded:f}"


def _value(sum_text: str) -> Decimal | None:
    """The value of numbers and signs, products first; None where there is none."""
    terms: list[Decimal] = []
    waiting = ""
    with localcontext() as context:
        context.prec = 40
        try:
            for number, operator in _TOKEN.findall(sum_text):
                if operator:
                    waiting = _AS.get(operator, operator)
                    continue
                value = Decimal(_plain(number))
                if waiting == "*":
                    terms[-1] *= value
                elif waiting == "/":
                    terms[-1] /= value
                else:
                    terms.append(-value if waiting == "-" else value)
        except (DivisionByZero, InvalidOperation):
            return None
        total = sum(terms, Decimal(0))
        return total if abs(total) < Decimal(10) ** 15 else None
