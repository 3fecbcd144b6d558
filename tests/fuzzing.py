"""What `scripts/fuzz` runs: random texts by their seeds, or those that atheris finds; see `tests/hostile.py` for what they are."""

import argparse
import importlib.util
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Draw for some seconds, or a number of cases; exit code 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="stop after so many")
    parser.add_argument("--seed", type=int, default=None, help="of the first case; default: the clock")
    parser.add_argument("--coverage", type=int, metavar="SECONDS", help="let atheris choose the texts")
    parser.add_argument("--into", type=Path, default=ROOT / "runs" / "fuzz", help="where findings are kept")
    words = parser.parse_args()
    words.into.mkdir(parents=True, exist_ok=True)
    if words.coverage is None:
        sys.exit(draw(words))
    if importlib.util.find_spec("atheris") is None:
        sys.exit(
            "scripts/fuzz --coverage needs atheris: pip install atheris (Linux, Python 3.11 to 3.14), or set PYTHON"
        )
    look(words.coverage, words.into)


def draw(words: argparse.Namespace) -> int:
    """Cases one after another, each from a seed of its own; returns how the process ends."""
    from tests import hostile

    hostile.enter(bytes([hostile.DOORS.index("math")]) + rb"\boxed{x+1}")  # the prover's start is nobody's time
    seed = int(time.time()) << 24 if words.seed is None else words.seed
    counts, slowest, found = Counter[str](), (0.0, 0, ""), 0
    until, case = time.monotonic() + words.seconds, 0
    while time.monotonic() < until and case < words.cases:
        kind, seconds, problem = one(hostile, random.Random(seed + case))
        counts[kind] += 1
        slowest = max(slowest, (seconds, seed + case, kind))
        if problem:
            found += 1
            line = f"seed {seed + case}: {problem}"
            print(line[:2000])
            with (words.into / "findings.txt").open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")
        case += 1
    print(
        f"{case:,} cases ({', '.join(f'{count:,} {kind}' for kind, count in counts.most_common())}), {found} findings"
    )
    print(f"slowest: {slowest[0]:.2f} s, {slowest[2]}; --seed {slowest[1]} --cases 1 draws it again")
    return 1 if found else 0


def one(hostile: Any, rng: random.Random) -> tuple[str, float, str]:
    """One case: what it was, its seconds, and what is wrong."""
    begun = time.perf_counter()
    try:
        turn = rng.random()
        if turn < 0.6:
            claim = hostile.claim(rng)
            return f"claims of {claim.kind}", time.perf_counter() - begun, hostile.wrongly(claim)
        name = rng.choice(list(hostile.READERS))
        if turn < 0.99:
            kind, text = "texts", hostile.mixed(rng)
        else:
            kind = "large texts"
            pieces = "".join(rng.choice(hostile.PIECES) for _ in range(rng.choice((1, 1, 2, 3))))
            marker = rng.choice(("", "The answer is ", r"\boxed{", "The answer is 5", "5 = "))
            text = (
                marker
                + hostile.repeated(pieces, rng.choice((10_000, 100_000, 1_000_000)))
                + rng.choice(("", " 5", "}", " = 5", "</think>"))
            )
        problem, seconds = "", hostile.taken(hostile.READERS[name], text)
        if (
            seconds > hostile.LIMIT or time.perf_counter() - begun > 3 * hostile.LIMIT
        ):  # a prover has a clock of its own
            problem = f"{name} takes {seconds:.1f} s over {len(text):,} characters: {text[:60]!r} … {text[-20:]!r}"
        return kind, seconds, problem
    except Exception as error:
        return "raised", time.perf_counter() - begun, f"{type(error).__name__}: {error}"


def look(seconds: int, into: Path) -> None:
    """Let atheris look for bytes that run new lines of any door; it ends the process itself."""
    import atheris

    atheris.enabled_hooks.add("str")
    with atheris.instrument_imports(include=["tutelage"]):
        from tests import hostile

    def enter(data: bytes) -> None:
        seconds = hostile.taken(hostile.enter, data)
        if seconds > hostile.LIMIT:
            raise AssertionError(f"{seconds:.1f} s over {len(data):,} bytes")

    hostile.enter(bytes([hostile.DOORS.index("math")]) + rb"\boxed{x+1}")
    corpus = into / "corpus"
    corpus.mkdir(exist_ok=True)
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=4096"]
    folders = [str(corpus), str(ROOT / "tests" / "corpus")]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={into}/", *folders], enter)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
