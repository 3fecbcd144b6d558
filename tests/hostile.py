"""Texts that are made to break whatever reads them, for tests and for scripts/fuzz: shapes, pieces, claims, and the readers.

Everything is drawn from a `random.Random`, so that a seed is a case.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from tests.pace import seconds_of

from tutelage.errors import TutelageError
from tutelage.grading.answers import grading
from tutelage.grading.markers import split_thinking
from tutelage.lessons import replies, steps, wording
from tutelage.models.remote.dispatch import Fault
from tutelage.models.remote.openai import read_completion
from tutelage.parsing import Unreadable, yaml_value
from tutelage.recipes import catalog
from tutelage.tasks.task import Task
from tutelage.types import Question

LIMIT = 2.0  # seconds of an ordinary machine that any text may take

# What is repeated up to a megabyte: opening and closing signs, runs of one thing, markers, words.
SHAPES = (
    r"\boxed{", "{", "}", r"\frac{1}{", r"\frac12", ",", "5,", ",000", "1,000,", "-->", "--> 5 ", "####", "-", "- ", "7", " ",
    "\n", "\t", r"\(", r"\(x\)", r"\[", "$", "$$", "$x$ ", r"\text{", "word ", "A ", "(A) ", "yes ", "not ", "5 or ", "five ",
    "**", ".", "The answer is ", "The answer is 5. ", "5. No wait, 6. ", "(", "^ ", "jan", "<think>", "</think>", "<solution>",
    "<practice><problem>", "orange ball ",
)  # fmt: skip
MORE_SHAPES = (
    "\\", "A, ", "no, ", "or ", "hundred ", "and ", "*", "* ", "...", "answer ", "answer: A ", "answer(", "wait, ", "[", "^", "5^",
    "5!", "may ", "1 may ", "05/01/2021 ", r"\sqrt", "%", "</solution>", "<practice>", "<error>", "=", "5 = ", "3 + ", "1 000 ",
    "½", "²", "é", "\u00a0", "__", r"\%", "_", "a", "white ball, ", "/", "1/", "1/2 ", "::", '"', "'", "`", "|", "5 apples or ",
    r"\pm ", "e9", "5e", "point one ", r"\circ^ ", "10^", "x 10^5", "so, ", "0.", "\x00", "\r", "\u2028", "\u200b", "İanswer",
    r"\begin{pmatrix}", r"\end{pmatrix}", "&", r"\cup", "<", "!", "x", "i", "2^{", "t-shirts ", "one half ", "million ",
    "<think>a</think>", "answer is not ", "…", "–", "√", "√5", "±5 ", "5% ", "isn't ", "5; ", "the ", "or the orange ball ",
)  # fmt: skip
PIECES = tuple(dict.fromkeys([*SHAPES, *MORE_SHAPES, "The answer is ", "Answer: ", "5", "6", "0", "12", ".", " "]))

GOLDS = {
    "number": Question(id="", text="", answer="271828182"),
    "choice": Question(id="", text="", answer="(B)", choices=("orange ball", "white ball", "blue ball")),
    "yes_no": Question(id="", text="", answer="yes"),
    "date": Question(id="", text="", answer="03/04/1777"),
    "text": Question(id="", text="", answer="zyxwv"),
    "math": Question(id="", text="", answer=r"\frac{27182}{81828}"),
}
TASKS = {kind: Task(name=kind, kind=kind, splits=(), load=lambda split: [], **grading(kind)) for kind in GOLDS}


def grade(kind: str, question: Question, text: str) -> tuple[bool, bool]:
    """Whether a text is right, leniently and strictly, by a task's own functions: whatever they raise is raised."""
    task = TASKS[kind]
    answer = task.read(text, question)
    right = answer is not None and task.same(answer, question) is True
    clear = task.commits is None or task.commits(text, question)
    return right, right and clear


READERS: dict[str, Callable[[str], object]] = {
    **{kind: (lambda text, kind=kind: grade(kind, GOLDS[kind], text)) for kind in GOLDS},  # type: ignore[misc]
    "feedback": lambda text: (
        replies.read_feedback(text),
        replies.read_repair(text),
        steps.split_steps(text),
        wording.reasoning(text),
    ),
    "thinking": split_thinking,
}


def taken(read: Callable[[Any], object], text: str | bytes) -> float:
    """Seconds of this process that a reader takes over a text; what a busy machine does meanwhile is not the reader's."""
    return seconds_of(lambda: read(text))


