"""Words behind a number: those that leave its value as it is ("apples", "km"), and those that make another number of it."""

import re

SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
PARTS = {
    "half": 2, "halve": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip

# Single letters that stand for a unit; any other one is a variable, or short for "thousand" or "million".
_LETTERS = frozenset("ghlmsdACFJLNVW")
_ABBREVIATED = """
cm mm nm km kg kgs mg ml dl cl lb lbs oz ft yd yds in mi am pm st nd rd th hr hrs yr yrs mph kmh kph kw hz kb mb gb tb pts pcs
pc cts ct qt pt sq cu tbsp tsp rs kr
"""
_SHORT = frozenset(_ABBREVIATED.split())
# What makes another number of the one before it: a power, a function, a constant, a short scale.
_CHANGES = frozenset(
    ("squared", "cubed", "factorial", "pi", "sin", "cos", "ln", "sqrt", "mod", "modulo", "bn", "mn", "mil")
)
# "5 logs" and "5 tan dogs" are things: these only where they are glued to the number.
_FUNCTIONS = frozenset(("tan", "cot", "csc", "log", "exp", "root"))
_SMALL_WORDS = frozenset(("am", "an", "be", "by", "in", "no", "me", "my", "up", "us"))
_VARIABLES = frozenset("abcijkmnpquvwxyz")
_VOWEL = re.compile("[aeiouy]")


def is_unit(word: str, glued: bool = False) -> bool:
    """Whether a word behind a number leaves its value: "5 apples" and "5km" are 5, "5x", "5 squared" and "5 million" are not.

    Glued to the number, a word has to look like a unit; apart from it, it may be any word of a sentence.
    """
    low = word.lower()
    if scale(low) > 1 or low in _CHANGES or (glued and low in _FUNCTIONS):
        return False
    if len(word) == 1:  # "5 a day", "5 I think", "5 Q: ..."
        return word in _LETTERS or (not glued and (word in "ao" or (word.isupper() and word not in "XYZ")))
    if low in _SHORT:
        return True
    if len(word) == 2:
        return (
            (not glued and low in _SMALL_WORDS) or not _VARIABLES.issuperset(low) or word.istitle()
        )  # "5 GB", not "5xy"
    if word[-1].isupper() or word[0].isupper():
        return True  # "5 WPM", "5MHz"
    return not glued or _VOWEL.search(low) is not None


def scale(word: str) -> int:
    """What "hundred", "million" and so on multiply a number by; 1 for any other word."""
    return SCALES.get(word.lower().removesuffix("s"), 1)
