"""How many verdicts a second one core makes, and how long the slowest mathematical comparison takes.

    python benchmarks/verdicts.py [--fuzz 100000]

Numeric and choice verdicts, lenient and strict together, on short answers and on rationales of 300 characters;
symbolic ones on pairs of expressions, wrong pairs and right ones written differently, and on what takes for ever.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable

from tutelage.grading.answers import grading
from tutelage.grading.verdicts import judge, strictly
from tutelage.tasks.task import Task
from tutelage.types import Question

STEPS = "She first has 48 / 2 = 24 of them, and after that 48 + 24 = 72 in all, which is more. " * 4
BOMBS = [
    r"\sum_{k=1}^{99999} k^{99999}",
    r"(x+1)^{99999}(y+2)^{99999}",
    "9^{9^{9}}",
    r"\int_0^1 e^{-x^{7}} \sin(x^{3}) dx",
]
PIECES = [r"\frac", r"\sqrt", "{", "}", "(", ")", "[", "]", "^", "_", ",", "=", r"\pm", r"\boxed{", "$", "1", "2", "x",
          "0", ".", "-", "/", r"\text{", r"\cup", r"\infty", "<", r"\\", "&", r"\begin{pmatrix}", r"\end{pmatrix}", " ",
          "%", "!", "|", "\u200b", "é", "\n", "The answer is ", "-->", "</think>", "\x00"]  # fmt: skip
GOLDS = {"number": "271828182", "choice": "(B)", "yes_no": "yes", "date": "03/04/1777", "math": r"\frac{27182}{81828}"}


def task(kind: str) -> Task:
    return Task(name=kind, kind=kind, splits=(), load=lambda split: [], **grading(kind))


def rate(kind: str, text: Callable[[int], str], gold: Question) -> float:
    """Verdicts a second, the median of five passes over 4,000 different texts."""
    grader, texts = task(kind), [text(i) for i in range(4000)]
    rates = []
    for _ in range(5):
        begun = time.perf_counter()
        for said in texts:
            strictly(grader, gold, said, judge(grader, gold, said)[1])
        rates.append(len(texts) / (time.perf_counter() - begun))
    return statistics.median(rates)


def expressions(count: int) -> list[tuple[str, str]]:
    rng = random.Random(0)
    pairs = []
    for _ in range(count):
        a, b, c = (rng.randrange(1, 30) for _ in range(3))
        forms = [
            (rf"\frac{{{a}}}{{{b + 1}}}", rf"\frac{{{2 * a}}}{{{2 * b + 2}}}"),
            (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}"),
            (f"(x+{a})(x-{b})", f"x^2+{a - b}x-{a * b}".replace("+-", "-")),
            (rf"\left({a},\frac{{\pi}}{{{b}}}\right)", rf"({a},\pi/{b + 1})"),
            (f"y={a}x+{b}", f"2y-{2 * a}x={2 * b}"),
            (rf"\{{{a},{b},{c}\}}", rf"\{{{c},{a},{b}\}}"),
            (rf"{a}\pi+{b}", rf"{b + 1}+\pi\cdot {a}"),
        ]
        pairs.append(rng.choice(forms))
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=int, default=100_000)
    fuzz = parser.parse_args().fuzz
    number = Question(id="", text="", answer="72")
    choice = Question(id="", text="", answer="B", choices=("orange ball", "white ball", "blue ball"))
    print(f"number, short   {rate('number', lambda i: f'The answer is {i}.', number):10,.0f} verdicts/s")
    print(f"number, 300     {rate('number', lambda i: STEPS + f'The answer is {i}.', number):10,.0f}")
    print(f"choice, short   {rate('choice', lambda i: f'{i}: the answer is (B).', choice):10,.0f}")
    print(f"choice, 300     {rate('choice', lambda i: STEPS + f'{i}: the answer is (B).', choice):10,.0f}")

    grader = task("math")
    judge(grader, Question(id="", text="", answer="1+x"), r"\boxed{x+1}")  # the process is up
    seconds = []
    for a, b in expressions(1000):
        begun = time.perf_counter()
        judge(grader, Question(id="", text="", answer=b), rf"\boxed{{{a}}}")
        seconds.append(time.perf_counter() - begun)
    seconds.sort()
    print(
        f"symbolic        median {1e3 * seconds[500]:.1f} ms, p99 {1e3 * seconds[990]:.1f} ms, worst {seconds[-1]:.2f} s"
    )
    slowest = 0.0
    for bomb in BOMBS:
        begun = time.perf_counter()
        verdict = judge(grader, Question(id="", text="", answer=r"\frac{\pi}{7}"), rf"\boxed{{{bomb}}}")[1]
        slowest = max(slowest, time.perf_counter() - begun)
        assert verdict != "right"
    print(f"what never ends slowest {slowest:.2f} s")

    rng, counts, begun = random.Random(0), {"right": 0, "wrong": 0, "unread": 0}, time.perf_counter()
    kinds = list(GOLDS)
    for i in range(fuzz):
        kind = kinds[i % len(kinds)] if i % 100 else "math"
        text = "".join(rng.choices(PIECES, k=rng.randrange(1, 30)))
        said = judge(
            task(kind),
            Question(id="", text="", answer=GOLDS[kind], choices=("a ball", "a cube") if kind == "choice" else ()),
            text,
        )
        counts[said[1]] += 1
    print(f"{fuzz:,} random strings in {time.perf_counter() - begun:.0f} s: {counts}")


if __name__ == "__main__":
    main()