def repeated(shape: str, size: int) -> str:
    """A shape over and over, `size` characters."""
    return (shape * (size // len(shape) + 1))[:size]


def mixed(rng: random.Random, most: int = 40) -> str:
    """Pieces in a row, some of them many times over."""
    parts = [
        rng.choice(PIECES) * (rng.randrange(2, 200) if rng.random() < 0.05 else 1) for _ in range(rng.randrange(most))
    ]
    return "".join(parts)


# ---- claims whose truth is known

MARKED = ("The answer is {}", "Answer: {}", "--> {}", "#### {}", "The final answer is **{}**", "So 3 + 4 = 7.\nThe answer is {}",
          "<think>The answer is 1.</think>The answer is {}", "Therefore, the answer (arabic numerals) is: {}")  # fmt: skip
BOXED = (r"\boxed{{{}}}", r"So it is $\boxed{{{}}}$", r"The answer is \boxed{{{}}}")
ENDS = ("", ".", ".\n", "\nQ: Another one?", " ")

# {a} and {b} are different whole numbers from 3 on, {wa} and {wb} their words: none of these names {a}.
NOT_A = (
    "{a} or {b}", "{a} or {wb}", "{wa} or {wb}", "{wb} or {a}", "{a}, {b}", "{a}, {b} or 1", "{a}; {b}", "{a} and {b}", "{a}-{b}",
    "{a} to {b}", "{a}/{b}", "({a}, {b})", "between {a} and {b}", "{a} or maybe {b}", "{a} (or {b})", "{a} apples or {b} apples",
    "{a}^2", "{a}^{{{b}}}", "{a}²", "{a}!", "{a} + {b}", "{a} * {b}", "{a} x {b}", "{a} × {b}", "{a} / {b}", r"{a} \cdot {b}",
    r"{a} \times 10^{{999999999}}", "{a} * 10^3", "{a}e3", "{a}e4000", "{a}x", "{a}i", "{a}xy", "{a} x", "{a}({b})", "({a})^2",
    "x + {a}", "x^{a}", "x - {a}", "{b} + {a}", "{b}x = {a}y", r"\sqrt{{{a}}}", r"{a}\sqrt{{2}}", r"{a}\pi", r"\frac{{{a}}}{{x}}",
    r"\frac{{{a}}}{{{b}}}", "{a}/0", "{a}_{b}", "{a} million", "{a} thousand", "{a} hundred", "{wa} million", r"{a}\text{{ million}}",
    "{a}k", "${a}m", "{a} squared", "{a} times {b}", "{a} plus {wb}", "{a} minus {b}", "half of {a}", "twice {a}", "{a} and a half",
    "{wa} and a half", "±{a}", r"\pm {a}", "+/- {a}", "-{a}", "minus {a}", "negative {a}", "minus {wa}", "not {a}", "not equal to {a}",
    "isn't {a}", "anything but {a}", "{a} < x", "{a} = {b}", "{b} = {a} + {b}", "{a}.5", "{a}:30", "{a},{b}", "{a},5", "{a}{b}",
    "{a} mod {b}", "{a} thirds", "{wa} {wb}", "{wa} and {wb}",
)  # fmt: skip
# ... and each of these does.
IS_A = (
    "{a}", "{a}.0", "${a}", "**{a}**", "{a} apples", "{a} dollars", "{a} km", "{a}km", "{a} m/s", "{a}%", "x = {a}", "about {a}",
    "{a} ({wa})", "({a})", "{wa}", "{a} = {a}", "{a} t-shirts", "{a} a day", "{a}, not {b}", "{a}, which is more than {b}",
    "{a} of them", "{a} cm^2", "exactly {a} apples", "{a} or {a}.0", "{a} dollars and 0 cents", "{c} + {d} = {a}",
    "{a} = {c} + {d}", "{a}, since {c} + {d} = {a}", "{a} because {b} is wrong", "'{a}'", "{a}\n\n{b} were left over",
)  # fmt: skip
IN_MATHEMATICS = frozenset(("{a} apples", "{a} km", "x = {a}", "{a}", "{a}.0", "({a})", "{c} + {d} = {a}", "{a} = {c} + {d}", "{a} ({wa})"))  # fmt: skip

OTHERS = {
    "choice": (("B or C", "(A), (B)", "A, B and C", "(B) (C)", "either A or B", "neither A nor B", "not B", "not (B)", "B/C", "B & A",
                "B; C", "A to C", "anything but B", "B C", "B, C", "white ball or blue ball", "the white ball and the orange ball"),
               ("B", "(B)", "(b)", "B, not C", "option B", "white ball", "the white ball", "B: white ball", "B because C is wrong", "B (not A)",
                "**B**", "B, (C) is wrong", "B - the white ball")),
    "yes_no": (("yes and no", "yes or no", "yes, no", "not yes", "neither yes nor no", "yes/no", "no, yes", "true and false", "yes; no"),
               ("yes", "Yes, it is", "true", "yes, not no", "yes, no doubt", "yes, since nobody knows")),
    "date": (("03/04/1777 or 03/05/1777", "03/04/1777, 03/05/1777", "not 03/04/1777", "03/04/1777 to 03/05/1777", "before 03/04/1777",
              "March 4, 1777 and March 5, 1777"),
             ("03/04/1777", "1777-03-04", "March 4, 1777", "4 March 1777", "03/04/1777, not 03/05/1777", "03/04/1777 or March 4, 1777")),
    "text": (("zyxwv or zyxwu", "not zyxwv", "zyxwv, zyxwu"), ("zyxwv", '"zyxwv"', "ZYXWV")),
}  # fmt: skip
RETRACTED = (
    "{}. No wait, {}",
    "{}. Actually, {}",
    "{}. Wait, {}",
    "{} - no, wait, {}",
    "{}\n\nHmm, wait. {}",
    "{}. Sorry, {}",
)
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int) -> str:
    """A number below 1,000 in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10 - 2] + (f"-{ONES[number % 10]}" if number % 10 else "")
    rest = f" {in_words(number % 100)}" if number % 100 else ""
    return f"{ONES[number // 100]} hundred{rest}"


class Claim(NamedTuple):
    """A text that says an answer, and what must come of it."""

    kind: str
    question: Question
    text: str
    lenient: bool | None  # whether it is right; None where both may be
    strict: bool


def claim(rng: random.Random, kind: str = "") -> Claim:
    """A claim that is right, wrong, one of several, denied or taken back, in a sentence around it."""
    kind = kind or rng.choice(("number", "number", "number", "choice", "yes_no", "date", "text", "math"))
    right = rng.random() < 0.4
    question = GOLDS[kind]
    if kind in ("number", "math"):
        a, b = rng.sample(range(3, 999), 2)
        c = rng.randrange(1, a)
        form = rng.choice([one for one in IS_A if kind == "number" or one in IN_MATHEMATICS] if right else NOT_A)
        said = form.format(a=a, b=b, c=c, d=a - c, wa=in_words(a), wb=in_words(b))
        other, question = str(b), Question(id="", text="", answer=str(a))
        plain = str(a)
    else:
        wrong, good = OTHERS[kind]
        said = rng.choice(good if right else wrong)
        plain = good[0]
        other = {"choice": "C", "yes_no": "no", "date": "03/05/1777", "text": "zyxwu"}[kind]
    taken_back = kind != "text" and rng.random() < 0.1
    said = rng.choice(RETRACTED).format(plain, other) if taken_back else said
    boxed = not taken_back and "\n" not in said and rng.random() < 0.2
    text = rng.choice(
        BOXED if boxed else MARKED[:4] + MARKED[5:] if taken_back or "*" in said or "\n" in said else MARKED
    )
    text = text.format(said) + ("" if boxed else rng.choice(ENDS))
    if taken_back:
        return Claim(kind, question, text, None, False)
    return Claim(kind, question, text, right, right)


def wrongly(one: Claim) -> str:
    """What is wrong with what is made of a claim; empty where nothing is."""
    lenient, strict = grade(one.kind, one.question, one.text)
    if one.lenient in (None, lenient) and strict == one.strict:
        return ""
    return f"{one.kind} {one.text!r} for {one.question.answer!r}: right is {lenient}, strictly {strict}; wanted {one.lenient}, {one.strict}"


# ---- every door, from bytes

DOORS = (*READERS, "config", "reply")


def enter(data: bytes) -> None:
    """Give bytes to the door that the first of them names; what may be refused is refused by our own errors alone."""
    door, rest = DOORS[data[0] % len(DOORS)] if data else DOORS[0], data[1:]
    if door == "reply":
        try:
            reply = read_completion(rest, "fuzz")
        except Fault:
            return
        msgspec.json.encode(reply)  # it can be kept
        return
    text = rest.decode("utf-8", "replace")
    if door != "config":
        READERS[door](text)
        return
    try:
        raw = yaml_value(text)
        if isinstance(raw, dict):
            catalog.check_config(raw, "fuzz")
    except (Unreadable, TutelageError):
        return
